"""Level-coded units that read a line of spikes at every step (docs/memory-on-chip.md).

A memory that only the input drives is a sum over the window, ``m[t] = Σ_j H[:, j] x[t - j]``, and
a line (:mod:`.line`) holds each of these inputs as bits.  Units that compare their current with
thresholds (:mod:`.levels`) need no gate and no time to settle: at every step they read all stages
through ``W·H``, and one another, so that a recurrent LMU runs on the chip as a whole.

The host turns inputs into bits and does nothing else.  The newest input reaches the units from
the host's comparators, which feed the line as well; stage j holds the input of j + 1 steps ago.
Both ways take one step on a chip, so every step is one input, without a lag between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.front_end import FrontEnd, split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.timing import Timing

from .levels import Levels, comparator, fit_levels, level_code, record, schedule
from .line import LineCode, bit_populations, bit_projections, stage_projections, window_of

Array = np.ndarray


def level_line(
    model: Model,
    count: int,
    code: LineCode,
    training_inputs: Array,
    *,
    digits: int = 6,
    per_unit: bool = False,
    lengths: Array | None = None,
) -> tuple[Graph, Timing]:
    """Level-code a rate model whose first memory becomes a line.

    Parameters
    ----------
    model
        A rate model; a memory behind neurons stays on the host, as :func:`.levels.code_model`
        leaves it.
    count, per_unit
        See :func:`.levels.fit_levels`.
    code
        Of the input.  Its window is as long as the impulse response of the memory, and no longer
        than a training sequence, if it does not say.
    training_inputs
        Inputs (samples, inputs, input size) that the levels are fitted to, as the line rounds
        them.
    lengths
        Inputs of each of them, if they differ.
    digits
        Of what memories behind neurons send to the chip.

    Raises
    ------
    SpecError
        There is no linear memory that only the input drives; something besides neurons reads it;
        or units that need more than a step an input.
    """
    graph, dt = model.graph, model.timing.dt
    front = _front_end(graph)
    plan = schedule(front.rest)
    if plan.steps_per_input > 1:
        raise _refused(
            f"{graph.output}, which values reach in {plan.steps_per_input} steps an input",
            "use memory='host': what its neurons say passes over the host within an input",
        )
    rounded = code.rounded(training_inputs)
    recording = record(graph, rounded, every=model.task.every, lengths=lengths)
    levels = {
        p.name: fit_levels(p.neuron, recording.outputs[p.name], count, per_unit=per_unit)
        for p in graph.populations
        if p.neuron.kind != "linear"
    }
    read = frozenset(p.name for p in front.rest.projections if p.pre == front.rest.input)
    plan = replace(plan, staying=plan.staying | read)
    # What memories behind neurons send to the chip, without what the line delivers.
    coded_reads = {p.name for p in front.rest.projections if p.post in levels}
    drives: dict[str, float] = {}
    if coded_reads - plan.staying:
        some = None if lengths is None else lengths[:DRIVING]
        drives = record(front.rest, front.deliver(rounded[:DRIVING]), plan, lengths=some).drives
    coded, timing = level_code(front.rest, levels, drives, digits=digits, dt=dt, plan=plan)
    response, constants = window_of(front, code.window, FAINT)
    if np.abs(constants).max(initial=0.0) > 1e-9 * np.abs(response).max():
        raise _refused("a memory with biases", "use memory='host'")
    if code.window is None:
        response = response[: training_inputs.shape[1]]
    parts = _Parts(graph, front, levels, code, response, dt)
    populations = [*parts.populations(), *coded.populations[1:]]
    if coded.populations[0].name != graph.input:
        raise AssertionError("the input comes first")
    projections = [*parts.projections(), *coded.projections]
    return Graph(tuple(populations), tuple(projections), graph.input, graph.output), timing


#: Share of the energy of the memory's impulse response that may lie beyond the window.  Numbers at
#: every input are worse by its root: with a thousandth, a regression of error 0.066 has 0.077.
FAINT = 1e-5
#: Training samples on which the currents from other memories are measured.
DRIVING = 100


@dataclass(frozen=True)
class _Parts:
    """The line, and what leads from it to the units."""

    graph: Graph
    front: FrontEnd
    levels: dict[str, Levels]
    code: LineCode
    response: Array
    dt: float

    @property
    def _channels(self) -> int:
        return self.graph.input_size * (2 if self.code.signed else 1)

    @property
    def _stages(self) -> int:
        """The newest input needs none."""
        return len(self.response) - 1

    def populations(self) -> Iterator[Population]:
        """Bits on the host, the highest first, and the lines on the chip."""
        yield self.graph[self.graph.input]
        yield from bit_populations(self._channels, self.code, self.dt)
        if self._stages:
            for bit in range(self.code.bits):
                size = self._stages * self._channels
                yield Population(f"line.{bit}", size, comparator(self.dt))

    def projections(self) -> Iterator[Projection]:
        """Into the line, along it, and to the units."""
        yield from bit_projections(self.graph, self.code)
        for bit, value in enumerate(self.code.values()):
            if self._stages:
                yield from stage_projections(bit, self._stages, self._channels)
            for boundary in self.front.boundaries:
                window = self._window(boundary.first.post, boundary.place)
                name, spikes = f"{boundary.first.name}.line{bit}", f"{boundary.first.post}.spikes"
                newest, older = np.split(value * window, [self._channels], axis=1)
                yield Projection(f"line.bit{bit}", spikes, newest, name=f"{name}.newest")
                if self._stages:
                    yield Projection(f"line.{bit}", spikes, older, name=name)

    def _window(self, post: str, place: slice) -> Array:
        """Current of each comparator from each input of the window, (comparators, inputs)."""
        unit = self.graph[post]
        # (stages, units, channels) → (units, stages, channels)
        window = np.moveaxis(self.response[:, place], 1, 0)
        if self.code.signed:
            window = np.concatenate([window, -window], axis=2)
        gained = unit.gain[:, None] * window.reshape(len(window), -1)
        return np.repeat(gained, self.levels[post].count - 1, axis=0)


def _front_end(graph: Graph) -> FrontEnd:
    """The memory and the rest, or an error that says why there is no line for it."""
    front = split(graph)
    if front is None or not any(p.delay for p in front.linear.projections):
        raise _refused(
            "no memory that only the input drives",
            "use memory='host': what feeds back into a memory is not known before it is computed",
        )
    for boundary in front.boundaries:
        post = front.rest[boundary.first.post]
        if post.neuron.kind == "linear" or boundary.first.tau is not None:
            raise _refused(f"{post.name}, which reads it and has no neurons", "use memory='host'")
        others = [
            p.pre
            for p in front.rest.incoming(post.name)
            if p.pre != front.rest.input and front.rest[p.pre].neuron.kind == "linear"
        ]
        if others:
            raise _refused(f"{post.name}, which also reads {others[0]}", "use memory='host'")
    return front


def _refused(got: str, fix: str) -> SpecError:
    return SpecError(
        "a line of spikes that level-coded units read",
        got=got,
        expected="a linear memory that only the input drives and that only neurons read",
        fix=fix,
    )

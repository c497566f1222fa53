"""Level-coded units that read a line of spikes at every step (docs/memory-on-chip.md).

A memory that only the input drives is a sum over the window, ``m[t] = Σ_j H[:, j] x[t - j]``, and
a line (:mod:`.line`) holds each of these inputs as bits.  Units that compare their current with
thresholds (:mod:`.levels`) need no gate and no time to settle: at every step they read all stages
through ``W·H``, and one another, so that a recurrent LMU runs on the chip as a whole.

The host turns inputs into bits and does nothing else.  The newest input reaches the units from
the host's comparators, which feed the line as well; stage j holds the input of j + 1 steps ago.
Both ways take one step on a chip, so every step is one input, without a lag between them.

Where an answer at every n-th input is enough, a gate is between line and units, as in :mod:`.line`.
It opens with every n-th input, and comparators behind the units hold what they said until it opens
again.  So the spikes of the window are weighed once where they would be n times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.front_end import FrontEnd, split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import FIRES_ABOVE
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import Sparse

from .levels import CLEAR, MOST_COPIES, Levels, comparator, fit_levels, level_code, record, schedule
from .line import (
    OPEN,
    LineCode,
    bit_populations,
    bit_projections,
    remembering,
    stage_projections,
    window_of,
)

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
    every: int = 1,
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
    every
        Inputs from one answer to the next, which stands until then; before the first all units
        are silent.

    Raises
    ------
    SpecError
        There is no linear memory that only the input drives; something besides neurons reads it;
        units that need more than a step an input; or, with ``every``, a network in which
        something else than the first memory depends on earlier inputs, or neurons behind neurons.
    """
    graph, dt = model.graph, model.timing.dt
    front = _front_end(graph)
    if every > 1:
        _require_one_layer(front)
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
    if coded.populations[0].name != graph.input:
        raise AssertionError("the input comes first")
    parts = _Parts(graph, front, levels, code, response, dt)
    if every > 1:
        parts = _Gated(graph, front, levels, code, response, dt, every, coded)
    populations, projections = [*parts.populations()], [*parts.projections()]
    populations += parts.behind(coded.populations[1:])
    projections += parts.reading(coded.projections)
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

    def behind(self, coded: Iterable[Population]) -> Iterator[Population]:
        """The level-coded network without its input."""
        yield from coded

    def reading(self, coded: Iterable[Projection]) -> Iterator[Projection]:
        """Its projections."""
        yield from coded

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
                window = value * self._window(boundary.first.post, boundary.place)
                name, spikes = f"{boundary.first.name}.line{bit}", f"{boundary.first.post}.spikes"
                yield from self._onto(spikes, bit, window, name)

    def _onto(self, spikes: str, bit: int, window: Array, name: str) -> Iterator[Projection]:
        """From one bit of the window, the newest input first, to the comparators of units."""
        newest, older = np.split(window, [self._channels], axis=1)
        yield Projection(f"line.bit{bit}", spikes, newest, name=f"{name}.newest")
        if self._stages:
            yield Projection(f"line.{bit}", spikes, older, name=name)

    def _window(self, post: str, place: slice) -> Array:
        """Current of each comparator from each input of the window, (comparators, inputs)."""
        unit = self.graph[post]
        # (stages, units, channels) → (units, stages, channels)
        window = self.code.spans * np.moveaxis(self.response[:, place], 1, 0)
        if self.code.signed:
            window = np.concatenate([window, -window], axis=2)
        gained = unit.gain[:, None] * window.reshape(len(window), -1)
        return np.repeat(gained, self.levels[post].count - 1, axis=0)


#: Currents of a comparator that holds what a unit's said: from that, from itself one step before,
#: and from "go".  It spikes if "go" and the unit do, or if it did itself and "go" does not.
TAKE, KEEP, RELEASE = 3.0, 1.5, -1.5
#: Current that makes a comparator spike on its own.
ENOUGH = 1.5


@dataclass(frozen=True)
class _Gated(_Parts):
    """The same with a gate that opens at every n-th input, and answers that stand until then.

    On the chip the gate is one step behind the line, units two, and what holds their answers
    three; "go" comes to each of them over as many neurons.
    """

    every: int
    coded: Graph

    def populations(self) -> Iterator[Population]:
        """Bits and lines, then "go" and the gates."""
        yield from super().populations()
        unit = comparator(self.dt)
        yield Population("line.tick", 1, pulse=self.every)
        yield Population("line.go", 1, unit, on_host=True)
        yield Population("line.open", max(map(len, self._away.values())), unit)
        yield Population("line.late", 1, unit)
        for bit in range(self.code.bits):
            yield Population(f"line.gate{bit}", len(self.response) * self._channels, unit)

    def behind(self, coded: Iterable[Population]) -> Iterator[Population]:
        """Units that are silent without "go", each followed by what holds its answer."""
        for population in coded:
            name = population.name
            if name not in self._units:
                yield population
                continue
            away = float(self._away[name].sum())
            yield replace(population, bias=population.bias - away)
            yield Population(self._units[name], population.size, comparator(self.dt))

    def reading(self, coded: Iterable[Projection]) -> Iterator[Projection]:
        """What read the units reads their answers as they are held."""
        for projection in coded:
            pre = self._units.get(projection.pre, projection.pre)
            yield replace(projection, pre=pre)

    def projections(self) -> Iterator[Projection]:
        """Of the line; through the gates; and from units to what holds their answers."""
        yield from super().projections()
        channels, older = self._channels, self._stages * self._channels
        size, first = channels + older, np.arange(channels)
        yield Projection("line.tick", "line.go", np.full(1, 2.0), name="line.tick_to_go")
        copies = max(map(len, self._away.values()))
        relay = np.full((copies, 1), ENOUGH)
        yield Projection("line.go", "line.open", relay, name="line.go_to_open")
        relay = np.full((1, copies), ENOUGH / copies)
        yield Projection("line.open", "line.late", relay, name="line.open_to_late")
        for bit in range(self.code.bits):
            gate, on = f"line.gate{bit}", np.arange(older)
            newest = Sparse((size, channels), first, first, np.full(channels, OPEN))
            yield Projection(f"line.bit{bit}", gate, newest, name=f"{gate}.newest")
            if older:
                stages = Sparse((size, older), on + channels, on, np.full(older, OPEN))
                yield Projection(f"line.{bit}", gate, stages, name=f"{gate}.stage")
            yield Projection("line.go", gate, np.full((size, 1), OPEN), name=f"{gate}.open")
        for name, held in self._units.items():
            unit, away = self.coded[name], self._away[name]
            if away.any():
                opened = unit.gain[:, None] * np.pad(away, (0, copies - len(away)))
                yield Projection("line.open", name, opened, name=f"{name}.open")
            yield Projection(name, held, np.full(unit.size, TAKE), name=f"{held}.take")
            keep = np.full(unit.size, KEEP)
            yield Projection(held, held, keep, tau=0.0, name=f"{held}.keep")
            release = np.full((unit.size, 1), RELEASE)
            yield Projection("line.late", held, release, name=f"{held}.release")

    def _onto(self, spikes: str, bit: int, window: Array, name: str) -> Iterator[Projection]:
        yield Projection(f"line.gate{bit}", spikes, window, name=name)

    @property
    def _units(self) -> dict[str, str]:
        """What holds the answers of each population of comparators."""
        return {f"{name}.spikes": f"{name}.held" for name in self.levels}

    @property
    def _away(self) -> dict[str, Array]:
        """How far below its threshold each of them stays without "go", in parts.

        No part is larger than the weights of the window, since a chip has one scale for both.
        """
        found = {}
        for boundary in self.front.boundaries:
            name = f"{boundary.first.post}.spikes"
            above = float(self.coded[name].bias.max()) - FIRES_ABOVE
            away = max(0.0, above + CLEAR)
            window = self._window(boundary.first.post, boundary.place)
            largest = self.code.values()[-1] * np.abs(window).max()
            parts = int(np.clip(np.ceil(away / max(largest, 1e-12)), 1, MOST_COPIES))
            found[name] = np.full(parts, away / parts)
        return found


def _require_one_layer(front: FrontEnd) -> None:
    """Raise a SpecError if anything but the first memory needs to be computed at every input."""
    rest = front.rest
    fix = "leave every out: units then read the line at every input"
    for projection in rest.projections:
        if not projection.immediate:
            raise SpecError(
                "every",
                got=f"{projection.post}, which reads what {projection.pre} was one input before",
                expected="a network whose first memory alone depends on earlier inputs",
                fix=fix,
            )
        behind = rest[projection.post].neuron.kind != "linear"
        if behind and projection.pre != rest.input:
            raise SpecError(
                "every",
                got=f"{projection.post}, which reads {projection.pre}",
                expected="one layer of neurons, which reads the memory",
                fix=fix,
            )


def _front_end(graph: Graph) -> FrontEnd:
    """The memory and the rest, or an error that says why there is no line for it."""
    front = split(graph)
    if front is None or not remembering(front):
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

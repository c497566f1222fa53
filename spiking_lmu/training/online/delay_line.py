"""The delay by a line of spikes: nothing is learned, since the readout follows in closed form.

A line holds the last inputs as bits (docs/memory-on-chip.md), and the input ``delay`` ago is in
one of its stages.  So the readout weighs the spikes of that stage with what their bits are worth.
What is left is the rounding of the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import given_target
from spiking_lmu.backends.target import Target
from spiking_lmu.conversion.line import SHIFT, LineCode
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import comparator
from spiking_lmu.graph.task import Task
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import Sparse
from spiking_lmu.runs.result import Result

from .delay import choose_spec, normalised_rmse
from .delay_network import delayed, white_noise
from .delay_spec import DelaySpec

Array = np.ndarray
#: The line's range in root mean squares of the noise; beyond it an input is cut off.
RANGE = 4.0


@dataclass(frozen=True, eq=False)
class LineDelay(Result):
    """What one run gave.

    Parameters
    ----------
    spec, target, bits
        What ran, where, and bits of an input, sign apart.
    stimulus, ideal, output
        The input, the input ``delay`` ago, and what the network put out; each (steps,).
    neurons, spikes
        Of the line, and how many spikes they sent in all.
    seconds
        Time that the simulation took, building not included.
    """

    spec: DelaySpec
    target: str
    bits: int
    stimulus: Array
    ideal: Array
    output: Array
    neurons: int
    spikes: int
    seconds: float

    @property
    def rmse(self) -> float:
        """Root mean square of output - ideal from ``off`` on, in the input's units."""
        error = (self.output - self.ideal)[self.spec.learning_steps :]
        return float(np.sqrt(np.mean(error**2)))

    @property
    def nrmse(self) -> float:
        """The same over the ideal's root mean square."""
        return normalised_rmse(self.output, self.ideal, self.spec.learning_steps)


def delay_model(steps: int, bits: int, span: float, dt: float = 0.001) -> Model:
    """A network whose output is its input ``steps`` steps ago, in ``bits`` bits and a sign.

    Parameters
    ----------
    span
        Inputs from -span to span; what is beyond is cut off.

    >>> delay_model(3, 2, 1.0).graph["line.0"].size
    6
    """
    code, unit = LineCode(bits, signed=True), comparator(dt)
    levels, signs = 2.0**bits - 1.0, np.array([[1.0], [-1.0]])
    populations, projections = [Population("x", 1)], []
    lines, readouts = [], []
    for bit in reversed(range(bits)):
        name, line = f"line.bit{bit}", f"line.{bit}"
        bias = np.full(2, 1.5 - 2.0**bit)
        populations.append(Population(name, 2, unit, bias=bias, on_host=True))
        lines.append(Population(line, 2 * steps, unit))
        projections.append(Projection("x", name, levels / span * signs, name=f"{name}.x"))
        for higher in range(bit + 1, bits):
            taken = np.full(2, -(2.0**higher))
            projections.append(
                Projection(f"line.bit{higher}", name, taken, name=f"{name}.without{higher}")
            )
        first, on = np.arange(2), np.arange(2 * steps - 2)
        enter = Sparse((2 * steps, 2), first, first, np.full(2, SHIFT))
        projections.append(Projection(name, line, enter, tau=0.0, name=f"{line}.enter"))
        if steps > 1:
            shift = Sparse((2 * steps, 2 * steps), on + 2, on, np.full(len(on), SHIFT))
            projections.append(Projection(line, line, shift, tau=0.0, name=f"{line}.shift"))
        worth = span * code.values()[bit] * signs.ravel()
        last = Sparse((1, 2 * steps), np.zeros(2), 2 * steps - 2 + first, worth)
        readouts.append(Projection(line, "y", last, name=f"{line}.to_y"))
    populations += [*lines, Population("y", 1)]
    graph = Graph(tuple(populations), (*projections, *readouts), "x", "y")
    return Model(graph, Timing(dt=dt), task=Task("regression", "every"))


def delay_by_line(
    spec: DelaySpec | str = "tuned",
    target: str | Target | None = None,
    *,
    bits: int = 6,
    **changes: Any,
) -> LineDelay:
    """Run the delay of ``spec`` as a line of spikes on a target.

    ``delay_by_line("one-second", "loihi", duration=5.0, off=2.0)``: of a spec only the noise,
    the delay and the times matter here.

    Parameters
    ----------
    spec
        What is delayed: a :class:`.delay_spec.DelaySpec`, or the name of a preset.
    target
        A target or its name; not given, the one nearest to the definition.
    bits
        Of an input on the line, besides its sign.
    changes
        Fields of the spec by name.

    Raises
    ------
    SpecError
        No such preset or field, or a value outside its range.
    TargetError
        The target is unknown or cannot run here.
    """
    spec = choose_spec(spec, changes)
    place = given_target(target, nearest=True)
    span = RANGE * spec.rms
    model = delay_model(spec.delay_steps, bits, span, spec.dt)
    stimulus = white_noise(spec).run_steps(spec.steps, d=1, dt=spec.dt).ravel()
    with place.deploy(model, spec.steps) as deployment:
        started = perf_counter()
        run = deployment.run(stimulus[None, :, None])
        seconds = perf_counter() - started
    sent = sum(int(n.sum()) for name, n in run.spikes.items() if not model.graph[name].on_host)
    neurons = sum(p.size for p in model.graph.on_chip)
    ideal = delayed(stimulus, spec.delay_steps)
    output = run.outputs[0, :, 0]
    return LineDelay(spec, place.name, bits, stimulus, ideal, output, neurons, sent, seconds)

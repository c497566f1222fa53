"""The rungs between the rate model and a target, each as a target of its own.

The first four need no target: the rate graph, and the spiking graph in float64 with its neurons'
response curves, with its synapses and timing, and with its spikes.  A level-coded graph has no
rates and no filters; what its spikes change is that values are rounded, and that is one rung.
Where one volley of spikes reads a line, inputs are rounded first, and nothing has a steady state:
then come the spikes.  What follows is the target's own.  A rung that is a target runs by the run
service as any other does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from time import perf_counter
from typing import Any

import numpy as np

from spiking_lmu.backends.rate import last_step_alone
from spiking_lmu.backends.target import Deployment, Run, Rung, Target
from spiking_lmu.conversion.line import LineCode, code_of
from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.cells import Cells
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import MakeStepper, check_input, run_reference
from spiking_lmu.graph.timing import Timing, lowpass_decay

from .reading import BATCH, Reading, ReadingRun, answers_in, hidden, window

RATE_MODEL, RESPONSE, TIMING, SPIKES, QUANTISATION, BITS = (
    "rate model",
    "response curve",
    "synapses and timing",
    "spikes",
    "quantisation",
    "bits",
)
#: What is new on each of the rungs that need no target.
CHANGES = {
    RATE_MODEL: "as it was trained",
    RESPONSE: "at the rates that the target's neurons have",
    TIMING: "filters, steps an input, settling",
    SPIKES: "spikes instead of rates",
}
#: The same of a level-coded model.
LEVEL_CHANGES = {
    RATE_MODEL: CHANGES[RATE_MODEL],
    QUANTISATION: "activations rounded to levels, values from the host to digits",
}


#: The same where a volley reads a line.
LINE_CHANGES = {
    RATE_MODEL: CHANGES[RATE_MODEL],
    BITS: "inputs rounded to the bits of the line",
    SPIKES: "one volley, and spikes instead of rates",
}


def changes(model: Model) -> dict[str, str]:
    """The rungs of a model that need no target, and what is new on each."""
    if model.level_coded:
        return LEVEL_CHANGES
    if any(p.pulse is not None for p in model.graph.populations):
        known = line_code(model) is not None
        return {rung: new for rung, new in LINE_CHANGES.items() if known or rung != BITS}
    return CHANGES


def line_code(model: Model) -> LineCode | None:
    """How the line of a converted model holds inputs; None if its record does not say."""
    if model.recorded("conversion", "options", "memory") != "line":
        return None
    return code_of(model.graph)


@dataclass(frozen=True)
class RungTarget(Target):
    """One rung of ``base``: an ideal one of :func:`changes`, or one of its own, by name.

    Of the rung ``bits`` it holds the line's code, which a model's record has and its graph has not.
    """

    base: Target
    rung: str
    code: LineCode | None = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """Of the target and the rung, for the journal."""
        return f"{self.base.name}-{self.rung.replace(' ', '-')}"

    @property
    def distributions(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the target, and NumPy."""
        return tuple(dict.fromkeys(("numpy", *self.base.distributions)))

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        memory_limit: int | None = None,
        **options: Any,
    ) -> Deployment:
        """Build the rung, under the options that the target itself runs with."""
        cells = self.base.cells
        if self.rung == RATE_MODEL:
            return RateRung(model, inputs)
        if self.rung == BITS:
            return RateRung(model, inputs, self.code)
        if self.rung == RESPONSE:
            return IdealRung(without_synapses(model), inputs, steady(cells), late=1)
        if self.rung == TIMING:
            return IdealRung(model, inputs, steady(cells))
        if self.rung in (SPIKES, QUANTISATION):
            return IdealRung(model, inputs, cells.stepper)
        given = {"seed": seed, "memory_limit": memory_limit, **options}
        rungs = rungs_of(self.base, model, inputs, given)
        return next(rung for rung in rungs if rung.name == self.rung).deploy()


def rungs_of(
    target: Target, model: Model, inputs: int, options: Mapping[str, Any]
) -> tuple[Rung, ...]:
    """A target's own rungs under those of ``options`` that its `rungs` takes by name."""
    parameters = signature(target.rungs).parameters
    taken = dict(options)
    if all(p.kind is not Parameter.VAR_KEYWORD for p in parameters.values()):
        taken = {name: value for name, value in options.items() if name in parameters}
    return target.rungs(model, inputs, **taken)


def steady(cells: Cells) -> MakeStepper:
    """What ``cells`` would fire at if their current never changed, as `run_reference` takes it."""

    def expected(neuron: Neuron, shape: tuple[int, ...], dt: float) -> Callable[[Array], Array]:
        return lambda current: dt * cells.response(neuron, current, dt)

    return expected


def without_synapses(model: Model) -> Model:
    """The spiking graph as static as the rate graph: one step an input, no filter of its own.

    Filters that the rate graph has too are part of what was trained and stay.
    """
    trained = {p.name: p.tau for p in model.rate.projections}
    projections = (
        replace(p, tau=trained.get(p.name), mean_from=None) for p in model.graph.projections
    )
    graph = replace(model.graph, projections=tuple(projections))
    return replace(model, graph=graph, timing=Timing(dt=model.timing.dt))


class RateRung(Deployment):
    """The rate graph: its answers, and the activity of its neurons after the last input.

    With a ``code``, on inputs as a line holds them.
    """

    batch_size = BATCH

    def __init__(self, model: Model, inputs: int, code: LineCode | None = None) -> None:
        self._code = code
        self._graph, self._every = model.rate, model.task.every
        self._short, self._fed = last_step_alone(model.rate, inputs)
        self.placement = {p.name: "numpy" for p in model.rate.populations}

    def run(self, x: Array, *, raster: bool = False) -> Run:
        """Run ``x`` (batch, inputs, size); nothing spikes."""
        started, last = perf_counter(), dict[str, Array]()

        def observe(step: int, values: dict[str, Array], totals: dict[str, Array]) -> None:
            last.update(values)

        x = check_input(self._graph, x)
        x = x if self._code is None else self._code.rounded(x)
        if self._every:
            outputs = answers = run_rate(self._graph, x, observe=observe, batch=len(x))
        else:
            outputs = run_reference(self._short, self._fed(x), observe=observe)
            answers = outputs[:, -1]
        activity = {p.name: last[p.name] for p in hidden(self._graph)}
        reading = Reading(answers, activity, {})
        return ReadingRun(outputs, {}, perf_counter() - started, reading=reading)


class IdealRung(Deployment):
    """A spiking graph in float64, with neurons of choice.

    Parameters
    ----------
    model
        Its graph and timing are run, by :func:`spiking_lmu.graph.reference.run_reference`.
    inputs
        Length of every sequence.
    cells
        As `run_reference` takes them.
    late
        Steps at the end over which rates are averaged; :func:`.reading.window` if not given.
    """

    batch_size = BATCH

    def __init__(
        self, model: Model, inputs: int, cells: MakeStepper, late: int | None = None
    ) -> None:
        self._model, self._inputs, self._cells = model, inputs, cells
        self._late = window(model.timing, inputs) if late is None else late
        self._front = split(model.graph)
        self._convolution = None if self._front is None else self._front.convolution(inputs)
        self.placement = {p.name: "numpy" for p in model.graph.populations}

    def run(self, x: Array, *, raster: bool = False) -> Run:
        """Run ``x`` (batch, inputs, size)."""
        started = perf_counter()
        x = check_input(self._model.graph, x)
        timing, spiking = self._model.timing, self._model.graph.spiking
        first = timing.total_steps(self._inputs) - self._late
        decay = lowpass_decay(timing.readout_tau, timing.dt)
        filtered = {p.name: np.zeros((len(x), p.size)) for p in spiking}
        counts = {p.name: np.zeros((len(x), p.size)) for p in spiking}

        def observe(step: int, values: dict[str, Array], totals: dict[str, Array]) -> None:
            for p in spiking:
                now = values[p.name]
                filtered[p.name] = decay * filtered[p.name] + (1 - decay) * now
                if step >= first:
                    counts[p.name] += now * (1.0 / p.spike_size(timing.dt))

        graph, fed = self._feed(x)
        outputs = run_reference(graph, fed, timing, observe, self._cells)
        seconds = self._late * timing.dt
        rates = {name: total / seconds for name, total in counts.items()}
        reading = Reading(answers_in(self._model, outputs), filtered, rates)
        return ReadingRun(outputs, {}, perf_counter() - started, reading=reading)

    def _feed(self, x: Array) -> tuple[Graph, Array]:
        """What is left to simulate behind the linear front end, and its input."""
        if self._front is None or self._convolution is None:
            return self._model.graph, x
        convolution, constant = self._convolution
        convolved = convolution.apply(np.asarray(x, float))
        delivered = np.empty((len(x), self._inputs, self._front.size))
        column = np.empty((self._front.size, len(x)))
        for step in range(self._inputs):
            convolved.write(step, column)
            delivered[:, step] = column.T + constant[step]
        return self._front.rest, delivered

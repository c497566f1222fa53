"""The whole trade-off from one run: the readout of every step, filtered afterwards.

The readout is linear and reads spikes without a filter of its own, and nothing reads it.  So a
model that is run with a long settle time and no readout filter has, at each step, what it would
have had with fewer steps; and a lowpass can follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spiking_lmu.backends.rate import RATE
from spiking_lmu.backends.target import Run, Target
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import check_input
from spiking_lmu.graph.timing import Timing, lowpass_decay

from .energy import Device, count_operations, estimate
from .statistics import mcnemar
from .tradeoff import Point, Tradeoff

Array = np.ndarray
#: What is looked at if nothing else is said: steps, and seconds.
SETTLE_STEPS = (5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200)
READOUT_TAUS = (0.005, 0.010, 0.020, 0.040)


@dataclass(frozen=True)
class Grid:
    """The timings of which each pair is a point.

    Parameters
    ----------
    settle_steps
        Steps for which the last input is held.
    readout_taus
        Time constants of the readout filter in seconds; 0 is no filter.

    Raises
    ------
    SpecError
        Nothing to look at, or a value that :class:`spiking_lmu.graph.timing.Timing` refuses.
    """

    settle_steps: tuple[int, ...] = SETTLE_STEPS
    readout_taus: tuple[float, ...] = READOUT_TAUS

    def __post_init__(self) -> None:
        if not self.settle_steps or not self.readout_taus:
            raise SpecError(
                "timings", got="none", expected="at least one of each", fix="name one or more"
            )
        for steps in self.settle_steps:
            for tau in self.readout_taus:
                Timing(settle_steps=steps, readout_tau=tau)
        object.__setattr__(self, "settle_steps", tuple(sorted(set(self.settle_steps))))
        object.__setattr__(self, "readout_taus", tuple(sorted(set(self.readout_taus))))


def run_tradeoff(
    model: Model,
    target: Target,
    x: Array,
    y: Array,
    grid: Grid | None = None,
    *,
    seed: int = 0,
    devices: Sequence[Device] = (),
    options: dict[str, Any] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Tradeoff:
    """Run a spiking model once, and say what every timing of ``grid`` would have given.

    Each point is what a deployment of its own would give: the same spikes, and the same
    decisions where no two outputs are equal up to rounding.

    Parameters
    ----------
    model
        A spiking classifier; its own settle steps and filter do not matter.
    x, y
        Inputs (samples, inputs, input_size) and classes (samples,).
    seed, options
        For the deployment.
    devices
        Of which energies are estimated.
    advance
        Told after each batch how many samples it had.

    Raises
    ------
    SpecError
        A model that does not spike or does not decide, a readout that something reads, or data
        of another shape.
    TargetError
        The target refuses the model.
    """
    _check(model)
    grid = grid or Grid()
    x, y = check_input(model.graph, x), np.asarray(y)
    longest = _timed(model, grid.settle_steps[-1], 0.0)
    sums = _Sums(longest, grid, x.shape[1], y)
    states = filter_states(longest, target, x[:1, :1], grid.readout_taus, seed, options)
    with (
        RATE.deploy(model, x.shape[1]) as rate,
        target.deploy(longest, x.shape[1], seed=seed, **(options or {})) as deployment,
    ):
        for start in range(0, len(x), deployment.batch_size):
            part = slice(start, start + deployment.batch_size)
            wanted = rate.run(x[part]).outputs[:, -1]
            sums.add(part, deployment.run(x[part], raster=True), wanted, states)
            if advance is not None:
                advance(len(y[part]))
    points = sums.points(model, devices)
    return Tradeoff(target.name, len(y), int(sums.rate_correct.sum()), points)


def filter_states(
    model: Model,
    target: Target,
    x: Array,
    taus: Sequence[float],
    seed: int = 0,
    options: dict[str, Any] | None = None,
) -> dict[float, Array]:
    """What each readout filter holds at the first step, shape (outputs,).

    Zero, unless the target lags: until the first spikes reach a chip's host its readout is the
    bias alone, and a filter has begun to follow that.  Asked of the target itself, on one input
    ``x`` of shape (1, 1, input_size); no input has arrived by then.
    """
    states = {tau: np.zeros(model.graph.output_size) for tau in taus}
    for tau in (tau for tau in taus if tau):
        with target.deploy(_timed(model, 1, tau), 1, seed=seed, **(options or {})) as deployment:
            states[tau] = deployment.run(x).outputs[0, 0]
        if not states[tau].any():
            break
    return states


def lowpass_at(outputs: Array, tau: float, dt: float, steps: Array, state: Array) -> Array:
    """``outputs`` (batch, steps, n) filtered up to the step before, at ``steps``.

    Parameters
    ----------
    tau, dt
        Of the filter, in seconds; 0 is no filter.
    steps
        Numbers of the wanted steps, ascending.
    state
        What the filter holds at the first step, (n,) or (batch, n).

    Returns
    -------
    Shape (batch, len(steps), n).
    """
    if not tau:
        return outputs[:, steps]
    keep = lowpass_decay(tau, dt)
    filtered = np.broadcast_to(state, outputs[:, 0].shape)
    found = np.empty((len(outputs), len(steps), outputs.shape[2]))
    for step in range(int(steps[-1]) + 1):
        found[:, steps == step] = filtered[:, None]
        filtered = keep * filtered + (1.0 - keep) * outputs[:, step]
    return found


class _Sums:
    """What has been counted so far, by settle steps and filter."""

    def __init__(self, model: Model, grid: Grid, inputs: int, y: Array) -> None:
        self._model, self._grid, self._y = model, grid, y
        presented = model.timing.total_steps(inputs) - model.timing.settle_steps
        self._totals = presented + np.array(grid.settle_steps)
        shape = (len(grid.settle_steps), len(grid.readout_taus))
        self._correct = np.zeros((*shape, len(y)), bool)
        self.rate_correct = np.zeros(len(y), bool)
        self._squares, self._rate_squares = np.zeros(shape), 0.0
        self._spikes = {p.name: np.zeros(len(self._totals)) for p in model.graph.spiking}

    def add(self, part: slice, run: Run, wanted: Array, states: dict[float, Array]) -> None:
        labels, dt = self._y[part], self._model.timing.dt
        self.rate_correct[part] = wanted.argmax(axis=1) == labels
        self._rate_squares += float((wanted**2).sum())
        for place, tau in enumerate(self._grid.readout_taus):
            got = lowpass_at(run.outputs, tau, dt, self._totals - 1, states[tau])
            self._correct[:, place, part] = (got.argmax(axis=2) == labels[:, None]).T
            self._squares[:, place] += ((got - wanted[:, None]) ** 2).sum(axis=(0, 2))
        for raster in run.rasters:
            for name, spikes in raster.items():
                self._spikes[name] += (spikes[:, :1] < self._totals).sum(axis=0)

    def points(self, model: Model, devices: Sequence[Device]) -> tuple[Point, ...]:
        points = []
        for i, settle in enumerate(self._grid.settle_steps):
            steps = int(self._totals[i])
            spikes = {name: float(n[i]) / len(self._y) for name, n in self._spikes.items()}
            operations = count_operations(model.graph, steps, spikes)
            for j, tau in enumerate(self._grid.readout_taus):
                correct = self._correct[i, j]
                points.append(
                    Point(
                        settle_steps=settle,
                        readout_tau=tau,
                        steps=steps,
                        correct=int(correct.sum()),
                        paired=mcnemar(correct, self.rate_correct),
                        relative_error=_relative(self._squares[i, j], self._rate_squares),
                        spikes=sum(spikes.values()),
                        joules=estimate(operations, devices),
                    )
                )
        return tuple(points)


def _relative(squares: float, rate_squares: float) -> float:
    return float(np.sqrt(squares / (rate_squares or 1.0)))


def _timed(model: Model, settle_steps: int, readout_tau: float) -> Model:
    timing = replace(model.timing, settle_steps=settle_steps, readout_tau=readout_tau)
    return replace(model, timing=timing)


def _check(model: Model) -> None:
    graph = model.graph
    readout = graph[graph.output]
    reason = ""
    if not graph.spiking:
        reason = "a model that does not spike"
    elif model.task.identity != "classification":
        reason = f"a model for {model.task}"
    elif readout.neuron.kind != "linear" or graph.outgoing(graph.output):
        reason = f"the output {graph.output}, which spikes or is read by others"
    if reason:
        raise SpecError(
            "trade-off of accuracy and latency",
            got=reason,
            expected="a spiking classifier with a linear readout that nothing reads",
            fix="convert a trained classifier",
        )

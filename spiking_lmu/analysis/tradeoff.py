"""Accuracy against latency against energy: the points of one run, and which of them to take.

A decision can be read at any step after the last input, through any filter.  Each pair of
*settle steps* and *readout filter* is a point: so many decisions kept, so many steps, so many
spikes.  All of them come from one run: the readout is linear and reads spikes without a filter
of its own, and nothing reads it.  So a model that is run with a long settle time and no readout
filter has, at each step, what it would have had with fewer steps; and a lowpass can follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import given_target
from spiking_lmu.backends.target import Run, Target
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import check_input
from spiking_lmu.graph.timing import Timing, lowpass_decay
from spiking_lmu.runs.result import Result
from spiking_lmu.runs.runner import Job, RunTask
from spiking_lmu.runs.service import RunService, RunSettings, open_service

from .check import require_possible
from .energy import Device, count_operations, estimate, load_devices
from .fitting import require_one_length
from .samples import draw, name_of
from .statistics import Paired, mcnemar

CHOICES = ("best", "knee", "fastest")
#: What ``fastest`` may lose against the best, in percentage points.
FASTEST_MAY_LOSE = 0.5
#: Samples, unless told otherwise.
SAMPLES = 200
#: Samples run at once: their spike trains have to fit.
BATCH = 128
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

    >>> Grid((50, 10), (0.01,)).settle_steps
    (10, 50)
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


@dataclass(frozen=True)
class Point:
    """What a model keeps and costs with one timing.

    Parameters
    ----------
    settle_steps, readout_tau
        The timing; steps, and seconds.
    steps
        Simulation steps of a sample in all: its latency.
    correct
        Right decisions.
    paired
        Against the rate model on the same samples.
    relative_error
        Of the outputs against the rate model's: root of the summed squared difference, over
        that of the summed squares, over all samples and outputs.
    spikes
        Mean number in a sample, up to its last step.
    joules
        Estimate for one sample by device (:func:`spiking_lmu.analysis.energy.estimate`).
    """

    settle_steps: int
    readout_tau: float
    steps: int
    correct: int
    paired: Paired
    relative_error: float
    spikes: float
    joules: dict[str, float | None]

    @property
    def accuracy(self) -> float:
        """Right decisions as a fraction of the samples."""
        return self.correct / self.paired.n

    @property
    def lost(self) -> int:
        """Right decisions of the rate model minus those of this point; negative is a gain."""
        return self.paired.only_b - self.paired.only_a

    @property
    def disagreements(self) -> int:
        """Samples that exactly one of the two decides rightly."""
        return self.paired.only_a + self.paired.only_b


@dataclass(frozen=True)
class Tradeoff(Result):
    """All points of one model on one target.

    Parameters
    ----------
    target
        Its name.
    samples
        How many were run.
    rate_correct
        Right decisions of the rate model.
    points
        By settle steps, then by filter.
    model, data
        Names of the model and of the data.
    """

    target: str
    samples: int
    rate_correct: int
    points: tuple[Point, ...]
    model: str = "model"
    data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-safe."""
        return asdict(self)


def tradeoff(
    model: Model,
    data: Dataset,
    target: str | Target | None = None,
    grid: Grid | None = None,
    *,
    samples: int | None = None,
    devices: Sequence[Device] | None = None,
    name: str = "",
    settings: RunSettings | None = None,
    **choices: Any,
) -> Tradeoff:
    """Run a spiking model once, and say what every timing of ``grid`` would have given.

    ``tradeoff(spiking, data.test, "reference", Grid((10, 50), (0.01,)))`` tells what 10 and 50
    steps to settle keep and cost.  Each point is what a deployment of its own would give: the
    same spikes, and the same decisions where no two outputs are equal up to rounding.

    Parameters
    ----------
    model
        A spiking classifier; its own settle steps and filter do not matter.
    data, samples
        Samples, and how many of them, drawn with the seed; 200, or all if there are fewer.
    devices
        Of which energies are estimated; those of this package if not given.
    target
        Its name or itself; the one that changes a model most if not given.
    name
        Of the model, for tables.
    settings, choices
        How samples are run: see :class:`spiking_lmu.runs.service.RunSettings`; a choice is one
        of its fields by name, such as ``workers=1``.

    Raises
    ------
    SpecError
        A model that does not spike or does not decide, a readout that something reads, data of
        another shape, or a setting outside its range.
    TargetError
        The target is unknown, cannot run here, or refuses the model.
    """
    settings = RunSettings.of(settings, choices)
    place = given_target(target)
    (options,) = settings.options_for([place])
    _check(model)
    require_possible({"": model}, [place])
    drawn = draw(data, min(SAMPLES, len(data)) if samples is None else samples, settings.seed)
    devices = load_devices(None) if devices is None else devices
    with open_service(settings) as service:
        job = Job(place, options=options, verify=settings.verify)
        return run_tradeoff(name or name_of(model), model, job, drawn, service, grid, devices)


def run_tradeoff(
    name: str,
    model: Model,
    job: Job,
    data: Dataset,
    service: RunService,
    grid: Grid | None = None,
    devices: Sequence[Device] = (),
) -> Tradeoff:
    """The same for those who have a run service already."""
    _check(model)
    grid = grid or Grid()
    require_one_length("tradeoff", data)
    x = check_input(model.graph, model.scaled(data.x[: job.samples]))
    y = np.asarray(data.y[: job.samples])
    longest = _timed(model, grid.settle_steps[-1], 0.0)
    seed, options = service.settings.seed, job.options
    states = filter_states(longest, job.target, x[:1, :1], grid.readout_taus, seed, options)
    presented = model.timing.total_steps(x.shape[1]) - model.timing.settle_steps
    measure = GridReading(
        tuple(presented + steps for steps in grid.settle_steps),
        tuple((tau, tuple(states[tau].tolist())) for tau in grid.readout_taus),
        model.timing.dt,
    )
    wanted = service.rate(name, model, data, job.samples).rows()
    label = f"{name} · {job.target.name} · settle times"
    rows = service.run(RunTask(label, longest, job, data, measure)).rows()
    outputs, spikes = measure.reading(longest, rows)
    points = _points(model, grid, measure.totals, outputs, spikes, wanted, y, devices)
    right = int((wanted.argmax(axis=1) == y).sum())
    whose = f"{data.name} {data.split}"
    return Tradeoff(job.target.name, len(y), right, points, name, whose)


@dataclass(frozen=True)
class GridReading:
    """Measures, for each timing of a grid, the output and the spikes so far.

    Parameters
    ----------
    totals
        Simulation steps of a sample with each number of settle steps, ascending.
    filters
        Time constant of each readout filter, and what it holds at the first step.
    dt
        Seconds.
    """

    totals: tuple[int, ...]
    filters: tuple[tuple[float, tuple[float, ...]], ...]
    dt: float
    raster = True
    batch = BATCH

    @property
    def key(self) -> dict[str, Any]:
        """All of it."""
        return {"totals": self.totals, "filters": self.filters}

    def width(self, model: Model) -> int:
        """Outputs of every timing, and spikes of every population at every number of steps."""
        outputs = len(self.filters) * model.graph.output_size
        return len(self.totals) * (outputs + len(model.graph.spiking))

    def rows(self, model: Model, run: Run) -> Array:
        """Shape (samples, width)."""
        steps = np.array(self.totals) - 1
        filtered = [
            lowpass_at(run.outputs, tau, self.dt, steps, np.array(state))
            for tau, state in self.filters
        ]
        spikes = [
            [(raster[p.name][:, :1] < self.totals).sum(axis=0) for p in model.graph.spiking]
            for raster in run.rasters
        ]
        samples = len(run.outputs)
        outputs = np.stack(filtered, axis=2).reshape(samples, -1)
        counted = np.array(spikes, dtype=float).reshape(samples, -1)
        return np.concatenate([outputs, counted], axis=1)

    def reading(self, model: Model, rows: Array) -> tuple[Array, Array]:
        """From the rows: outputs (samples, totals, filters, outputs), and spikes.

        Spikes have the shape (samples, populations, totals).
        """
        size = model.graph.output_size
        split = len(self.totals) * len(self.filters) * size
        outputs = rows[:, :split].reshape(len(rows), len(self.totals), len(self.filters), size)
        return outputs, rows[:, split:].reshape(len(rows), -1, len(self.totals))


def _points(
    model: Model,
    grid: Grid,
    totals: Sequence[int],
    outputs: Array,
    spikes: Array,
    wanted: Array,
    y: Array,
    devices: Sequence[Device],
) -> tuple[Point, ...]:
    points = []
    rate_right = wanted.argmax(axis=1) == y
    rate_squares = float((wanted**2).sum())
    for i, (settle, steps) in enumerate(zip(grid.settle_steps, totals, strict=True)):
        counts = spikes[:, :, i].mean(axis=0).tolist()
        by_name = dict(zip((p.name for p in model.graph.spiking), counts, strict=True))
        operations = count_operations(model.graph, steps, by_name)
        for j, tau in enumerate(grid.readout_taus):
            got = outputs[:, i, j]
            correct = got.argmax(axis=1) == y
            points.append(
                Point(
                    settle_steps=settle,
                    readout_tau=tau,
                    steps=steps,
                    correct=int(correct.sum()),
                    paired=mcnemar(correct, rate_right),
                    relative_error=_relative(float(((got - wanted) ** 2).sum()), rate_squares),
                    spikes=sum(counts),
                    joules=estimate(operations, devices),
                )
            )
    return tuple(points)


def pick(points: Sequence[Point], how: str = "best") -> Point:
    """Take one of ``points``, which are all of the same samples.

    ``best``
        The fewest decisions lost against the rate model; of equals, the smallest relative
        error, then the fewest steps.
    ``fastest``
        The fewest steps among the points that lose at most half a percentage point more than
        the best; of equals, the one that is best by the rule above.
    ``knee``
        Where more steps begin to pay less: the point of the Pareto front of steps (few) and
        accuracy (high) that is farthest above the chord from the fastest point to the front's
        highest accuracy at the slowest of ``points``, both axes scaled to 0..1 (V. Satopää et
        al., "Finding a 'Kneedle' in a haystack", ICDCS Workshops 2011; the front, which stays
        level after its last point, takes the place of their smoothed curve).  Of equals, the
        one with the fewest steps.

    Raises
    ------
    SpecError
        No points, or another word.
    """
    if not points or how not in CHOICES:
        raise SpecError(
            "choice of a point",
            got=repr(how) if points else "no points",
            expected="one of " + ", ".join(CHOICES) + " from at least one point",
            fix="pass pick=best",
        )
    if how == "knee":
        return _knee(pareto_front(points), max(point.steps for point in points))
    best = min(points, key=_by_loss)
    if how == "best":
        return best
    allowed = best.lost + FASTEST_MAY_LOSE / 100.0 * best.paired.n
    near = [point for point in points if point.lost <= allowed]
    return min(near, key=lambda point: (point.steps, *_by_loss(point)))


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Points that keep more decisions than all faster ones, from fast to slow.

    Of those with as many steps, the best counts alone.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.steps, *_by_loss(point))):
        if not front or point.correct > front[-1].correct:
            front.append(point)
    return front


def _by_loss(point: Point) -> tuple[int, float, int]:
    return point.lost, point.relative_error, point.steps


def _knee(front: list[Point], slowest: int) -> Point:
    first, last = front[0], front[-1]
    if first is last:
        return first

    def above_chord(point: Point) -> float:
        """Height over the chord; the distance from it is this divided by the root of two."""
        x = (point.steps - first.steps) / (slowest - first.steps)
        y = (point.correct - first.correct) / (last.correct - first.correct)
        return y - x

    return max(front, key=above_chord)


def filter_states(
    model: Model,
    target: Target,
    x: Array,
    taus: Sequence[float],
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
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

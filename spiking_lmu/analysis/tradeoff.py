"""Accuracy against latency against energy: the points of one run, and which of them to take.

A decision can be read at any step after the last input, through any filter.  Each pair of
*settle steps* and *readout filter* is a point: so many decisions kept, so many steps, so many
spikes.  All of them come from one run: the readout is linear and reads spikes without a filter
of its own, and nothing reads it.  So a model that is run with a long settle time and no readout
filter has, at each step, what it would have had with fewer steps; and a lowpass can follow.

With an answer at every input there is no waiting after the last: the filters alone are looked
at, and how late they make the answers.  Where the readout remembers (it adds up what every input
says), its own timing is the one point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import given_target
from spiking_lmu.backends.target import Run, Target
from spiking_lmu.conversion.convert import gathers
from spiking_lmu.datasets import Dataset, require_dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import Model, require_model
from spiking_lmu.graph.reference import check_input
from spiking_lmu.graph.timing import Timing, lowpass_decay
from spiking_lmu.runs.result import Result
from spiking_lmu.runs.runner import Job, RunTask
from spiking_lmu.runs.service import RunService, RunSettings, open_service

from .check import require_possible
from .energy import Device, count_operations, estimate, load_devices
from .fitting import require_fit
from .metrics import (
    METRIC,
    Difference,
    Metric,
    answers_alone,
    latency,
    paired_with,
    right,
    value_of,
)
from .samples import draw, name_of
from .statistics import Paired, relative_error

CHOICES = ("best", "knee", "fastest")
#: What ``fastest`` may lose against the best, in percentage points.
FASTEST_MAY_LOSE = 0.5
#: The same of a regression, as a share of the rate model's error.
FASTEST_MAY_LOSE_SHARE = 0.05
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
        Simulation steps of a sample in all, the mean over samples: its latency.
    value
        Of the task's metric, such as the share of right decisions.
    paired
        Against the rate model on the same samples.
    lost, disagreements
        Right decisions of the rate model minus those of this point (negative is a gain), and
        answers that exactly one of the two decides rightly; both 0 of a regression.
    relative_error
        Of the outputs against the rate model's: root of the summed squared difference, over
        that of the summed squares, over all samples and outputs.
    spikes
        Mean number in a sample, up to its last step.
    joules
        Estimate for one sample by device (:func:`spiking_lmu.analysis.energy.estimate`).
    late
        How many inputs later than the rate model's the answers come.
    """

    settle_steps: int
    readout_tau: float
    steps: float
    value: float
    paired: Paired | Difference
    lost: int
    disagreements: int
    relative_error: float
    spikes: float
    joules: dict[str, float | None]
    late: int = 0

    @property
    def metric(self) -> Metric:
        """What it is judged by."""
        return METRIC[self.paired.metric if isinstance(self.paired, Difference) else "accuracy"]

    @property
    def merit(self) -> float:
        """The value, such that more is better."""
        return self.value if self.metric.rises else -self.value

    @property
    def allowance(self) -> float:
        """What ``fastest`` may lose: half a point, or a share of the rate model's error."""
        if self.metric.points:
            return FASTEST_MAY_LOSE / self.metric.factor
        rate = self.value - self.paired.difference
        return FASTEST_MAY_LOSE_SHARE * abs(1 - rate if self.metric.name == "r2" else rate)


class ByBest:
    """What is ranked by the best of its points."""

    @property
    def best(self) -> Point:
        """The point that a search goes by."""
        raise NotImplementedError

    @property
    def lost(self) -> int:
        """Of the best point."""
        return self.best.lost

    @property
    def disagreements(self) -> int:
        """Of the best point."""
        return self.best.disagreements

    @property
    def relative_error(self) -> float:
        """Of the best point."""
        return self.best.relative_error


@dataclass(frozen=True)
class Tradeoff(Result):
    """All points of one model on one target.

    Parameters
    ----------
    target
        Its name.
    samples
        How many were run.
    rate_value
        The rate model's, of the task's metric.
    points
        By settle steps, then by filter.
    model, data
        Names of the model and of the data.
    """

    target: str
    samples: int
    rate_value: float
    points: tuple[Point, ...]
    model: str = "model"
    data: str = ""

    @property
    def metric(self) -> Metric:
        """What all points are judged by."""
        return self.points[0].metric

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
        A spiking model.  Its own settle steps and filter do not matter where the answer is
        taken after the last input, by a readout that remembers nothing.
    data, samples
        Samples, and how many of them, drawn with the seed; 200, or all if there are fewer.
    target
        Its name or itself; the one that changes a model most if not given.
    grid
        Settle steps, and time constants of the readout's filter in seconds; a usual grid if not
        given.
    devices
        Of which energies are estimated; those of this package if not given.
    name
        Of the model, for tables.
    settings, choices
        How samples are run: see :class:`spiking_lmu.runs.service.RunSettings`; a choice is one
        of its fields by name, such as ``workers=1``.

    Raises
    ------
    SpecError
        A model that does not spike, whose readout spikes or is read by others; a grid that it
        cannot have; or a setting outside its range.
    DatasetError
        Data that do not fit the model.
    TargetError
        The target is unknown, cannot run here, or refuses the model.
    """
    require_model(model)
    settings = RunSettings.of(settings, choices)
    place = given_target(target)
    (options,) = settings.options_for([place])
    _check(model)
    require_possible({"": model}, [place])
    require_dataset(data)
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
    require_fit(name, model, data)
    if grid is None:
        own = (model.timing.readout_tau,) if model.task.every else ()
        grid = grid_for(model, readout_taus=(*READOUT_TAUS, *own))
    else:
        grid = _allowed(model, grid)
    whole = data if job.samples is None else data.subset(np.arange(job.samples))
    answers = data.x.shape[1] if model.task.every else 1
    filters: tuple[tuple[float, tuple[float, ...]], ...]
    if remembers(model):
        longest, filters = model, ((0.0, (0.0,) * model.graph.output_size),)
    else:
        longest = _timed(model, grid.settle_steps[-1], 0.0)
        seed, options = service.settings.seed, job.options
        x = check_input(model.graph, model.scaled(data.x[:1, :1]))
        states = filter_states(longest, job.target, x, grid.readout_taus, seed, options)
        filters = tuple((tau, tuple(states[tau].tolist())) for tau in grid.readout_taus)
    measure = GridReading(grid.settle_steps, filters, model.timing.dt, answers)
    wanted = service.rate(name, model, data, job.samples).rows()
    if model.task.every:
        wanted = wanted.reshape(len(wanted), answers, -1)
    label = f"{name} · {job.target.name} · settle times"
    rows = service.run(RunTask(label, longest, job, data, measure)).rows()
    outputs, spikes = measure.reading(longest, rows)
    points = _points(model, grid, outputs, spikes, wanted, whole, devices)
    rate = value_of(whole.task, whole.y, wanted, whole.lengths)
    whose = f"{data.name} {data.split}"
    return Tradeoff(job.target.name, len(whole), rate, points, name, whose)


def remembers(model: Model) -> bool:
    """Whether the output adds what every input says to what it was: its timing is part of it."""
    return gathers(model.graph)


def grid_for(
    model: Model,
    settle_steps: Sequence[int] = SETTLE_STEPS,
    readout_taus: Sequence[float] = READOUT_TAUS,
    timing: Timing | None = None,
) -> Grid:
    """The timings that can be looked at, of those that are given; the model's own where none is.

    ``timing`` is in the place of the model's own.
    """
    timing = timing or model.timing
    if remembers(model):
        return Grid((timing.settle_steps,), (timing.readout_tau,))
    if model.task.every:
        return Grid((timing.settle_steps,), tuple(readout_taus))
    return Grid(tuple(settle_steps), tuple(readout_taus))


def _allowed(model: Model, grid: Grid) -> Grid:
    """The grid, if the model can have it.

    Raises
    ------
    SpecError
        It cannot.
    """
    own = grid_for(model, grid.settle_steps, grid.readout_taus)
    if own != grid:
        got = f"{len(grid.settle_steps)} settle times and {len(grid.readout_taus)} filters"
        reason = "an answer at every input" if model.task.every else "a readout that remembers"
        raise SpecError(
            "grid",
            got=got,
            expected=f"what a model with {reason} can have without another conversion",
            fix="leave grid out",
        )
    return grid


@dataclass(frozen=True)
class GridReading:
    """Measures, for each timing of a grid, the output and the spikes so far.

    Parameters
    ----------
    settle_steps
        Ascending.
    filters
        Time constant of each readout filter, and what it holds at the first step.
    dt
        Seconds.
    answers
        So many a sample at most: 1, or the inputs of the longest.
    """

    settle_steps: tuple[int, ...]
    filters: tuple[tuple[float, tuple[float, ...]], ...]
    dt: float
    answers: int = 1
    raster = True
    batch = BATCH

    @property
    def key(self) -> dict[str, Any]:
        """All of it."""
        return {"grid": self.settle_steps, "filters": self.filters, "answers": self.answers}

    def width(self, model: Model) -> int:
        """Outputs of every timing, and spikes of every population at every number of steps."""
        outputs = len(self.filters) * self.answers * model.graph.output_size
        return len(self.settle_steps) * (outputs + len(model.graph.spiking))

    def rows(self, model: Model, run: Run) -> Array:
        """Shape (samples, width); answers of shorter samples end in zeros."""
        samples, longest, size = run.outputs.shape
        presented = longest - self.settle_steps[-1]
        totals = presented + np.array(self.settle_steps)
        steps = totals - 1
        if model.task.every:
            # The one settle time comes after the last input alone.
            steps = model.timing.presentation_ends(presented // model.timing.steps_per_input)
        filtered = [
            lowpass_at(run.outputs, tau, self.dt, steps, np.array(state))
            for tau, state in self.filters
        ]
        outputs = np.zeros((samples, len(self.settle_steps), len(filtered), self.answers, size))
        for i, values in enumerate(filtered):
            if model.task.every:
                outputs[:, 0, i, : values.shape[1]] = values
            else:
                outputs[:, :, i, 0] = values
        spikes = [
            [(raster[p.name][:, :1] < totals).sum(axis=0) for p in model.graph.spiking]
            for raster in run.rasters
        ]
        counted = np.array(spikes, dtype=float).reshape(samples, -1)
        return np.concatenate([outputs.reshape(samples, -1), counted], axis=1)

    def reading(self, model: Model, rows: Array) -> tuple[Array, Array]:
        """From the rows: outputs (samples, settle times, filters, answers, outputs), and spikes.

        Spikes have the shape (samples, populations, settle times).
        """
        times, filters = len(self.settle_steps), len(self.filters)
        shape = (len(rows), times, filters, self.answers, model.graph.output_size)
        split = int(np.prod(shape[1:]))
        return rows[:, :split].reshape(shape), rows[:, split:].reshape(len(rows), -1, times)


def _points(
    model: Model,
    grid: Grid,
    outputs: Array,
    spikes: Array,
    wanted: Array,
    data: Dataset,
    devices: Sequence[Device],
) -> tuple[Point, ...]:
    points, task, y, lengths = [], data.task, data.y, data.lengths
    rate_right = right(task, y, wanted, lengths)
    inputs = float(lengths.mean())
    for i, settle in enumerate(grid.settle_steps):
        steps = inputs * model.timing.steps_per_input + settle
        counts = spikes[:, :, i].mean(axis=0).tolist()
        by_name = dict(zip((p.name for p in model.graph.spiking), counts, strict=True))
        operations = count_operations(model.graph, steps, by_name)
        for j, tau in enumerate(grid.readout_taus):
            got = outputs[:, i, j] if task.every else outputs[:, i, j, 0]
            correct = right(task, y, got, lengths)
            alone, theirs = (answers_alone(task, values, lengths) for values in (got, wanted))
            points.append(
                Point(
                    settle_steps=settle,
                    readout_tau=tau,
                    steps=int(steps) if steps.is_integer() else steps,
                    value=value_of(task, y, got, lengths),
                    paired=paired_with(task, y, got, wanted, lengths),
                    lost=int(rate_right.sum()) - int(correct.sum()),
                    disagreements=int((correct != rate_right).sum()),
                    relative_error=relative_error(alone, theirs),
                    spikes=sum(counts),
                    joules=estimate(operations, devices),
                    late=latency(task, got, wanted, lengths),
                )
            )
    return tuple(points)


def pick(points: Sequence[Point], how: str = "best") -> Point:
    """Take one of ``points``, which are all of the same samples.

    ``best``
        The best value of the metric; of equals, the smallest relative error, then the fewest
        steps.
    ``fastest``
        The fewest steps among the points that lose at most half a percentage point more than
        the best (of a regression, 5 % of the rate model's error); of equals, the one that is
        best by the rule above.
    ``knee``
        Where more steps begin to pay less: the point of the Pareto front of steps (few) and
        metric (good) that is farthest above the chord from the fastest point to the front's
        best value at the slowest of ``points``, both axes scaled to 0..1 (V. Satopää et
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
    # Sums of shares are rounded; a sample is much more.
    allowed = best.merit - best.allowance - 1e-12
    near = [point for point in points if point.merit >= allowed]
    return min(near, key=lambda point: (point.steps, *_by_loss(point)))


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Points with a better value than all faster ones, from fast to slow.

    Of those with as many steps, the best counts alone.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.steps, *_by_loss(point))):
        if not front or point.merit > front[-1].merit:
            front.append(point)
    return front


def _by_loss(point: Point) -> tuple[float, float, float]:
    return -point.merit, point.relative_error, point.steps


def _knee(front: list[Point], slowest: float) -> Point:
    first, last = front[0], front[-1]
    if first is last:
        return first

    def above_chord(point: Point) -> float:
        """Height over the chord; the distance from it is this divided by the root of two."""
        x = (point.steps - first.steps) / (slowest - first.steps)
        y = (point.merit - first.merit) / (last.merit - first.merit)
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


def _timed(model: Model, settle_steps: int, readout_tau: float) -> Model:
    timing = replace(model.timing, settle_steps=settle_steps, readout_tau=readout_tau)
    return replace(model, timing=timing)


def _check(model: Model) -> None:
    graph = model.graph
    readout = graph[graph.output]
    reason = ""
    if not graph.spiking:
        reason = "a model that does not spike"
    elif readout.neuron.kind != "linear" or any(
        p.post != graph.output for p in graph.outgoing(graph.output)
    ):
        reason = f"the output {graph.output}, which spikes or is read by others"
    if reason:
        raise SpecError(
            "trade-off of accuracy and latency",
            got=reason,
            expected="a spiking model with a linear readout that no other population reads",
            fix="convert a trained model",
        )

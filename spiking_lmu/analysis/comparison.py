"""``compare``: models on targets over one set of samples; resumable, interruptible without loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import takewhile
from sys import float_info
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import find_targets
from spiking_lmu.backends.target import Target
from spiking_lmu.compat import environment
from spiking_lmu.datasets import Dataset, require_dataset
from spiking_lmu.errors import SpecError, require_at_least
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import CLASSIFICATION, Model
from spiking_lmu.graph.task import Task
from spiking_lmu.runs.journal import RunRecord
from spiking_lmu.runs.measures import answers_of
from spiking_lmu.runs.result import Result
from spiking_lmu.runs.results import Outcome
from spiking_lmu.runs.runner import LOOK, Job, Runner, RunTask
from spiking_lmu.runs.service import (
    RunService,
    RunSettings,
    open_service,
    rate_task,
    targets_of,
)
from spiking_lmu.runs.shards import one_line

from .anytime import sequential
from .check import require_possible
from .energy import EnergyReport, counts_of, energy_report, load_devices
from .explain import Explanation
from .explain.explanation import explained
from .fitting import order_of_classes, out_of_range, require_fit
from .metrics import METRIC, compared, value_of
from .samples import Models, draw, named
from .tradeoff import Tradeoff, run_tradeoff

#: Names for people of the neurons in a spiking model.
NEURON_NAMES = {"spiking_relu": "SpikingRectifiedLinear", "lif": "LIF"}
#: Samples recorded in full, for pictures.
TRACES = 3


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """All outcomes on one set of samples.

    Parameters
    ----------
    data
        Name and split of the data set: ``"psmnist test"``.
    data_size
        Samples in that split.
    indices, labels
        The wanted samples, shape (n,), and their answers as a data set's ``y``.
    images
        The traced samples as pictures, by sample number, where the data are images.
    classes
        Names of the classes.
    rate
        The rate model's outcome by model name (its own rows in the table).
    outcomes
        The spiking outcomes, in the order of the table.
    provenance
        JSON-safe: command, versions, digests, seed, date.
    missing
        Targets that would have run but cannot here, with the reason.
    remarks
        What else there is to say, such as why something could not be explained.
    costs
        Operations and energy of each model that ran.
    explanations, tradeoffs
        Of each model on each target, where they were asked for.
    task
        What was asked, and by what metric answers are judged.
    lengths
        Inputs of each sample, shape (n,).
    inputs
        The traced samples as they are in the data, (inputs, channels), by sample number.
    dt
        Seconds from one input to the next, if known.

    Examples
    --------
    ``compare(model, data)`` gives a ``Comparison(data="psmnist test", ...)``; ``print`` shows its
    table, and ``to_html("report.html")`` writes its page.
    """

    data: str
    data_size: int
    indices: Array
    labels: Array
    images: dict[int, Array]
    classes: tuple[str, ...]
    rate: dict[str, Outcome]
    outcomes: tuple[Outcome, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    costs: tuple[EnergyReport, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    tradeoffs: tuple[Tradeoff, ...] = ()
    task: Task = CLASSIFICATION
    lengths: Array = field(default_factory=lambda: np.zeros(0, dtype=int))
    inputs: dict[int, Array] = field(default_factory=dict)
    dt: float | None = None

    @property
    def failed(self) -> bool:
        """Whether no target ran to its end."""
        return all(outcome.problem for outcome in self.outcomes)


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; ``comparison`` holds everything that was finished.

    ::

        try:
            result = compare(model, data, journal="finished")
        except Interrupted as stopped:
            result = stopped.comparison
    """

    def __init__(self, comparison: Comparison) -> None:
        super().__init__("interrupted")
        self.comparison = comparison


def compare(
    models: Models,
    data: Dataset,
    targets: str | Target | Job | Sequence[str | Target | Job] | None = None,
    *,
    samples: int | None = None,
    until: float | str | None = None,
    explain: int = 0,
    traces: int = TRACES,
    provenance: Mapping[str, Any] | None = None,
    settings: RunSettings | None = None,
    **choices: Any,
) -> Comparison:
    """Run spiking models on targets, and their rate models, on the same samples.

    ``compare(spiking, data.test, targets=["reference", "loihi"], samples=1000)`` is a table in
    a notebook; its ``to_html("report.html")`` writes a page.

    Parameters
    ----------
    models
        Spiking models: one, several, or several by name.
    data
        Samples, such as ``data.test``.
    targets
        By name, or targets themselves, or a `Job` where one has samples or options of its own;
        all that can run here if not given.
    samples
        So many samples, drawn with the seed; None is all, in their order.
    until
        Stop each run once the difference to the rate model is known to so many percentage
        points (or units of the task's metric, if that is no share) either way.  The samples are
        drawn with the seed then; where every `Job` has its
        own number of samples, they have to be in random order already.
    explain
        Climb the ladder of every model on every target, and trade accuracy off against
        latency, on so many samples.
    traces
        Samples that are recorded in full for pictures.
    provenance
        More for the record, JSON-safe.
    settings, choices
        How samples are run: see :class:`spiking_lmu.runs.service.RunSettings`; a choice is one
        of its fields by name, such as ``workers=1`` or ``journal="finished"``.

    Raises
    ------
    Interrupted
        On Ctrl-C or a notebook's stop button, with what was finished.
    SpecError
        A model that does not spike, or a setting outside its range.
    DatasetError
        Data that do not fit a model: another input, task, or number of outputs.
    TargetError
        A target that is unknown or cannot run here, or none that can run any of the models.
    FileError
        The journal cannot be read or written.
    """
    settings = RunSettings.of(settings, choices)
    by_name = named(models)
    for name, model in by_name.items():
        require_spiking(name, model)
    require_dataset(data)
    points = None if until is None else parse_points(until, data.task.metric)
    require_at_least("explain", explain, 0)
    jobs, missing = _jobs(targets, settings)
    require_possible(by_name, [job.target for job in jobs])
    wanted = _wanted(data, jobs, samples, points, settings.seed)
    # Drawn before anything runs, so that a wrong number of samples costs no time.
    why = draw(data, explain, settings.seed) if explain else None
    for name, model in by_name.items():
        require_fit(name, model, wanted)
    run = _Comparing(by_name, jobs, wanted, points, traces, missing, provenance or {}, settings)
    with open_service(settings) as service:
        try:
            run.models(service)
            run.explain(service, why)
        except KeyboardInterrupt:
            raise Interrupted(run.comparison()) from None
    return run.comparison()


def _jobs(
    targets: str | Target | Job | Sequence[str | Target | Job] | None, settings: RunSettings
) -> tuple[list[Job], dict[str, str]]:
    """What is run, and which targets would be but cannot here."""
    missing: dict[str, str] = {}
    if targets is None:
        every = find_targets()
        missing = {found.name: found.unusable for found in every if found.unusable}
        several: list[str | Target | Job] = [f.name for f in every if not f.unusable]
    else:
        several = [targets] if isinstance(targets, str | Target | Job) else list(targets)
    places = targets_of([one.target if isinstance(one, Job) else one for one in several])
    options = settings.options_for(places)
    return [
        one if isinstance(one, Job) else Job(place, None, chosen, settings.verify)
        for one, place, chosen in zip(several, places, options, strict=True)
    ], missing


def _wanted(
    data: Dataset, jobs: Sequence[Job], samples: int | None, until: float | None, seed: int
) -> Dataset:
    own = [job.samples for job in jobs if job.samples is not None]
    if samples is None and until is not None and len(own) < len(jobs):
        return data.draw(len(data), seed)
    most = samples if samples is None or not own else max(samples, *own)
    return draw(data, most, seed)


class _Comparing:
    """A comparison under way; :meth:`comparison` gives what is there, finished or not."""

    def __init__(
        self,
        models: dict[str, Model],
        jobs: list[Job],
        data: Dataset,
        until: float | None,
        traces: int,
        missing: dict[str, str],
        provenance: Mapping[str, Any],
        settings: RunSettings,
    ) -> None:
        self._models, self._jobs, self._data, self._until = models, jobs, data, until
        self._traces, self._missing = traces, missing
        self._provenance = {
            "seed": settings.seed,
            "data_digest": data.digest,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **environment(),
            "models": {name: model.provenance for name, model in models.items()},
            **provenance,
        }
        found = {
            say(model, data)
            for model in models.values()
            for say in (order_of_classes, out_of_range)
        }
        self._remarks = sorted(said for said in found if said)
        self._rate: dict[str, Outcome] = {}
        self._outcomes: list[Outcome] = []
        self._explanations: list[Explanation] = []
        self._tradeoffs: list[Tradeoff] = []

    def models(self, service: RunService) -> None:
        """Run every model and its rate model."""
        for name, model in self._models.items():
            runner = service.runner(rate_task(name, model, self._data))
            try:
                runner.run()
            finally:
                self._rate[name] = _rate_outcome(name, model, runner)
            for job in self._jobs:
                runner = service.runner(self._task(name, model, job))
                try:
                    runner.attempt()
                finally:
                    self._outcomes.append(_outcome(name, runner, self._until))

    def _task(self, name: str, model: Model, job: Job) -> RunTask:
        label = f"{name} · {job.target.name}"
        measure = answers_of(model, self._data.x.shape[1])
        if self._until is None:
            return RunTask(label, model, job, self._data, measure, traces=self._traces)
        enough = known_to(self._until, self._rate[name], self._data)
        label += f", until ±{self._until:g}"
        return RunTask(label, model, job, self._data, measure, traces=self._traces, enough=enough)

    def explain(self, service: RunService, data: Dataset | None) -> None:
        """Ladder and trade-off of every model on every target that ran it.

        What cannot be explained is remarked, and left out.  The same engines ran the comparison
        and were verified there.
        """
        if data is None:
            return
        ran = {(o.model, o.target) for o in self._outcomes if len(o.indices)}
        devices = load_devices(None)
        for name, model in self._models.items():
            for job in self._jobs:
                if (name, job.target.name) not in ran:
                    continue
                own = replace(job, samples=None, verify=0)
                try:
                    why = explained(name, model, own, data, service)
                    curve = run_tradeoff(name, model, own, data, service, devices=devices)
                except Exception as error:
                    reason = one_line(error)
                    self._remarks.append(f"{name} on {job.target.name} is not explained: {reason}")
                    continue
                self._explanations.append(why)
                self._tradeoffs.append(curve)

    def comparison(self) -> Comparison:
        """What is finished so far."""
        data, drawn = self._data, range(min(self._traces, len(self._data)))
        pictures = {int(data.indices[row]): data.drawing(row) for row in drawn}
        return Comparison(
            data=data.what,
            data_size=data.total,
            indices=data.indices,
            labels=data.y,
            images={index: image for index, image in pictures.items() if image is not None},
            classes=data.task.names,
            rate=self._rate,
            outcomes=tuple(self._outcomes),
            provenance=self._provenance,
            missing=self._missing,
            remarks=(*self._remarks, *self._at_answers()),
            costs=tuple(self._costs()),
            explanations=tuple(self._explanations),
            tradeoffs=tuple(self._tradeoffs),
            task=data.task,
            lengths=data.lengths,
            inputs={int(data.indices[row]): data.x[row, : data.lengths[row]] for row in drawn},
            dt=data.dt,
        )

    def _at_answers(self) -> list[str]:
        """Of networks that answer at every n-th input, what they say at these inputs alone."""
        task, found = self._data.task, []
        places = {index: i for i, index in enumerate(self._data.indices.tolist())}
        for outcome in self._outcomes:
            n = self._models[outcome.model].graph.answers_every
            rows = [places[index] for index in outcome.indices.tolist()]
            ends = self._data.lengths[rows] // n
            if n == 1 or not task.every:
                continue
            if not ends.any():
                found.append(
                    f"{outcome.model} on {outcome.target} answers at every {n} inputs, and no "
                    "sample has so many: what it puts out is no answer"
                )
                continue
            rate = self._rate[outcome.model]
            by_index = dict(zip(rate.indices.tolist(), rate.outputs, strict=True))
            theirs = np.array([by_index[index] for index in outcome.indices.tolist()])
            truth, metric = self._data.y[rows, n - 1 :: n], METRIC[task.metric]
            here, there = (
                f"{metric.factor * value_of(task, truth, o[:, n - 1 :: n], ends):.4g}"
                for o in (outcome.outputs, theirs)
            )
            found.append(
                f"{outcome.model} on {outcome.target} answers at every {n} inputs, and each answer "
                f"stands until the next; at these inputs alone: {metric.label} {here}, rate model "
                f"{there}"
            )
        return found

    def _costs(self) -> list[EnergyReport]:
        devices, found = load_devices(None), []
        for name, model in self._models.items():
            ran = [o for o in self._outcomes if o.model == name and len(o.indices)]
            if ran:
                counted = [counts_of(outcome) for outcome in ran]
                found.append(replace(energy_report(model, counted, devices), model=name))
        return found


def require_spiking(name: str, model: Model, file: str = "") -> None:
    """Raise a SpecError unless ``model`` spikes; ``file`` is what a command calls it."""
    if not model.graph.spiking:
        raise SpecError(
            name,
            got="a rate model",
            expected="a spiking model",
            fix=f"convert it first: spiking-lmu convert {file or name} -o {name}-spiking.slmu",
        )


def parse_points(until: float | str, metric: str = "accuracy") -> float:
    """Percentage points either way; of a metric that is no share, its own units.

    Raises
    ------
    SpecError
        Not a number above 0, or more than 100 percentage points.

    >>> parse_points("±0.5"), parse_points("+-0.5"), parse_points(0.5)
    (0.5, 0.5, 0.5)
    >>> parse_points("250", "rmse")
    250.0
    """
    shares = METRIC[metric].points
    try:
        points = float(str(until).removeprefix("±").removeprefix("+-"))
    except ValueError:
        points = math.nan
    if not 0 < points <= (100 if shares else float_info.max):
        unit = "percentage points above 0, at most 100"
        raise SpecError(
            "until",
            got=repr(until),
            expected=unit if shares else f"a number above 0, in units of {METRIC[metric].label}",
            fix=f"try until=±{0.5 if shares else 0.01}",
        )
    return points


def _rate_outcome(name: str, model: Model, runner: Runner) -> Outcome:
    return Outcome(
        model=name,
        neuron="rate",
        target=runner.task.job.target.name,
        indices=np.array([sample.index for sample in runner.done], int),
        outputs=_answers(runner),
        spikes={},
        placement=runner.recorded.placement,
        seconds=sum(sample.seconds for sample in runner.done),
        steps=runner.task.data.x.shape[1],
        wanted=len(runner.indices),
        problem=runner.problem,
        model_digest=model.digest,
        versions=runner.versions,
    )


def known_to(points: float, rate: Outcome, data: Dataset) -> Callable[[Sequence[RunRecord]], bool]:
    """Whether the first samples tell the difference to ``points`` either way.

    Points are percentage points of a share, and otherwise the units of the task's metric.
    """
    row = {index: i for i, index in enumerate(data.indices.tolist())}
    theirs = dict(zip(rate.indices.tolist(), rate.outputs, strict=True))
    plain = data.task.identity == "classification" and data.task.metric == "accuracy"

    def known(samples: Sequence[RunRecord]) -> bool:
        shared = list(takewhile(lambda sample: sample.index in theirs, samples))
        if not shared:
            return False
        rows = [row[sample.index] for sample in shared]
        rates = np.array([theirs[sample.index] for sample in shared])
        ours = np.array([sample.output for sample in shared]).reshape(rates.shape)
        if plain:
            right, theirs_right = (o.argmax(axis=1) == data.y[rows] for o in (ours, rates))
            return sequential(right, theirs_right, data.total).half_width <= points
        # Resampling takes a while: only at every look.
        seen = len(rows) if len(rows) >= data.total else len(rows) // LOOK * LOOK
        if not seen:
            return False
        y, lengths = data.y[rows[:seen]], data.lengths[rows[:seen]]
        found = compared(data.task, y, ours[:seen], rates[:seen], lengths, data.total)
        return found.half_width <= points

    return known


def _answers(runner: Runner) -> Array:
    """Outputs of the finished samples, (n, outputs) or (n, steps, outputs)."""
    rows, model = runner.rows(), runner.task.model
    if not model.task.every:
        return rows
    return rows.reshape(len(rows), -1, model.graph.output_size)


def _lengths(runner: Runner) -> Array | None:
    """Inputs of the finished samples, where they differ."""
    data = runner.task.data
    if not data.ragged:
        return None
    length = dict(zip(data.indices.tolist(), data.lengths.tolist(), strict=True))
    return np.array([length[sample.index] for sample in runner.done], dtype=int)


def _outcome(name: str, runner: Runner, until: float | None) -> Outcome:
    """What is finished so far."""
    task, done, ended = runner.task, runner.done, runner.ended
    kinds = sorted({NEURON_NAMES[p.neuron.kind] for p in task.model.graph.spiking})
    return Outcome(
        model=name,
        neuron=" + ".join(kinds),
        target=task.job.target.name,
        indices=np.array([sample.index for sample in done], int),
        outputs=_answers(runner),
        spikes={
            p.name: np.array([sample.spikes.get(p.name, 0) for sample in done])
            for p in task.model.graph.spiking
        },
        placement=runner.recorded.placement,
        seconds=sum(sample.seconds for sample in done),
        steps=task.model.timing.total_steps(task.data.x.shape[1]),
        wanted=len(done) if ended else len(runner.indices),
        problem=runner.problem,
        traces=runner.recorded.traces,
        options=dict(task.job.options),
        model_digest=task.model.digest,
        notes=tuple(runner.notes),
        seed=runner.seed,
        versions=runner.versions,
        until=until,
        until_reached=ended,
        verified=sum(sample.verified for sample in done),
        timing=task.model.timing,
        host_spikes=runner.host_spikes(),
        lengths=_lengths(runner),
    )

"""The loss ladder: the same samples on rungs between the rate model and a target.

Each rung changes one thing, so what is lost on it is that thing's doing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spiking_lmu.backends.target import Problem
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import Model
from spiking_lmu.runs.runner import Job, RunTask
from spiking_lmu.runs.service import RunService

from ..fitting import require_fit
from ..metrics import (
    Difference,
    Metric,
    Score,
    answers_alone,
    gained,
    latency,
    metric_of,
    output_error,
    paired_with,
    score_of,
)
from ..statistics import Accuracy, Paired
from .layers import GoOn, HiddenLayer, layers, sources
from .onward import Onward
from .reading import LayerReading, hidden
from .rungs import BITS, RATE_MODEL, RungTarget, changes, line_code, rungs_of

#: Of the outputs' spread: decisions have little to spare when a rung adds so much error.
FAR = 0.2


@dataclass(frozen=True, eq=False)
class Step:
    """One rung, climbed.

    Parameters
    ----------
    name, change
        As in `Rung`.
    outputs
        At the last step, (samples, outputs); or (samples, inputs, outputs) with an answer at
        every input.
    score
        By the task's metric.
    step, total
        Against the rung before and against the rate model; None on the first rung.
    error
        RMS distance of the outputs from the rate model's, over their spread.  Of a
        classification the mean of an answer's outputs plays no part, since it decides nothing;
        of a regression the spread is that of each output about its own mean.
    late
        How many inputs later than the rate model's the answers come.
    layers
        Empty for the rate model.  They are looked at at the end of each sample.
    """

    name: str
    change: str
    outputs: Array
    score: Accuracy | Score
    step: Paired | Difference | None
    total: Paired | Difference | None
    error: float
    late: int
    layers: tuple[HiddenLayer, ...]

    @property
    def value(self) -> float:
        """Of the metric, such as the share of samples that are decided rightly."""
        return self.score.value

    @property
    def gain(self) -> float:
        """Against the rung before, in points or units of the metric; a loss is below 0."""
        return 0.0 if self.step is None else gained(self.step)[0]

    @property
    def loses(self) -> bool:
        """Whether this rung alone loses more than chance explains."""
        return self.step is not None and gained(self.step)[2] < 0


@dataclass(frozen=True, eq=False)
class Ladder:
    """All rungs of one model on one target, from the rate model to the target."""

    model: str
    target: str
    data: str
    indices: Array
    steps: tuple[Step, ...]
    problems: tuple[Problem, ...]
    provenance: dict[str, Any]

    def __getitem__(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    @property
    def metric(self) -> Metric:
        """What all rungs are judged by."""
        return metric_of(self.steps[0].score)

    @property
    def blamed(self) -> Step | None:
        """The rung to look at first; None if nothing is lost that could be told from chance.

        It is the one that loses most, if that is more than chance explains (the
        interval of its step excludes 0); else, where the target as a whole loses, the one on
        which the outputs move farthest away from the rate model's.
        """
        losing = [step for step in self.steps if step.loses]
        if losing:
            return min(losing, key=lambda step: step.gain)
        last = self.steps[-1].total
        if last is None or not gained(last)[2] < 0:
            return None
        return self._farthest

    @property
    def suspected(self) -> Step | None:
        """The blamed rung, or one that moves the outputs by :data:`FAR` though nothing is lost."""
        added = self._farthest.error - self.steps[self.steps.index(self._farthest) - 1].error
        return self.blamed or (self._farthest if added >= FAR else None)

    @property
    def _farthest(self) -> Step:
        added = np.diff([step.error for step in self.steps])
        return self.steps[1 + int(added.argmax())]


def climb(name: str, model: Model, job: Job, data: Dataset, service: RunService) -> Ladder:
    """Run the samples of ``data`` on every rung, the last of which is the job's target.

    Parameters
    ----------
    name
        The model's, for the report.
    model
        A spiking model, with its rate graph.
    job
        The target, with the options under which all of its rungs run.

    Raises
    ------
    SpecError
        Another kind of model, or data of another shape.
    TargetError
        The target refuses the model.
    """
    _check(model)
    require_fit(name, model, data)
    target, inputs = job.target, data.x.shape[1]
    codes = {BITS: line_code(model)}
    rungs = [
        (rung, change, RungTarget(target, rung, codes.get(rung)))
        for rung, change in changes(model).items()
    ]
    for rung in rungs_of(target, model, inputs, {"seed": service.settings.seed, **job.options}):
        rungs.append((rung.name, rung.change, RungTarget(target, rung.name)))
    activity: dict[str, Array] = {}
    go_on: GoOn | None = None
    steps: list[Step] = []
    whole = data if job.samples is None else data.subset(np.arange(job.samples))
    answers = inputs if model.task.every else 1
    for rung_name, change, place in [*rungs, (target.name, "all that is left", target)]:
        measure = LayerReading(answers, rate=rung_name in (RATE_MODEL, BITS))
        # The simulator that verifies is the last rung's; the others are no one else's.
        own = job if place is target else replace(job, target=place, verify=0)
        label = f"{name} · {target.name} · rung {rung_name}"
        runner = service.run(RunTask(label, model, own, data, measure))
        reading = measure.reading(model, runner.rows())
        steps.append(_step(rung_name, change, reading.outputs, whole, steps))
        if rung_name == RATE_MODEL:
            activity = dict(reading.activity)
            if len(activity) > 1 and not model.task.every:
                go_on = _going_on(model, whole, reading.outputs)
        elif not measure.rate:
            found = layers(model, target.cells, activity, reading, go_on)
            steps[-1] = replace(steps[-1], layers=found)
    return Ladder(
        model=name,
        target=target.name,
        data=f"{data.name} {data.split}",
        indices=data.indices[: job.samples],
        steps=tuple(steps),
        problems=tuple(target.check(model)),
        provenance={
            "seed": service.settings.seed,
            "options": dict(job.options),
            "model_digest": model.digest,
            "data_digest": data.digest,
        },
    )


def _going_on(model: Model, data: Dataset, wanted: Array) -> GoOn:
    """What the rate network is worth that goes on from a layer's activity on a rung."""
    onward = Onward(model.rate, model.scaled(data.x), data.lengths)
    task = data.task

    def go_on(name: str, activity: Array) -> tuple[float, float] | None:
        if not onward.reaches(name):
            return None
        outputs = onward.outputs(name, activity)
        score = score_of(task, data.y, outputs, data.lengths)
        return score.value, output_error(task, outputs, wanted)

    return go_on


def _check(model: Model) -> None:
    """Raise a SpecError unless ``model`` spikes and has the layers of a rate graph."""
    reason, rate = "", model.rate_graph
    if not model.graph.spiking:
        reason = "a rate model"
    elif rate is None or rate.spiking:
        reason = "no rate graph in the model"
    elif (rate.input_size, rate.output_size) != (model.graph.input_size, model.graph.output_size):
        reason = "a rate graph with other inputs or outputs"
    else:
        sizes = {p.name: p.size for p in model.graph.populations}
        for p in hidden(rate):
            if sizes.get(p.name) != p.size or not sources(model.graph, p.name):
                reason = f"no spiking neurons for population {p.name} of the rate graph"
    if reason:
        raise SpecError(
            "model to explain",
            got=reason,
            expected="a spiking model with the rate graph that it was converted from",
            fix="convert the rate model again with spiking-lmu convert",
        )


def _step(name: str, change: str, outputs: Array, data: Dataset, before: list[Step]) -> Step:
    task, y, lengths = data.task, data.y, data.lengths
    score = score_of(task, y, outputs, lengths)
    if not before:
        return Step(name, change, outputs, score, None, None, 0.0, 0, ())
    first, last = before[0].outputs, before[-1].outputs
    return Step(
        name,
        change,
        outputs,
        score,
        step=paired_with(task, y, outputs, last, lengths),
        total=paired_with(task, y, outputs, first, lengths),
        error=output_error(task, *(answers_alone(task, o, lengths) for o in (outputs, first))),
        late=latency(task, outputs, first, lengths),
        layers=(),
    )

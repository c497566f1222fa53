"""The loss ladder: the same samples on rungs between the rate model and a target.

Each rung changes one thing, so what is lost on it is that thing's doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from spiking_lmu.backends.rate import RATE
from spiking_lmu.backends.target import Problem, Rung, Target
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import check_input

from ..statistics import Paired, mcnemar, relative_error
from .ideal import IdealRun, steady, without_synapses
from .layers import Layer, hidden, layers, rate_activity, sources
from .seen import Seen, seen_of

Array = np.ndarray
#: Samples run at once; rasters and a sequence's currents have to fit.
BATCH = 50
#: Of the outputs' spread: decisions have little to spare when a rung adds so much error.
FAR = 0.2

RATE_MODEL, RESPONSE, TIMING, SPIKES = (
    "rate model",
    "response curve",
    "synapses and timing",
    "spikes",
)


@dataclass(frozen=True, eq=False)
class Step:
    """One rung, climbed.

    Parameters
    ----------
    name, change
        As in `Rung`.
    outputs
        At the last step, (samples, outputs).
    correct
        Which samples were decided rightly, bool (samples,).
    step, total
        Against the rung before and against the rate model; None on the first rung.
    error
        RMS distance of the outputs from the rate model's, over their spread; the mean of
        each sample's outputs plays no part, since it decides nothing.
    layers
        Empty for the rate model.
    """

    name: str
    change: str
    outputs: Array
    correct: Array
    step: Paired | None
    total: Paired | None
    error: float
    layers: tuple[Layer, ...]

    @property
    def accuracy(self) -> float:
        """Share of samples that are decided rightly."""
        return float(self.correct.mean())


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
    def blamed(self) -> Step | None:
        """The rung to look at first; None if nothing is lost that could be told from chance.

        It is the one that loses most points, if that is more than chance explains (the
        interval of its step excludes 0); else, where the target as a whole loses, the one on
        which the outputs move farthest away from the rate model's.
        """
        rungs = [s for s in self.steps if s.step is not None]
        losing = [s for s in rungs if s.step is not None and s.step.high < 0]
        if losing:
            return min(losing, key=lambda s: s.step.difference if s.step else 0.0)
        last = self.steps[-1].total
        if last is None or last.high >= 0:
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


class Progress(Protocol):
    """Told how far the climb is; see :mod:`spiking_lmu.runs.progress`."""

    def start(self, label: str, done: int, total: int) -> None:
        """A ladder begins; each sample counts once on every rung."""

    def advance(self, samples: int) -> None:
        """``samples`` more are finished."""


def climb(
    name: str,
    model: Model,
    target: Target,
    dataset: Any,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ladder:
    """Run the samples of ``dataset`` on every rung.

    Parameters
    ----------
    name
        The model's, for the report.
    model
        A spiking model for classification, with its rate graph.
    dataset
        A :class:`spiking_lmu.datasets.Dataset`.

    Raises
    ------
    SpecError
        Another kind of model, or data of another shape.
    TargetError
        The target refuses the model.
    """
    _check(model)
    x, y = check_input(model.graph, dataset.x), dataset.y
    cells = target.cells
    rate = _batches(x, lambda part: rate_activity(model.rate, part))
    activity = {n: np.concatenate([part[n] for part in rate]) for n in rate[0]}
    steps: list[Step] = []
    rungs = list(_rungs(model, target, cells, x.shape[1], seed))
    if progress is not None:
        progress.start(f"{name} · {target.name} · rungs", 0, len(rungs) * len(x))
    for rung_name, change, opened in rungs:
        with opened as run:
            seen = Seen.join(_batches(x, run, progress))
        steps.append(_step(rung_name, change, seen, y, steps))
        if seen.activity:
            steps[-1] = replace(steps[-1], layers=layers(model, cells, activity, seen))
    return Ladder(
        model=name,
        target=target.name,
        data=f"{dataset.name} {dataset.split}",
        indices=dataset.indices,
        steps=tuple(steps),
        problems=tuple(target.check(model)),
        provenance={"seed": seed, "model_digest": model.digest, "data_digest": dataset.digest},
    )


def _check(model: Model) -> None:
    """Raise a SpecError unless ``model`` spikes, classifies, and has the layers of a rate graph."""
    reason, rate = "", model.rate_graph
    if not model.graph.spiking:
        reason = "a rate model"
    elif model.task.identity != "classification":
        reason = f"a model for {model.task}"
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
            expected="a spiking classifier with the rate graph that it was converted from",
            fix="convert the rate model again with spiking-lmu convert",
        )


#: How to make what runs a batch, and to close it again.
Opened = AbstractContextManager[Callable[[Array], Seen]]


def _rungs(
    model: Model, target: Target, cells: Any, inputs: int, seed: int
) -> Iterator[tuple[str, str, Opened]]:
    @contextmanager
    def deployed(rung: Rung) -> Iterator[Callable[[Array], Seen]]:
        with rung.deploy() as deployment:
            yield lambda x: seen_of(model, inputs, deployment.run(x, raster=True))

    def rate(x: Array) -> Seen:
        return Seen(RATE.deploy(model, inputs).run(x).outputs[:, -1], {}, {})

    yield RATE_MODEL, "as it was trained", nullcontext(rate)
    static = IdealRun(without_synapses(model), inputs, steady(cells), late=1)
    yield RESPONSE, "at the rates that the target's neurons have", nullcontext(static)
    timed = IdealRun(model, inputs, steady(cells))
    yield TIMING, "filters, steps an input, settling", nullcontext(timed)
    spikes = IdealRun(model, inputs, cells.stepper)
    yield SPIKES, "spikes instead of rates", nullcontext(spikes)
    for rung in target.rungs(model, inputs, seed=seed):
        yield rung.name, rung.change, deployed(rung)
    last = Rung(target.name, "all that is left", lambda: target.deploy(model, inputs, seed=seed))
    yield last.name, last.change, deployed(last)


def _batches(x: Array, run: Callable[[Array], Any], progress: Progress | None = None) -> list[Any]:
    found = []
    for start in range(0, len(x), BATCH):
        part = x[start : start + BATCH]
        found.append(run(part))
        if progress is not None:
            progress.advance(len(part))
    return found


def _step(name: str, change: str, seen: Seen, y: Array, before: list[Step]) -> Step:
    correct = seen.outputs.argmax(axis=1) == y
    if not before:
        return Step(name, change, seen.outputs, correct, None, None, 0.0, ())
    return Step(
        name,
        change,
        seen.outputs,
        correct,
        step=mcnemar(correct, before[-1].correct),
        total=mcnemar(correct, before[0].correct),
        error=_distance(seen.outputs, before[0].outputs),
        layers=(),
    )


def _distance(outputs: Array, rate: Array) -> float:
    ours, theirs = (o - o.mean(axis=1, keepdims=True) for o in (outputs, rate))
    return relative_error(ours, theirs)

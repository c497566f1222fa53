"""Run models on targets over one set of samples; resumable, and interruptible without loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.backends.rate import RATE
from spiking_lmu.datasets import Dataset
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import check_input
from spiking_lmu.runs import ThisProcess, Workers
from spiking_lmu.runs.journal import Finished
from spiking_lmu.runs.results import Array, Comparison, Outcome
from spiking_lmu.runs.runner import Job, Progress, Runner
from spiking_lmu.runs.shards import versions_of

from .anytime import sequential

__all__ = ["Interrupted", "Job", "Progress", "compare"]

#: Names for people of the neurons in a spiking model.
NEURON_NAMES = {"spiking_relu": "SpikingRectifiedLinear", "lif": "LIF"}


class Interrupted(Exception):
    """The user stopped the run; ``comparison`` holds everything that was finished."""

    def __init__(self, comparison: Comparison) -> None:
        super().__init__("interrupted")
        self.comparison = comparison


def compare(
    models: Sequence[tuple[str, Model]],
    jobs: Sequence[Job],
    dataset: Dataset,
    *,
    journal: Path,
    seed: int = 0,
    until: float | None = None,
    traces: int = 3,
    images: dict[int, Array] | None = None,
    workers: Workers | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    provenance: dict[str, Any] | None = None,
) -> Comparison:
    """Run every model on every target.

    Parameters
    ----------
    models
        Spiking models with their names.
    jobs
        Targets; each runs the first ``samples`` of the data set.
    dataset
        The samples, in the order in which they are run.
    journal
        Folder of finished samples; what is there already is not run again.
    until
        Stop each run once the difference to the rate model is known to so many percentage
        points either way.  The data set has to be in random order then, as
        :func:`spiking_lmu.datasets.load` has it with a seed.
    traces
        How many samples are recorded in full for pictures.
    images
        Pictures of these samples by their number in the data set.
    workers
        Where samples run; in this process if not given.  The result does not depend on it.
    memory
        Bytes that the batches of all workers together may take; a share of what is free if
        not given.

    Raises
    ------
    Interrupted
        On Ctrl-C, with what was finished.
    SpecError
        The samples do not fit a model.
    FileError
        The journal cannot be read or written.
    """
    for _, model in models:
        check_input(model.rate, dataset.x[:1])
    outcomes: list[Outcome] = []
    rate: dict[str, Outcome] = {}
    interrupted = False
    shared: dict[str, Any] = {
        "folder": journal,
        "seed": seed,
        "memory": memory,
        "workers": workers or ThisProcess(),
        "progress": progress or _Silent(),
    }
    try:
        for name, model in models:
            runner = _rate_runner(name, model, dataset, **shared)
            try:
                runner.run()
            finally:
                rate[name] = _rate_outcome(name, runner)
            for job in jobs:
                runner = _runner(
                    name, model, job, dataset, until=until, rate=rate[name], traces=traces, **shared
                )
                try:
                    runner.attempt()
                finally:
                    outcomes.append(_outcome(name, runner, until))
    except KeyboardInterrupt:
        interrupted = True
    comparison = Comparison(
        data=f"{dataset.name} {dataset.split}",
        data_size=dataset.total,
        indices=dataset.indices,
        labels=dataset.y,
        images=images or {},
        classes=tuple(str(c) for c in range(dataset.classes)),
        rate=rate,
        outcomes=tuple(outcomes),
        provenance={"seed": seed, "data_digest": dataset.digest, **(provenance or {})},
    )
    if interrupted:
        raise Interrupted(comparison)
    return comparison


class _Silent:
    def start(self, label: str, done: int, total: int) -> None:
        pass

    def advance(self, samples: int) -> None:
        pass


def _rate_runner(name: str, model: Model, dataset: Dataset, **shared: Any) -> Runner:
    job = Job(RATE, len(dataset.indices), verify=0)
    # Kept for any seed and any target: nothing in it depends on them.
    key = versions_of(RATE.distributions)
    return Runner(model, job, dataset, key=key, label=f"{name} · rate model", traces=0, **shared)


def _rate_outcome(name: str, runner: Runner) -> Outcome:
    return Outcome(
        model=name,
        neuron="rate",
        target=RATE.name,
        indices=np.array([sample.index for sample in runner.done], int),
        outputs=runner.outputs(),
        spikes={},
        placement=runner.recorded.placement,
        seconds=sum(sample.seconds for sample in runner.done),
        steps=runner.dataset.x.shape[1],
        wanted=len(runner.indices),
        problem=runner.problem,
        options={"model_digest": runner.model.digest, "versions": runner.versions},
    )


def _runner(
    name: str,
    model: Model,
    job: Job,
    dataset: Dataset,
    *,
    until: float | None,
    rate: Outcome,
    **shared: Any,
) -> Runner:
    # When a run stops does not change any sample's result, and is not part of the key.
    key = {
        "options": job.options,
        "seed": shared["seed"],
        "versions": versions_of(job.target.distributions),
    }
    label = f"{name} · {job.target.name}"
    if until is not None:
        shared |= {"enough": _known_to(until, rate, dataset)}
        label += f", until ±{until:g}"
    return Runner(model, job, dataset, key=key, label=label, **shared)


def _known_to(
    points: float, rate: Outcome, dataset: Dataset
) -> Callable[[Sequence[Finished]], bool]:
    """Whether the first samples tell the difference to ``points`` either way."""
    label = dict(zip(dataset.indices.tolist(), dataset.y.tolist(), strict=True))
    decided = dict(zip(rate.indices.tolist(), rate.decisions.tolist(), strict=True))

    def known(samples: Sequence[Finished]) -> bool:
        shared = list(takewhile(lambda sample: sample.index in decided, samples))
        if not shared:
            return False
        labels = [label[sample.index] for sample in shared]
        ours = np.array([int(np.argmax(sample.output)) for sample in shared]) == labels
        theirs = np.array([decided[sample.index] for sample in shared]) == labels
        return sequential(ours, theirs, dataset.total).half_width <= points

    return known


def _outcome(name: str, runner: Runner, until: float | None) -> Outcome:
    """What is finished so far."""
    model, job, done = runner.model, runner.job, runner.done
    ended = runner.ended
    stopping = {"points": until, "reached": ended, "samples": len(done)}
    kinds = sorted({NEURON_NAMES[p.neuron.kind] for p in model.graph.spiking})
    return Outcome(
        model=name,
        neuron=" + ".join(kinds),
        target=job.target.name,
        indices=np.array([sample.index for sample in done], int),
        outputs=runner.outputs(),
        spikes={
            p.name: np.array([sample.spikes.get(p.name, 0) for sample in done])
            for p in model.graph.spiking
        },
        placement=runner.recorded.placement,
        seconds=sum(sample.seconds for sample in done),
        steps=model.timing.total_steps(runner.dataset.x.shape[1]),
        wanted=len(done) if ended else len(runner.indices),
        problem=runner.problem,
        traces=runner.recorded.traces,
        options={
            **job.options,
            "model_digest": model.digest,
            "notes": runner.notes,
            "seed": runner.seed,
            "versions": runner.versions,
            **({} if until is None else {"until": stopping}),
        },
        until=until,
        verified=sum(sample.verified for sample in done),
    )

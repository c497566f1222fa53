"""Run models on targets over one set of samples; resumable, and interruptible without loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .datasets import Dataset
from .errors import SpikingLmuError
from .journal import Finished, Journal, load_traces, save_traces
from .model import Model
from .results import Array, Comparison, Outcome, Trace
from .simulate import run_reference
from .target import Run, Target

#: Names for people of the neurons in a spiking model.
NEURON_NAMES = {"spiking_relu": "SpikingRectifiedLinear", "lif": "LIF"}
#: Samples of the rate model run at once.
RATE_BATCH = 250


@dataclass(frozen=True)
class Job:
    """One target to run, on how many samples, with which options."""

    target: Target
    samples: int
    options: dict[str, Any] = field(default_factory=dict)


class Progress(Protocol):
    """Told how far a run is; see :mod:`spiking_lmu.progress`."""

    def start(self, label: str, done: int, total: int) -> None:
        """A run begins with ``done`` samples already finished."""

    def advance(self, samples: int) -> None:
        """``samples`` more are finished."""


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
    traces: int = 3,
    images: dict[int, Array] | None = None,
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
    traces
        How many samples are recorded in full for pictures.
    images
        Pictures of these samples by their number in the data set.

    Raises
    ------
    Interrupted
        On Ctrl-C, with what was finished.
    """
    outcomes: list[Outcome] = []
    rate: dict[str, Outcome] = {}
    interrupted = False
    progress = progress or _Silent()
    try:
        for name, model in models:
            rate[name] = _run_rate(name, model, dataset, journal, progress)
            for job in jobs:
                runner = _Runner(name, model, job, dataset, journal, seed, traces, progress)
                try:
                    runner.run()
                finally:
                    outcomes.append(runner.outcome())
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


def _versions(distributions: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in ("spiking-lmu", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _run_rate(
    name: str, model: Model, dataset: Dataset, folder: Path, progress: Progress
) -> Outcome:
    """The rate model on all samples, by the NumPy reference."""
    from time import perf_counter

    key = {"target": "rate", "model": model.digest, "data": dataset.digest, **_versions(["numpy"])}
    record = Journal(folder, key, model.rate.output_size)
    finished = record.read()
    indices = [int(i) for i in dataset.indices]
    todo = [position for position, index in enumerate(indices) if index not in finished]
    progress.start(f"{name} · rate model", len(indices) - len(todo), len(indices))
    for start in range(0, len(todo), RATE_BATCH):
        batch = todo[start : start + RATE_BATCH]
        began = perf_counter()
        outputs = run_reference(model.rate, dataset.x[batch])[:, -1]
        share = (perf_counter() - began) / len(batch)
        new = [
            Finished(indices[position], tuple(map(float, output)), {}, share)
            for position, output in zip(batch, outputs, strict=True)
        ]
        record.append(new)
        finished |= {sample.index: sample for sample in new}
        progress.advance(len(new))
    done = [finished[index] for index in indices if index in finished]
    return Outcome(
        model=name,
        neuron="rate",
        target="rate",
        indices=np.array([sample.index for sample in done], int),
        outputs=np.array([sample.output for sample in done]).reshape(-1, model.rate.output_size),
        spikes={},
        placement={p.name: "numpy" for p in model.rate.populations},
        seconds=sum(sample.seconds for sample in done),
        steps=dataset.x.shape[1],
        wanted=len(indices),
        options={"model_digest": model.digest, "versions": _versions(["numpy"])},
    )


class _Runner:
    """One model on one target: what is finished, what is left, and the outcome so far."""

    def __init__(
        self,
        name: str,
        model: Model,
        job: Job,
        dataset: Dataset,
        folder: Path,
        seed: int,
        traces: int,
        progress: Progress,
    ) -> None:
        self.name, self.model, self.job, self.seed = name, model, job, seed
        self.dataset, self.progress, self.traces_wanted = dataset, progress, traces
        self.indices = [int(i) for i in dataset.indices[: job.samples]]
        self.versions = _versions(job.target.distributions)
        key = {
            "target": job.target.name,
            "model": model.digest,
            "data": dataset.digest,
            "options": job.options,
            "seed": seed,
            "versions": self.versions,
        }
        self.journal = Journal(folder, key, model.graph.output_size)
        self.finished: dict[int, Finished] = {}
        self.placement: dict[str, str] = {}
        self.problem = ""
        self.notes: tuple[str, ...] = ()
        self.traces: list[Trace] = []

    def run(self) -> None:
        """Run what is left; a target's refusal or failure becomes the outcome's problem."""
        target = self.job.target
        label = f"{self.name} · {target.name}"
        try:
            self.finished = self.journal.read()
            done = sum(index in self.finished for index in self.indices)
            self.progress.start(label, done, len(self.indices))
            inputs = self.dataset.x.shape[1]
            with target.deploy(
                self.model, inputs, seed=self.seed, **self.job.options
            ) as deployment:
                self.placement = dict(deployment.placement)
                self._trace(deployment)
                todo = [i for i, index in enumerate(self.indices) if index not in self.finished]
                for start in range(0, len(todo), deployment.batch_size):
                    batch = todo[start : start + deployment.batch_size]
                    self._record(batch, deployment.run(self.dataset.x[batch]))
        except SpikingLmuError as error:
            self.problem = str(error)
        except Exception as error:
            self.problem = " ".join(f"{type(error).__name__}: {error}".split())

    def _trace(self, deployment: Any) -> None:
        """Run the first samples with everything recorded; they count like any other.

        A target that runs many samples at once takes a whole batch along.
        """
        wanted = self.indices[: self.traces_wanted]
        kept = self.journal.path.with_suffix(".traces.npz")
        loaded = load_traces(kept, wanted)
        if loaded is None:
            positions = list(range(min(max(len(wanted), deployment.batch_size), len(self.indices))))
            run = deployment.run(self.dataset.x[positions], raster=True)
            self._record(positions, run)
            traces = tuple(
                Trace(index, run.outputs[i], run.rasters[i]) for i, index in enumerate(wanted)
            )
            loaded = traces, tuple(deployment.notes)
            save_traces(kept, *loaded)
        self.traces, self.notes = list(loaded[0]), loaded[1]

    def _record(self, batch: list[int], run: Run) -> None:
        share = run.seconds / len(batch)
        new = []
        for i, position in enumerate(batch):
            index = self.indices[position]
            if index not in self.finished:
                spikes = {name: int(counts[i].sum()) for name, counts in run.spikes.items()}
                output = tuple(float(value) for value in run.outputs[i, -1])
                new.append(Finished(index, output, spikes, share))
        self.journal.append(new)
        self.finished |= {sample.index: sample for sample in new}
        self.progress.advance(len(new))

    def outcome(self) -> Outcome:
        """What is finished so far."""
        done = [self.finished[index] for index in self.indices if index in self.finished]
        kinds = sorted({NEURON_NAMES[p.neuron.kind] for p in self.model.graph.spiking})
        return Outcome(
            model=self.name,
            neuron=" + ".join(kinds),
            target=self.job.target.name,
            indices=np.array([sample.index for sample in done], int),
            outputs=np.array([sample.output for sample in done]).reshape(
                -1, self.model.graph.output_size
            ),
            spikes={
                p.name: np.array([sample.spikes.get(p.name, 0) for sample in done])
                for p in self.model.graph.spiking
            },
            placement=self.placement,
            seconds=sum(sample.seconds for sample in done),
            steps=self.model.timing.total_steps(self.dataset.x.shape[1]),
            wanted=len(self.indices),
            problem=self.problem,
            traces=tuple(self.traces),
            options={
                **self.job.options,
                "model_digest": self.model.digest,
                "notes": list(self.notes),
                "seed": self.seed,
                "versions": self.versions,
            },
        )

"""One model on one target: what is finished, what is left, and the outcome so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spiking_lmu.backends.target import Target
from spiking_lmu.datasets import Dataset
from spiking_lmu.graph.model import Model

from . import Crew, Facts, Setup, Shard, ShardResult, Workers
from .journal import Finished, Journal, Recorded, load_recorded, save_recorded
from .memory import share
from .plan import cut, to_verify
from .results import Array, Trace
from .shards import one_line, pack, versions_of

#: Where a run may end early: samples between two looks, and so the most in one shard.
LOOK = 256


@dataclass(frozen=True)
class Job:
    """One target to run.

    Parameters
    ----------
    samples
        The first so many of the data set.
    options
        The target's own; they are part of what a result is kept under.
    verify
        So many of the samples, drawn at random, must be identical on the backend's own
        simulator, where the target can be verified.
    """

    target: Target
    samples: int
    options: dict[str, Any] = field(default_factory=dict)
    verify: int = 3


class Progress(Protocol):
    """Told how far a run is; see :mod:`spiking_lmu.runs.progress`."""

    def start(self, label: str, done: int, total: int) -> None:
        """A run begins with ``done`` samples already finished."""

    def advance(self, samples: int) -> None:
        """``samples`` more are finished."""


class Runner:
    """Runs a job's samples, and keeps them in a journal as they are finished.

    Parameters
    ----------
    key
        What decides the result besides model, data and target.
    label
        For the progress bar.
    traces
        So many samples, from the first, are recorded in full.
    memory
        Bytes that the batches of all workers together may take, or None.
    enough
        Told the finished samples up to the first unfinished one; nothing more is started once
        it says that they do.  Those samples alone are the result then: which of the later ones
        finish first could depend on what they are.
    """

    def __init__(
        self,
        model: Model,
        job: Job,
        dataset: Dataset,
        *,
        folder: Path,
        key: dict[str, Any],
        seed: int,
        traces: int,
        memory: int | None,
        workers: Workers,
        progress: Progress,
        label: str,
        enough: Callable[[Sequence[Finished]], bool] | None = None,
    ) -> None:
        self.model, self.job, self.dataset, self.seed = model, job, dataset, seed
        self.indices = [int(i) for i in dataset.indices[: job.samples]]
        self.versions = versions_of(job.target.distributions)
        self._workers, self._memory = workers, memory
        self._progress, self._label, self._enough = progress, label, enough
        identity = {"target": job.target.name, "model": model.digest, "data": dataset.digest}
        self._journal = Journal(folder, {**identity, **key}, model.graph.output_size)
        self._kept = self._journal.path.with_suffix(".traces.npz")
        self._to_trace = list(range(min(traces, len(self.indices))))
        # Among the first, which are run in any case.
        drawn_from = min(len(self.indices), LOOK) if enough else len(self.indices)
        self._to_verify = to_verify(seed, drawn_from, job.verify)
        self._finished: dict[int, Finished] = {}
        self._traces: dict[int, Trace] = {}
        self._running = 1
        self.recorded = Recorded()
        self.problem = ""

    @property
    def done(self) -> list[Finished]:
        """The wanted samples that are finished; the first of them, if the run may end early."""
        choose = filter if self._enough is None else takewhile
        return [self._finished[i] for i in choose(self._finished.__contains__, self.indices)]

    @property
    def ended(self) -> bool:
        """Whether the samples finished so far are enough."""
        return self._enough is not None and self._enough(self.done)

    def attempt(self) -> None:
        """Run, and let any failure be the outcome's problem."""
        try:
            self.run()
        except Exception as error:
            self.problem = one_line(error)

    def run(self) -> None:
        """Run what is left; what a worker could not run is the outcome's problem.

        Raises
        ------
        SpikingLmuError
            The journal cannot be read or written, or workers died again and again.
        """
        self._finished = self._journal.read()
        before = sum(index in self._finished for index in self.indices)
        self._progress.start(self._label, before, len(self.indices))
        kept = load_recorded(self._kept, [self.indices[i] for i in self._to_trace])
        if kept is not None:
            self.recorded, self._to_trace = kept, []
        left = self._left()
        if kept is not None and not left:
            return
        with self._workers.open(self._setup(), len(left)) as crew:
            facts = self._deployed(crew)
            if facts is None:
                return
            shards = list(self._plan(facts, crew.size))
            self._running = max(1, min(crew.size, len(shards)))
            for result in crew.results(self._fill(shards)):
                if self._failed(result):
                    return
                self._record(result)
        self._save()

    def _setup(self) -> Setup:
        return Setup(
            target=self.job.target,
            model=pack(self.model),
            inputs=self.dataset.x.shape[1],
            seed=self.seed,
            options=self.job.options,
            memory=share(self._memory, self._workers.size, here=self._workers.here),
            versions=self.versions,
        )

    def _deployed(self, crew: Crew) -> Facts | None:
        """Deploy on one worker; None if that is a problem."""
        (result,) = crew.results([Shard()])
        facts = None if self._failed(result) else result.facts
        if facts is not None:
            self.recorded = replace(
                self.recorded,
                notes=facts.notes,
                placement=facts.placement,
                verifies=facts.verifies,
            )
        return facts

    def _left(self) -> list[int]:
        """Positions to run: unfinished ones, and those that are to be traced or verified."""
        unfinished = {i for i, index in enumerate(self.indices) if index not in self._finished}
        if self.ended:
            unfinished = set()
        return sorted(unfinished | set(self._to_trace) | self._unverified())

    def _unverified(self) -> set[int]:
        """Positions to verify, as far as is known whether the target can be."""
        if not self.recorded.verifies:
            return set()
        verified = {index for index, sample in self._finished.items() if sample.verified}
        return {i for i in self._to_verify if self.indices[i] not in verified}

    def _plan(self, facts: Facts, workers: int) -> Iterator[Shard]:
        """Shards without inputs; traced samples are one of their own, since rasters are large."""
        verified = self._unverified()
        left = [i for i in self._left() if i not in self._to_trace]
        parts = [self._to_trace] if self._to_trace else []
        batch = min(facts.batch_size, LOOK) if self._enough else facts.batch_size
        parts += cut(left, batch, workers, verified)
        for positions in parts:
            yield Shard(
                tuple(positions),
                traced=tuple(self._to_trace) if positions is self._to_trace else (),
                verified=tuple(i for i in positions if i in verified),
            )

    def _fill(self, shards: Sequence[Shard]) -> Iterator[Shard]:
        for shard in shards:
            if self.ended and not (shard.traced or shard.verified):
                return
            yield replace(shard, x=self.dataset.x[list(shard.positions)])

    def _failed(self, result: ShardResult) -> bool:
        self.problem = result.problem
        return bool(result.problem)

    def _record(self, result: ShardResult) -> None:
        """Write a shard's samples to the journal."""
        shard, new, fresh = result.shard, [], 0
        # So that the sum over samples is the time of the run, however many ran at once.
        seconds = result.seconds / len(shard.positions) / self._running
        reruns = result.reruns / len(shard.positions)
        for i, position in enumerate(shard.positions):
            index, verified = self.indices[position], position in shard.verified
            fresh += index not in self._finished
            if index not in self._finished or verified:
                spikes = {name: int(counts[i]) for name, counts in result.spikes.items()}
                output = tuple(float(value) for value in result.outputs[i])
                new.append(Finished(index, output, spikes, seconds, verified, reruns))
        self._journal.append(new)
        self._finished |= {sample.index: sample for sample in new}
        for position, (readout, rasters) in result.traces.items():
            index = self.indices[position]
            self._traces[index] = Trace(index, readout, rasters)
        if result.traces:
            self._save()
        self._progress.advance(fresh)

    def _save(self) -> None:
        """Traces and remarks, once all traces are there."""
        if self._to_trace:
            wanted = [self.indices[i] for i in self._to_trace]
            traces = tuple(self._traces[index] for index in wanted if index in self._traces)
            self.recorded = replace(self.recorded, traces=traces)
        save_recorded(self._kept, self.recorded)

    @property
    def notes(self) -> list[str]:
        """Remarks for the report."""
        notes = list(self.recorded.notes)
        reruns = round(sum(sample.reruns for sample in self.done))
        if reruns:
            notes.append(
                f"{reruns:,} of {len(self.done):,} samples came near rounding and were run again "
                "in the stock engine's order of sums"
            )
        return notes

    def outputs(self) -> Array:
        """Output of each finished sample at the last step, shape (n, outputs)."""
        outputs = [sample.output for sample in self.done]
        return np.array(outputs).reshape(-1, self.model.graph.output_size)

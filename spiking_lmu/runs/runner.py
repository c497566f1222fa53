"""One model on one target: what is finished, what is left, and the outcome so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.backends.target import Target
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpikingLmuError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import Model

from .cutting import cut, to_verify
from .journal import Journal, Recorded, RunRecord, load_recorded, save_recorded
from .measures import LAST_OUTPUT, Measure
from .memory import share
from .progress import Progress
from .protocol import Crew, Workers
from .results import Trace
from .shards import Facts, Setup, Shard, ShardResult, one_line, pack, versions_of

#: Where a run may end early: samples between two looks, and so the most in one shard.
LOOK = 256


@dataclass(frozen=True)
class Job:
    """One target to run.

    Parameters
    ----------
    target
        The target itself, such as ``get_target("loihi")``.
    samples
        The first so many of the data set; None is all.
    options
        The target's own; they are part of what a result is kept under.
    verify
        So many of the samples, drawn at random, must be identical on the backend's own
        simulator, where the target can be verified.

    Examples
    --------
    ``compare(model, data, [Job(get_target("loihi"), samples=200)])`` runs Loihi on 200 samples.
    """

    target: Target
    samples: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    verify: int = 3


@dataclass(frozen=True, eq=False)
class RunTask:
    """One model on one target over some samples.

    Parameters
    ----------
    label
        For the progress bar.
    model, job, data
        What runs, where, and on what, in this order of samples.
    measure
        What is read off each sample.
    traces
        So many samples, from the first, are recorded in full.
    seeded
        Whether the seed can change a result; a rate model has none.
    enough
        Told the finished samples up to the first unfinished one; nothing more is started once
        it says that they do.  Those samples alone are the result then: which of the later ones
        finish first could depend on what they are.
    """

    label: str
    model: Model
    job: Job
    data: Dataset
    measure: Measure = LAST_OUTPUT
    traces: int = 0
    seeded: bool = True
    enough: Callable[[Sequence[RunRecord]], bool] | None = None


class Runner:
    """Runs a task's samples, and keeps them in a journal as they are finished.

    Parameters
    ----------
    task
        What is to be run.
    folder
        Of the journal; None keeps nothing.
    seed
        Of the deployment, and of the choice of samples to verify.
    memory_limit
        Bytes that the batches of all workers together may take, or None.
    workers, progress
        Where it runs, and who is told.
    """

    def __init__(
        self,
        task: RunTask,
        *,
        folder: Path | None,
        seed: int,
        memory_limit: int | None,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self.task, self.seed = task, seed
        job, data = task.job, task.data
        self.indices = [int(i) for i in data.indices[: job.samples]]
        self.versions = versions_of(job.target.distributions)
        self._workers, self._memory_limit, self._progress = workers, memory_limit, progress
        self._journal = None if folder is None else Journal(folder, self._key(), self._width)
        path = None if self._journal is None else self._journal.path
        self._kept = None if path is None else path.with_suffix(".traces.npz")
        self._to_trace = list(range(min(task.traces, len(self.indices))))
        # Among the first, which are run in any case.
        drawn_from = min(len(self.indices), LOOK) if task.enough else len(self.indices)
        self._to_verify = to_verify(seed, drawn_from, job.verify)
        self._finished: dict[int, RunRecord] = {}
        self._traces: dict[int, Trace] = {}
        self._running = 1
        self.recorded = Recorded()
        self.problem = ""
        self.error: SpikingLmuError | None = None

    def _key(self) -> dict[str, Any]:
        """Everything that decides a sample's result; when a run stops does not."""
        task, job = self.task, self.task.job
        key: dict[str, Any] = {
            "target": job.target.name,
            "model": task.model.digest,
            "data": task.data.digest,
            "options": dict(job.options),
            "versions": self.versions,
        }
        key |= {"seed": self.seed} if task.seeded else {}
        return key | ({"measure": task.measure.key} if task.measure.key else {})

    @property
    def _width(self) -> int:
        return self.task.measure.width(self.task.model)

    @property
    def done(self) -> list[RunRecord]:
        """The wanted samples that are finished; the first of them, if the run may end early."""
        choose = filter if self.task.enough is None else takewhile
        return [self._finished[i] for i in choose(self._finished.__contains__, self.indices)]

    @property
    def ended(self) -> bool:
        """Whether the samples finished so far are enough."""
        return self.task.enough is not None and self.task.enough(self.done)

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
        self._finished = {} if self._journal is None else self._journal.read()
        before = sum(index in self._finished for index in self.indices)
        self._progress.start(self.task.label, before, len(self.indices))
        wanted = [self.indices[i] for i in self._to_trace]
        kept = None if self._kept is None else load_recorded(self._kept, wanted)
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
        task = self.task
        return Setup(
            target=task.job.target,
            model=pack(task.model),
            inputs=task.data.x.shape[1],
            seed=self.seed,
            options=dict(task.job.options),
            memory_limit=share(self._memory_limit, self._workers.size, here=self._workers.here),
            versions=self.versions,
            measure=task.measure,
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
        traced = set(self._to_trace)
        parts = self._by_length(self._to_trace)
        most = [facts.batch_size, self.task.measure.batch, LOOK if self.task.enough else None]
        batch = min(limit for limit in most if limit is not None)
        for group in self._by_length(left):
            parts += cut(group, batch, workers, verified)
        for positions in parts:
            yield Shard(
                tuple(positions),
                traced=tuple(positions) if traced.issuperset(positions) else (),
                verified=tuple(i for i in positions if i in verified),
            )

    def _by_length(self, positions: Sequence[int]) -> list[list[int]]:
        """The positions of the samples of each length."""
        groups: dict[int, list[int]] = {}
        for position in positions:
            groups.setdefault(int(self.task.data.lengths[position]), []).append(position)
        return list(groups.values())

    def _fill(self, shards: Sequence[Shard]) -> Iterator[Shard]:
        for shard in shards:
            if self.ended and not (shard.traced or shard.verified):
                return
            length = int(self.task.data.lengths[shard.positions[0]])
            x = self.task.data.x[list(shard.positions)][:, :length]
            yield replace(shard, x=self.task.model.scaled(x))

    def _failed(self, result: ShardResult) -> bool:
        self.problem, self.error = result.problem, result.error
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
                sent = {name: int(counts[i]) for name, counts in result.host_spikes.items()}
                row = result.rows[i]
                new.append(RunRecord(index, row, spikes, seconds, verified, reruns, sent))
        if self._journal is not None:
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
        if self._kept is not None:
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
        uncounted = sum(sample.host_spikes is None for sample in self.done)
        if uncounted and self.task.job.target.capabilities.on_chip:
            notes.append(
                f"{uncounted:,} of {len(self.done):,} samples were run by a version that did not "
                "count the spikes of the host; another journal counts them"
            )
        return notes

    def host_spikes(self) -> dict[str, Array] | None:
        """Spikes that the host sent to a chip, by connection, each of shape (n,).

        None if they were not counted in each finished sample.
        """
        counted = [sample.host_spikes for sample in self.done]
        names = dict.fromkeys(name for counts in counted for name in counts or {})
        if any(counts is None for counts in counted):
            return None
        return {n: np.array([(counts or {}).get(n, 0) for counts in counted]) for n in names}

    def rows(self) -> Array:
        """What was read off each finished sample, shape (n, width)."""
        rows = [sample.output for sample in self.done]
        return np.array(rows, dtype=float).reshape(-1, self._width)

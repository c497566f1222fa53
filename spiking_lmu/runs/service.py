"""The one run service: how samples are run, whatever is asked of them.

``compare``, the rungs of ``explain``, the trade-off and calibration hand it their tasks.  It
has the workers, the memory limit, the journal and the progress; a call that was killed goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from spiking_lmu.backends.options import options_of
from spiking_lmu.backends.rate import RATE
from spiking_lmu.backends.registry import get_target
from spiking_lmu.backends.target import Target
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError, TargetError, require_at_least, with_choices
from spiking_lmu.graph.model import Model

from .cluster import Cluster
from .measures import answers_of
from .memory import parse_size
from .processes import Processes, cores
from .progress import Progress, shown
from .protocol import Workers
from .runner import Job, Runner, RunTask


@dataclass(frozen=True)
class RunSettings:
    """How samples are run.  No result depends on workers, memory limit, journal or progress.

    Parameters
    ----------
    seed
        Of the simulators, and of every random choice of samples.
    workers
        Processes that share the samples: one a core if not given, 1 for this process alone.
        Or a `Workers` of one's own.
    cluster
        Address of a Dask scheduler whose workers share them instead: ``tcp://host:port``.
    memory_limit
        What the batches of all workers together may take, in bytes or as ``"2GiB"``; up to
        1 GiB for each worker and half of what is free for all if not given.
    verify
        So many random samples of each run must be identical, spike for spike, on the backend's
        own simulator, where a target runs on another engine.
    journal
        Folder of finished samples, from which a call that was stopped goes on; None keeps none.
    options
        Of targets, by name (``{"engine": "stock"}``); each goes to the targets that have it.
    progress
        Show bars (a terminal or a notebook), be silent, or tell a `Progress` of one's own.

    Raises
    ------
    SpecError
        A value outside its range.

    >>> RunSettings(memory_limit="2GiB").bytes
    2147483648
    """

    seed: int = 0
    workers: int | Workers | None = None
    cluster: str | None = None
    memory_limit: int | str | None = None
    verify: int = 3
    journal: str | PathLike[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: bool | Progress = True

    def __post_init__(self) -> None:
        require_at_least("seed", self.seed, 0)
        require_at_least("verify", self.verify, 0)
        if isinstance(self.workers, int):
            require_at_least("workers", self.workers, 1)
        if isinstance(self.memory_limit, int):
            require_at_least("memory_limit", self.memory_limit, 1)
        if self.cluster is not None and self.workers is not None:
            raise SpecError(
                "workers",
                got="cluster too",
                expected="one of the two",
                fix="leave workers out: the cluster has as many as were started",
            )
        _ = self.bytes

    @property
    def bytes(self) -> int | None:
        """The limit of memory."""
        return (
            parse_size(self.memory_limit)
            if isinstance(self.memory_limit, str)
            else self.memory_limit
        )

    @classmethod
    def of(cls, settings: RunSettings | None, choices: Mapping[str, Any]) -> RunSettings:
        """``settings`` with ``choices``, which are fields by name.

        Raises
        ------
        SpecError
            A choice that there is not, or a value outside its range.

        >>> RunSettings.of(None, {"seed": 3}).seed
        3
        """
        return with_choices(settings or cls(), choices)

    def options_for(self, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """For each of ``targets`` the options that it has.

        Raises
        ------
        SpecError
            None of them has one of the options.
        """
        found = []
        for target in targets:
            has = options_of(target) if self.options else {}
            found.append({name: value for name, value in self.options.items() if name in has})
        for name in self.options:
            if not any(name in chosen for chosen in found):
                raise SpecError(
                    name,
                    got=repr(self.options[name]),
                    expected="an option of " + " or ".join(target.name for target in targets),
                    fix="leave it out, or choose a target that has it",
                )
        return found


class RunService:
    """Runs tasks one after another with the same workers; made by :func:`open_service`."""

    def __init__(self, settings: RunSettings, workers: Workers, progress: Progress) -> None:
        self.settings, self.progress, self._workers = settings, progress, workers

    def runner(self, task: RunTask) -> Runner:
        """What will run ``task``, or has run a part of it; for those who take partial results."""
        journal = self.settings.journal
        return Runner(
            task,
            folder=None if journal is None else Path(journal),
            seed=self.settings.seed,
            memory_limit=self.settings.bytes,
            workers=self._workers,
            progress=self.progress,
        )

    def rate(self, name: str, model: Model, data: Dataset, samples: int | None = None) -> Runner:
        """Run the rate model that ``model`` was converted from; the same for all conversions."""
        return self.run(rate_task(name, model, data, samples))

    def run(self, task: RunTask) -> Runner:
        """Run all of ``task``.

        Raises
        ------
        SpikingLmuError
            What the target said; the journal cannot be used; or workers died again and again.
        """
        runner = self.runner(task)
        runner.run()
        if runner.problem:
            raise runner.error or TargetError(
                task.label,
                got=runner.problem,
                expected="a run to its end",
                fix="see what check says about the model and this target",
            )
        return runner


@contextmanager
def open_service(settings: RunSettings) -> Iterator[RunService]:
    """A run service, whose workers and bars end with the context.

    Raises
    ------
    SpecError, MissingExtraError
        The cluster cannot be had.
    """
    with ExitStack() as stack:
        workers: Workers
        if settings.cluster is not None:
            workers = stack.enter_context(Cluster(settings.cluster))
        elif settings.workers is None or isinstance(settings.workers, int):
            workers = stack.enter_context(Processes(settings.workers or cores()))
        else:
            workers = settings.workers
        progress = stack.enter_context(shown(settings.progress))
        yield RunService(settings, workers, progress)


def rate_task(name: str, model: Model, data: Dataset, samples: int | None = None) -> RunTask:
    """The rate model on ``data``: kept for any seed, any target and any conversion."""
    job = Job(RATE, samples, verify=0)
    measure = answers_of(model, data.x.shape[1])
    label = f"{name} · rate model"
    return RunTask(label, model.rate_model, job, data, measure, seeded=False)


def targets_of(targets: str | Target | Sequence[str | Target]) -> list[Target]:
    """Targets by name or themselves, each able to run here.

    Raises
    ------
    TargetError
        One that is unknown, broken, or not able to run here.
    """
    several = [targets] if isinstance(targets, str | Target) else targets
    return [get_target(one) if isinstance(one, str) else one for one in several]

"""The interface that all kinds of workers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol

from .shards import Setup, Shard, ShardResult


class Crew(Protocol):
    """Workers for one setup.  A context manager; leaving it stops what is under way."""

    #: Shards that can run at the same time.
    size: int

    def results(self, shards: Iterable[Shard]) -> Iterator[ShardResult]:
        """Run shards; results come in any order, as they are finished.

        A shard is drawn only when a worker is about to run it, so that what waits is not in
        memory.  A worker that dies has its shard given to another.

        Raises
        ------
        TargetError
            A shard ended several workers, or the cluster is gone.
        """

    def __enter__(self) -> Crew: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Workers(Protocol):
    """A place that can run shards of any setup."""

    #: Shards that can run at the same time, at most.
    size: int
    #: Whether they use this machine's memory.
    here: bool

    def open(self, setup: Setup, samples: int) -> Crew:
        """Workers for ``setup``, which are to run so many samples in all."""

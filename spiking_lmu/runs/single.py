"""One worker: this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .shards import Setup, Shard, ShardResult, release, work


class ThisProcess:
    """Runs shards one after another where it is called."""

    size, here = 1, True

    def open(self, setup: Setup, samples: int) -> _Here:
        """The one worker."""
        return _Here(setup)


class _Here:
    size = 1

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def results(self, shards: Iterable[Shard]) -> Iterator[ShardResult]:
        for shard in shards:
            yield work(self._setup, shard)

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        release()

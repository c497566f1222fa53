"""Workers of a running Dask scheduler, on any number of machines."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import islice
from typing import Any

from spiking_lmu.compat.quiet import no_warnings
from spiking_lmu.errors import SpecError, TargetError, missing_extra

from .shards import Setup, Shard, ShardResult, release, versions_of, work

OPTION, PACKAGE = "cluster", "spiking-lmu"
#: Scheme, host name or IPv6 address in brackets, port.
ADDRESS = r"(tcp|tls)://([^/\s:\[\]]+|\[[0-9a-fA-F:]+\]):\d{1,5}"
#: Seconds in which a scheduler has to answer.
PATIENCE = 3
#: Times that a shard is tried again after an error on the way; Dask itself tries it elsewhere
#: when a worker dies (``distributed.scheduler.allowed-failures``).
RETRIES = 2
#: Shards at the scheduler for each one that can run, so that no worker waits for the next.
QUEUE = 2


class Cluster:
    """A connection to a scheduler, which is trusted.  A context manager.

    Dask's messages hold pickles: a scheduler, and whoever is between, can run any code here and
    on the workers.  Connect to your own only, over ``tls://`` unless the network is yours too.

    Parameters
    ----------
    address
        ``tcp://host:port`` or ``tls://host:port``.

    Raises
    ------
    MissingExtraError
        Dask's distributed is not installed here.
    SpecError
        Not an address; nobody answers; there are no workers, or one of them lacks this
        package or has another version of it.
    """

    here = False

    def __init__(self, address: str) -> None:
        if not re.fullmatch(ADDRESS, address):
            raise SpecError(
                OPTION,
                got=repr(address),
                expected="tcp://HOST:PORT",
                fix="pass the address that 'dask scheduler' prints",
            )
        try:
            from distributed import Client
        except ImportError as error:
            raise missing_extra(OPTION, "distributed", "cluster") from error
        # What goes wrong is an error of ours; Dask would tell it a second time, at length.
        for name in ("client", "comm", "core"):
            logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
        try:
            with no_warnings():
                _shake_hands(address)
                self._client: Any = Client(address, timeout=PATIENCE, set_as_default=False)
        except Exception as error:  # who answers may be anything, and answer anything
            raise SpecError(
                OPTION,
                got=f"no answer from {address} within {PATIENCE} s",
                expected="a running scheduler",
                fix="start one: dask scheduler",
            ) from error
        try:
            self.address, self.size = address, sum(self._client.nthreads().values())
            self._require_same_package()
        except BaseException:
            self.close()
            raise

    def _require_same_package(self) -> None:
        found = self._client.run(version, PACKAGE, on_error="return")
        if not found:
            raise SpecError(
                OPTION,
                got=f"no worker at {self.address}",
                expected="at least one",
                fix=f"start some of one thread each: dask worker {self.address}",
            )
        here = versions_of(())["spiking-lmu"]
        for worker, theirs in found.items():
            if theirs != here:
                got = theirs if isinstance(theirs, str) else "none"
                raise SpecError(
                    f"spiking-lmu on the worker {worker}",
                    got=got,
                    expected=f"{here}, as here",
                    fix="install the same version on every worker",
                )

    def open(self, setup: Setup, samples: int) -> _DaskCrew:
        """All workers of the scheduler."""
        return _DaskCrew(self._client, self.address, setup, self.size)

    def close(self) -> None:
        """End the connection; the cluster stays."""
        self._client.close(timeout=PATIENCE)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shake_hands(address: str) -> None:
    """Raise unless a scheduler answers; ``Client`` would wait for ever for one that says nothing.

    In a thread of its own, since a notebook's has a running event loop already.
    """
    from distributed.comm import connect
    from distributed.security import Security

    async def meet() -> None:
        arguments = Security().get_connection_args("client")
        comm = await asyncio.wait_for(connect(address, timeout=PATIENCE, **arguments), PATIENCE)
        comm.abort()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, meet()).result()


class _DaskCrew:
    def __init__(self, client: Any, address: str, setup: Setup, size: int) -> None:
        self._client, self._address, self._setup, self.size = client, address, setup, size
        self._futures: set[Any] = set()

    def __enter__(self) -> _DaskCrew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._futures:
            self._client.cancel(list(self._futures), force=True)
        elif kind is None:
            self._client.run(release, on_error="ignore")

    def results(self, shards: Iterable[Shard]) -> Iterator[ShardResult]:
        """Keep the scheduler's queue filled, and no longer than needed."""
        from distributed import as_completed

        coming = iter(shards)
        first = [self._submit(shard) for shard in islice(coming, QUEUE * self.size)]
        completed = as_completed(first, raise_errors=False, loop=self._client.loop)
        for future in completed:
            self._futures.remove(future)
            result = self._result(future)
            for shard in islice(coming, 1):
                completed.add(self._submit(shard))
            yield result

    def _submit(self, shard: Shard) -> Any:
        # Dask warns of a large task: a model and a batch, which are needed there.
        with no_warnings():
            future = self._client.submit(work, self._setup, shard, pure=False, retries=RETRIES)
        self._futures.add(future)
        return future

    def _result(self, future: Any) -> ShardResult:
        from distributed import CancelledError, KilledWorker

        try:
            result: ShardResult = future.result()
            return result
        except KilledWorker as error:
            raise TargetError(
                "Dask workers",
                got="one after another that died running the same samples",
                expected="workers that run to their end",
                fix="if memory ran out, lower the memory limit or start fewer workers a machine",
            ) from error
        except (CancelledError, OSError) as error:
            raise TargetError(
                f"the cluster at {self._address}",
                got="no connection any more",
                expected="a running scheduler",
                fix="start it again, then the same command",
            ) from error

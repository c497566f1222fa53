"""Several worker processes on this machine.

``concurrent.futures`` gives up a whole pool when one process dies, cannot end a process that
is busy, and leaves its processes behind if this one is killed; hence processes and pipes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import TargetError

from .shards import Setup, Shard, ShardResult, one_line, work
from .single import ThisProcess

if TYPE_CHECKING:
    from .protocol import Crew

#: A shard that has ended this many processes is not tried again.
ATTEMPTS = 3
#: With fewer samples than this, starting a process takes longer than running them.
WORTH_A_PROCESS = 8
#: Numbers of threads in NumPy's, TensorFlow's and numba's libraries.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Processes:
    """Up to ``size`` worker processes.  A context manager, which keeps them for the next setup.

    Without the context they end with each setup.  A worker does not import the main module,
    so that a script needs no ``if __name__ == "__main__":``; unless the target is defined there.
    """

    here = True

    def __init__(self, size: int) -> None:
        self.size = size
        self._keeps = False
        self._idle: list[_Process] = []

    def __enter__(self) -> Processes:
        self._keeps = True
        return self

    def __exit__(self, *_: object) -> None:
        self._keeps = False
        while self._idle:
            self._idle.pop().kill()

    def open(self, setup: Setup, samples: int) -> Crew:
        """Processes that start with the first shard each; few samples run in this process."""
        if self.size == 1 or samples < WORTH_A_PROCESS:
            return ThisProcess().open(setup, samples)
        return _Processes(setup, self.size, self._idle, self._keeps)


class _Processes:
    def __init__(self, setup: Setup, size: int, idle: list[_Process], keeps: bool) -> None:
        self._setup, self.size = setup, size
        self._pool, self._keeps = idle, keeps
        self._processes: list[_Process] = []

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if self._keeps and process.attempt is None:
                self._pool.append(process)
            else:
                process.kill()

    def results(self, shards: Iterable[Shard]) -> Iterator[ShardResult]:
        """Hand a shard to every idle process, starting one where there is room; collect."""
        coming, again = iter(shards), deque[_Attempt]()
        while True:
            self._hand_out(coming, again)
            busy = {p.connection: p for p in self._processes if p.attempt is not None}
            if not busy:
                return
            for connection in wait(list(busy)):
                process = busy[connection]  # type: ignore[index]
                try:
                    result = process.take()
                except (EOFError, ConnectionError):
                    again.append(self._bury(process))
                    continue
                yield result

    def _hand_out(self, coming: Iterator[Shard], again: deque[_Attempt]) -> None:
        """All are started before any is given work, so that they start side by side."""
        idle = [process for process in self._processes if process.attempt is None]
        given: list[_Attempt] = []
        while len(given) < len(idle) + self.size - len(self._processes):
            attempt = again.popleft() if again else _next_attempt(coming)
            if attempt is None:
                break
            given.append(attempt)
        while len(idle) < len(given):
            idle.append(self._pool.pop() if self._pool else self._started())
            self._processes.append(idle[-1])
        for process, attempt in zip(idle, given, strict=False):
            process.give(self._setup, attempt)

    def _started(self) -> _Process:
        needs_main = type(self._setup.target).__module__ == "__main__"
        return _Process(max(1, cores() // self.size), needs_main)

    def _bury(self, process: _Process) -> _Attempt:
        """The shard of a dead process, to be tried again.

        Raises
        ------
        TargetError
            It has been tried often enough.
        """
        self._processes.remove(process)
        attempt, cause = process.attempt, process.kill()
        assert attempt is not None
        if attempt.number == ATTEMPTS:
            samples = len(attempt.shard.positions)
            doing = f"running the same {samples} samples" if samples else "deploying"
            raise TargetError(
                f"{ATTEMPTS} worker processes, one after another",
                got=f"{cause} while {doing}",
                expected="processes that run to their end",
                fix="if memory ran out, choose a smaller memory limit or fewer workers",
            )
        return _Attempt(attempt.shard, attempt.number + 1)


class _Attempt:
    def __init__(self, shard: Shard, number: int = 1) -> None:
        self.shard, self.number = shard, number


def _next_attempt(coming: Iterator[Shard]) -> _Attempt | None:
    shard = next(coming, None)
    return None if shard is None else _Attempt(shard)


class _Process:
    """One worker process and the shard that it is running."""

    def __init__(self, threads: int, needs_main: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.attempt: _Attempt | None = None
        self._knows = ""
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _environment(threads), _interrupts_held(), _main_left_out(needs_main):
            self._process.start()
        theirs.close()

    def give(self, setup: Setup, attempt: _Attempt) -> None:
        self.attempt = attempt
        # A process that died while it was idle is noticed when its answer is waited for.
        with contextlib.suppress(ConnectionError):
            if self._knows != setup.token:
                self.connection.send(setup)
                self._knows = setup.token
            self.connection.send(attempt.shard)

    def take(self) -> ShardResult:
        result: ShardResult = self.connection.recv()
        self.attempt = None
        return result

    def kill(self) -> str:
        """End the process at once; says how it ended."""
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        self.connection.close()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Numbers of threads for processes started in the block: libraries read them on import."""
    variables = dict.fromkeys(THREADS, str(threads))
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _main_left_out(needed: bool) -> Iterator[None]:
    """Have processes started in the block not import the main module, unless it is ``needed``.

    :mod:`multiprocessing` tells them where it is by these two names (``spawn.py``,
    ``get_preparation_data``).
    """
    main: dict[str, Any] = vars(sys.modules["__main__"])
    kept: dict[str, Any] = (
        {} if needed else {name: main[name] for name in ("__file__", "__spec__") if name in main}
    )
    for name in kept:
        main[name] = None
    try:
        yield
    finally:
        main.update(kept)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal; one started in this block never sees it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started with the first process otherwise, and it would let interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """What a worker process does: a setup first, then shard after shard."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    setup: Setup | None = None
    while True:
        try:
            received = connection.recv()
        except (EOFError, ConnectionError):
            return
        except Exception as error:  # what was sent cannot be had here
            setup = None
            connection.send(ShardResult(Shard(), problem=one_line(error)))
            continue
        if isinstance(received, Setup):
            setup = received
        elif setup is not None:
            connection.send(work(setup, received))


def _end_with_parent() -> None:
    """However the parent ends, its workers end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

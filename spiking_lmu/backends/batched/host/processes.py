"""Step functions for Nengo processes on arrays with a batch axis.

A process keeps its state in closures, so by default every sample gets its own.  A process
class whose step works on each column of (size, batch) by itself, with the same arithmetic,
can say so with a class attribute ``batched = True`` and is then called once for all.

Source: nengo 4.1.0, ``builder/processes.py``, ``SimProcess.make_step``; nengo-loihi 1.1.0,
``builder/inputs.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..unsupported import unsupported
from .state import HostState

Array = np.ndarray
Step = Callable[[], None]


class NoRandom:
    """In place of a random generator whose seed the stock simulator draws anew each run."""

    def __init__(self, process: Any) -> None:
        self._name = repr(process)

    def __getattr__(self, name: str) -> Any:
        raise unsupported(f"process {self._name}", "random numbers without a seed", "a seed")


def fed_step(host: HostState, signal: Any) -> Step:
    """Output the feed of this step; what it showed before stays where it is."""
    feed, output = host.fed[signal], host.signals[signal]

    def step() -> None:
        if feed.changes(host.step_count - 1):
            feed.show(host.step_count - 1, output)
            if not feed.exact:
                host.rounded(output)

    return step


def process_step(host: HostState, operator: Any) -> Step | None:
    """What a process does in one step.

    Raises
    ------
    Unsupported
        The process draws random numbers and has no seed, or is noise on an ensemble.
    """
    process = operator.process
    kind = type(process).__name__
    if kind == "HostSendProcess":
        return _send(host, operator)
    output = host.signals[operator.output]
    if kind == "HostReceiveProcess":
        received = host.received[id(process)] = np.zeros(output.shape)

        def receive() -> None:
            output[...] = received
            host.rounded(output)

        return receive
    compute = _compute(host, operator)
    source = None if operator.input is None else host.signals[operator.input]
    if operator.mode == "inc":
        raise unsupported(f"process {process}", "noise added to neurons", "neurons without noise")

    def step() -> None:
        output[...] = compute() if source is None else compute(source.copy())

    return step


def _send(host: HostState, operator: Any) -> Step:
    """Values that are not zero are spikes (``simulator.py``, ``StepRunner._host2chip``)."""
    source = host.signals[operator.input]
    spikes = host.sent[id(operator.process)] = np.zeros(source.shape, bool)

    def send() -> None:
        np.not_equal(source, 0, out=spikes)

    return send


def _compute(host: HostState, operator: Any) -> Callable[..., Array]:
    process = operator.process
    if operator.input is None:
        # No input: the same for all samples.
        single = _make(host, process, (0,), operator.output.shape)
        return lambda: np.asarray(single(host.time)).reshape(-1, 1)
    shapes = operator.input.shape, operator.output.shape
    if _works_on_columns(host, process):
        if len(getattr(process, "den", ())) > 2:
            host.rounded()
        whole = _make(host, process, *((*shape, host.batch) for shape in shapes))
        return lambda x: whole(host.time, x)
    each = [_make(host, process, *shapes) for _ in range(host.batch)]

    def compute(x: Array) -> Array:
        values = np.empty((*shapes[1], host.batch))
        for b, single in enumerate(each):
            # What nothing writes has one column for all samples.
            values[..., b] = single(host.time, x[..., min(b, x.shape[-1] - 1)].copy())
        return values

    return compute


def _works_on_columns(host: HostState, process: Any) -> bool:
    from nengo.synapses import Alpha, LinearFilter, Lowpass

    if type(process) in (Lowpass, Alpha, LinearFilter):
        # First order filters multiply and add; higher orders go through BLAS, whose
        # sums can depend on the shape.
        return len(process.den) <= 2 or not host.strict
    return bool(getattr(type(process), "batched", False))


def _make(host: HostState, process: Any, shape_in: Any, shape_out: Any) -> Callable[..., Array]:
    rng = process.get_rng(None) if process.seed is not None else NoRandom(process)
    state = process.make_state(shape_in, shape_out, host.dt, dtype=np.float64)
    return process.make_step(shape_in, shape_out, host.dt, rng, state)

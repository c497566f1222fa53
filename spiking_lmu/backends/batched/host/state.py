"""What the step functions of a host work on: its signals with a batch axis, time, and margins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..feeds import Feed
from ..unsupported import unsupported

Array = np.ndarray


class Signals:
    """Arrays for the signals that change, of shape (*signal shape, batch).

    Signals that no operator writes keep their initial value and get a batch axis of 1.
    Views of one signal share memory, as in ``nengo/builder/signal.py``, and so do signals
    that ``same`` says are always equal.
    """

    def __init__(
        self, operators: Collection[Any], batch: int, same: Mapping[Any, Any] | None = None
    ) -> None:
        self.batch, self._same = batch, same or {}
        self._bases: dict[Any, Array] = {}
        self._written = {
            signal.base
            for operator in operators
            for signal in (*operator.sets, *operator.incs, *operator.updates)
        }
        self._read = {signal.base for operator in operators for signal in operator.reads}

    def read(self, signal: Any) -> bool:
        """Whether any operator or probe reads ``signal``."""
        return signal.base in self._read

    def constant(self, signal: Any) -> bool:
        """Whether no operator writes ``signal``."""
        return signal.base not in self._written

    def __getitem__(self, signal: Any) -> Array:
        if self.constant(signal):
            return np.asarray(signal.initial_value)[..., None]
        base = signal.base
        while base in self._same:
            base = self._same[base]
        if base not in self._bases:
            self._bases[base] = self._new(base)
        storage = self._bases[base]
        item = storage.itemsize
        return np.ndarray(
            (*signal.shape, self.batch),
            storage.dtype,
            storage,
            offset=signal.elemoffset * self.batch * item,
            strides=(*(s * self.batch * item for s in signal.elemstrides), item),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays in use."""
        return sum(array.nbytes for array in self._bases.values())

    def _new(self, base: Any) -> Array:
        start = np.asarray(base.initial_value)
        if start.dtype != np.float64:
            raise unsupported(
                f"host signal {base.name}", f"{start.dtype} numbers", "float64 (nengo.rc default)"
            )
        shape = (*start.shape, self.batch)
        if not start.any():
            # The system gives pages of zeros when they are first touched, and many never are.
            return np.zeros(shape)
        together = np.empty(shape)
        together[...] = start[..., None]
        return together


class HostState:
    """All that a step function may read and write.

    Parameters
    ----------
    signals
        Every signal, (*signal shape, batch).
    dt
        Seconds of a step.
    fed
        What is shown where a Node is fed, by the signal of its output.
    strict, compiled, margin
        See :class:`.host.BatchedHost`; ``margin`` is kept under its name.

    Attributes
    ----------
    step_count, time
        Steps done, and the time of the last one in seconds.
    sent
        For each process that sends to the chip (by ``id``): bool (size, batch), the spikes.
    received
        For each process that receives from the chip (by ``id``): (size, batch), to be set.
    margins
        ``margin`` for samples in which a sum may have been rounded otherwise than by the stock
        simulator, 0 for those in which every number is still the same, (batch,).
    near
        Samples in which a voltage was nearer to its threshold than that, bool (batch,).
    """

    def __init__(
        self,
        signals: Signals,
        dt: float,
        fed: Mapping[Any, Feed],
        *,
        strict: bool,
        compiled: bool,
        margin: float,
    ) -> None:
        self.signals, self.batch, self.dt, self.fed = signals, signals.batch, dt, fed
        self.strict, self.compiled = strict, compiled
        self.margin, self._all_rounded = margin, strict
        self.margins, self.near = np.zeros(self.batch), np.zeros(self.batch, bool)
        self.step_count, self.time = 0, 0.0
        self.sent: dict[int, Array] = {}
        self.received: dict[int, Array] = {}

    def rounded(self, values: Array | None = None) -> None:
        """Say that what is computed from ``values`` (size, batch) can be rounded otherwise.

        Zeros are not: whatever the order, they add up to zero.  None is all samples.
        """
        if not self._all_rounded:
            # What nothing writes has one column for all samples.
            new = np.broadcast_to(values is None or (values != 0).any(axis=0), self.batch)
            self.margins[new] = self.margin
            self._all_rounded = bool((self.margins == self.margin).all())

    def begin_step(self) -> None:
        """Count a step.  Time is as ``TimeUpdate`` computes it; processes get a Python float."""
        self.step_count += 1
        self.time = self.step_count * self.dt

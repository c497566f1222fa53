"""The signals of a built Nengo model with a batch axis behind their own axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .unsupported import unsupported

Array = np.ndarray


class Signals:
    """Arrays for the signals that change, of shape (*signal shape, batch).

    Signals that no operator writes keep their initial value and get a batch axis of 1.
    Views of one signal share memory, as in ``nengo/builder/signal.py``, and so do signals
    that ``same`` says are always equal.
    """

    def __init__(
        self, operators: Iterable[Any], batch: int, same: Mapping[Any, Any] | None = None
    ) -> None:
        self.batch, self._same = batch, same or {}
        self._bases: dict[Any, Array] = {}
        self._written = {
            signal.base
            for operator in operators
            for signal in (*operator.sets, *operator.incs, *operator.updates)
        }

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
        return np.repeat(start[..., None], self.batch, axis=-1)

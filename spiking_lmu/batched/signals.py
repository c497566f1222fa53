"""The signals of a built Nengo model with a batch axis behind their own axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .unsupported import unsupported

Array = np.ndarray


class Signals:
    """Arrays for the signals that change, of shape (*signal shape, batch).

    Signals that no operator writes keep their initial value and get a batch axis of 1.
    Views of one signal share memory, as in ``nengo/builder/signal.py``.
    """

    def __init__(self, operators: Iterable[Any], batch: int) -> None:
        self.batch = batch
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

    def _new(self, base: Any) -> Array:
        start = np.asarray(base.initial_value)
        if start.dtype != np.float64:
            raise unsupported(
                f"host signal {base.name}", f"{start.dtype} numbers", "float64 (nengo.rc default)"
            )
        return np.repeat(start[..., None], self.batch, axis=-1)

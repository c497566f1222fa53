"""What the spikes of one step add to all compartments, for a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from .places import Places
from .wiring import Wiring

Array = np.ndarray


class InputSums:
    """Adds up the inputs of a step by BLAS.

    Parameters
    ----------
    kind
        float32 or float64, for the products and the sums.

    Attributes
    ----------
    spikes
        What :meth:`add_up` was given, (neurons + inputs, batch), ones and zeros.
    sums
        (neurons, batch).
    """

    def __init__(self, places: Places, wiring: Wiring, batch: int, kind: Any) -> None:
        self._neurons = places.neurons
        self.spikes: Array = np.zeros((places.neurons + places.inputs, batch), kind)
        self.sums: Array = np.zeros((places.neurons, batch), kind)
        self._incidence = wiring.incidence.astype(kind)
        self._tiles: list[tuple[slice, slice, Array]] = [
            (t.rows, t.lines, t.weights.astype(kind)) for t in wiring.tiles
        ]
        self._rest = wiring.rest.astype(kind) if wiring.rest.nnz else None

    def add_up(self, spiked: Array, input_spikes: Array) -> None:
        """Set :attr:`sums` from bool (neurons, batch) and (inputs, batch)."""
        self.spikes[: self._neurons] = spiked
        self.spikes[self._neurons :] = input_spikes
        lines = self._incidence @ self.spikes
        if self._rest is None:
            self.sums[...] = 0
        else:
            self.sums[...] = self._rest @ lines
        for rows, columns, weights in self._tiles:
            self.sums[rows] += weights @ lines[columns]

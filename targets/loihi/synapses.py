"""The synapses of a population on the chip, and the memory that they take.

Source: nengo-loihi 1.1.0, ``builder/connection.py`` and ``block.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
#: Memory of the synapses of one axon: bits of a weight, of a header, and of a word, which is
#: filled up; at most 64 weights stand behind one header (``block.py``, ``bits_per_axon``).
WEIGHT_BITS, HEADER_BITS, WORD_BITS, WEIGHTS_A_HEADER = 8, 10, 64, 64


@dataclass(frozen=True, eq=False)
class Synapses:
    """The synapses from one source to one population, as the chip has them.

    Parameters
    ----------
    source
        The population on the chip whose neurons are the axons; None if spikes come from the
        host.
    name
        The projection, for messages.
    weights
        Current that one spike adds, float32: (axons, neurons), as an array or a sparse matrix;
        or (axons,) where axon k reaches only the neuron k modulo the number of neurons.  No
        synapse is made of a one-to-one weight of 0.
    tau
        Lowpass in seconds.
    coded
        Whether they are those of on/off neurons, which code a value of the host with one axon
        for positive and one for negative spikes.
    """

    source: str | None
    name: str
    weights: Any
    tau: float
    coded: bool = False

    @property
    def axons(self) -> int:
        """Number of axons."""
        return int(self.weights.shape[0])

    @property
    def slots(self) -> int:
        """Of the axons of a source that is in one part, one each."""
        return self.axons

    @property
    def one_to_one(self) -> bool:
        """Whether each axon reaches one neuron of its own."""
        return isinstance(self.weights, np.ndarray) and self.weights.ndim == 1

    @property
    def values(self) -> Array:
        """The weights that are not zero, in no order."""
        values = self.weights if isinstance(self.weights, np.ndarray) else self.weights.data
        return np.asarray(values[values != 0])

    def reaching(self, neurons: slice, size: int) -> Array:
        """Which axons have a synapse on these of ``size`` neurons, bool (axons,)."""
        if not isinstance(self.weights, np.ndarray):
            return np.asarray(self.weights[:, neurons].getnnz(axis=1) > 0)
        if self.weights.ndim == 2:
            return np.ones(self.axons, bool)
        reached = np.arange(self.axons) % size
        inside = (neurons.start <= reached) & (reached < neurons.stop)
        return np.asarray(inside & (self.weights != 0))

    def bits(self, neurons: slice, size: int, divided: bool) -> int:
        """Memory for the synapses on these neurons; equal rows of divided blocks share it."""
        if not isinstance(self.weights, np.ndarray):
            return _sparse_bits(self.weights[:, neurons], divided)
        if self.weights.ndim == 1:
            return int(self.reaching(neurons, size).sum()) * axon_bits(1)
        rows = self.weights[:, neurons]
        return (count_distinct(rows) if divided else len(rows)) * axon_bits(rows.shape[1])

    def largest(self, neurons: slice, size: int) -> np.float32:
        """Largest weight on these neurons, without its sign; -inf if there is none."""
        if not isinstance(self.weights, np.ndarray):
            chosen = self.weights[:, neurons].data
        elif self.weights.ndim == 1:
            chosen = self.weights[self.reaching(neurons, size)]
        else:
            chosen = self.weights[:, neurons]
        return np.float32(np.abs(chosen).max(initial=-np.inf))

    def slots_between(self, part: slice, target: slice, size: int, divided: bool) -> int:
        """Slots of axons from these source neurons to a block of the target of ``size`` neurons."""
        if not divided or (isinstance(self.weights, np.ndarray) and self.weights.ndim == 2):
            return part.stop - part.start
        return int(self.reaching(target, size)[part].sum())


def axon_bits(weights: int) -> int:
    """Memory of one axon's synapses, in bits."""
    full, rest = divmod(weights, WEIGHTS_A_HEADER)
    return full * _words(WEIGHTS_A_HEADER) + (_words(rest) if rest else 0)


def _words(weights: int) -> int:
    return -(-(weights * WEIGHT_BITS + HEADER_BITS) // WORD_BITS) * WORD_BITS


def _sparse_bits(rows: Any, divided: bool) -> int:
    """Of a sparse matrix (axons, neurons); axons of divided blocks are there if they lead there."""
    counts = np.diff(rows.indptr)
    if not divided:
        return sum(axon_bits(int(n)) for n in counts)
    ends = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
    kept = {(rows.indices[a:b].tobytes(), rows.data[a:b].tobytes()) for a, b in ends if b > a}
    return sum(axon_bits(len(indices) // rows.indices.itemsize) for indices, _ in kept)


def count_distinct(rows: Array) -> int:
    """Number of rows that differ in any bit."""
    # Only rows that begin with the same number can be equal; of trained weights that is hardly any.
    first = np.ascontiguousarray(rows[:, 0]).view(f"u{rows.itemsize}")
    _, group, counts = np.unique(first, return_inverse=True, return_counts=True)
    alike = counts[group] > 1
    return int((~alike).sum()) + len({row.tobytes() for row in np.ascontiguousarray(rows[alike])})

"""What each spike adds to each compartment: two sparse matrices, and their sums for a batch.

A spike reaches compartments over *slots*: rows of weights of a synapse, chosen by the
axon's map (``block.py``, ``Axon.map_axon`` and ``Synapse.axon_weights_indices``).  Slots that
have the same weights up to the sign form one *line*: the on and off neurons that code a
host value, for example, share one line, with signs +1 and -1.  Compartments with the same
inputs up to the sign, such as the comparators of a level-coded unit, share one *row*.  The input
of all compartments is then ``sign_of * (weights @ (incidence @ spikes))[row_of]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from ..unsupported import unsupported
from .places import Places

Array = np.ndarray
#: Sources, axons and atoms, each (connections,).
Arrival = tuple[Array, Array, Array]

#: A part of the weight matrix with at least this share of non-zeros is multiplied dense.
DENSE_SHARE = 0.05
#: With fewer, what a product of its own costs is more than it saves.
LEAST_NONZEROS = 100
#: Dense parts above each other become one if that has at most so many times their entries.
STACKED_SHARE = 1.25


@dataclass(frozen=True, eq=False)
class Tile:
    """A dense part of the weights: ``rows`` by ``lines``."""

    rows: slice
    lines: slice
    weights: Array


@dataclass(frozen=True, eq=False)
class Wiring:
    """Weights of a chip.

    Parameters
    ----------
    incidence
        (lines, neurons + inputs): how a spike counts on each line, int32.
    weights
        (rows, lines), whole numbers in int32 or real ones in float32.
    row_of, sign_of
        (neurons,) which row of ``weights`` is a neuron's, and with which sign.
    tiles, rest
        ``weights`` split into dense parts and what remains.
    """

    incidence: sparse.csr_matrix
    weights: sparse.csr_matrix
    row_of: Array
    sign_of: Array
    tiles: tuple[Tile, ...]
    rest: sparse.csr_matrix

    @cached_property
    def bound(self) -> Array:
        """(neurons,) largest magnitude that any choice of spikes, added in any order, can reach.

        For whole numbers.
        """
        magnitudes = abs(self.weights).astype(np.int64) @ abs(self.incidence).astype(np.int64)
        return np.asarray(magnitudes.sum(axis=1)).ravel()[self.row_of]

    @cached_property
    def unit(self) -> int:
        """The largest power of two that divides every weight, for whole numbers."""
        used = np.abs(self.weights.data)
        bits = int(np.bitwise_or.reduce(used)) if used.size else 1
        return bits & -bits


@dataclass(frozen=True, eq=False)
class _Slot:
    """One row of weights and the sources whose spikes reach it."""

    targets: Array
    weights: Array
    sources: Array


def wire(places: Places, arrivals: dict[Any, list[Arrival]], kind: type) -> Wiring:
    """Collect the axons and synapses of a model, but for the synapses that learn.

    Parameters
    ----------
    arrivals
        What :func:`arrivals_at_synapses` found.
    kind
        Of the weights: int32 once they are discretised, before that float32.

    Raises
    ------
    Unsupported
        A synapse names a compartment twice in one row.
    """
    slots = list(_slots(places.blocks, arrivals))
    incidence, weights, groups = _lines(slots, places, kind)
    starts = [block.start for block in places.blocks.values()]
    weights, row_of, sign_of, first = _distinct_rows(weights)
    # Rows are in the order in which they first occur, so those of a block stay together.
    cuts = [*np.searchsorted(first, starts).tolist(), len(first)]
    blocks = [slice(a, b) for a, b in pairwise(cuts) if a < b]
    tiles, rest = _split(weights, blocks, groups)
    return Wiring(incidence, weights, row_of, sign_of, tiles, rest)


def arrivals_at_synapses(origins: dict[Any, slice]) -> dict[Any, list[Arrival]]:
    """For each synapse: sources, and the axon and atom at which their spikes arrive.

    The atom chooses one of an axon's rows of weights: in a convolution an axon is a pixel
    and an atom a channel.
    """
    found: dict[Any, list[Arrival]] = {}
    for origin, place in origins.items():
        for axon in origin.axons:
            index = np.arange(place.stop - place.start)
            arrives = np.asarray(axon.map_axon(index), np.int64)
            atoms = np.asarray(axon.map_atoms(index), np.int64)
            used = arrives >= 0
            triple = (place.start + index[used], arrives[used], atoms[used])
            found.setdefault(axon.target, []).append(triple)
    return found


def _slots(blocks: dict[Any, slice], arrivals: dict[Any, list[Arrival]]) -> Iterator[_Slot]:
    for block, place in blocks.items():
        for synapse in block.synapses:
            if synapse.learning or synapse not in arrivals:
                continue
            parts = zip(*arrivals[synapse], strict=True)
            sources, axons, atoms = (np.concatenate(part) for part in parts)
            pairs, slot_of = np.unique(np.stack([axons, atoms]), axis=1, return_inverse=True)
            order = np.argsort(slot_of.ravel(), kind="stable")
            cuts = np.cumsum(np.bincount(slot_of.ravel(), minlength=pairs.shape[1]))[:-1]
            for (axon, atom), members in zip(pairs.T, np.split(sources[order], cuts), strict=True):
                base = synapse.axon_compartment_base(axon)
                if base is None:
                    continue
                weights, index = synapse.axon_weights_indices(axon, atom=atom)
                if not (index[1:] > index[:-1]).all() and len(np.unique(index)) != len(index):
                    raise unsupported(
                        f"synapse {synapse.label} of {block}",
                        "a compartment named twice in one row of weights",
                        "each compartment once",
                    )
                kept = weights != 0
                if kept.any():
                    yield _Slot(place.start + base + index[kept], weights[kept], members)


def _lines(
    slots: list[_Slot], places: Places, kind: type
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, Array]:
    """Merge slots of the same sources, then those whose weights are equal up to the sign.

    In this order: sources whose weights are rounded alike in one block differ in another.
    Lines are ordered by origin, then by target.  Also returns where each line comes from: the
    number of its first source's origin.
    """
    starts = np.array([origin.start for origin in places.origins.values()])
    of_sources: dict[bytes, list[_Slot]] = {}
    for slot in slots:
        of_sources.setdefault(slot.sources.tobytes(), []).append(slot)
    members: dict[tuple[int, bytes, bytes], list[tuple[int, Array]]] = {}
    weights_of: dict[tuple[int, bytes, bytes], tuple[Array, Array]] = {}
    for alike in of_sources.values():
        sources = alike[0].sources
        targets = np.concatenate([slot.targets for slot in alike]).astype(np.int64)
        order = np.argsort(targets, kind="stable")
        weights = np.concatenate([slot.weights for slot in alike]).astype(kind)[order]
        targets = targets[order]
        sign = 1 if weights[0] > 0 else -1
        group = int(np.searchsorted(starts, sources[0], side="right")) - 1
        key = (group, targets.tobytes(), (sign * weights).tobytes())
        members.setdefault(key, []).append((sign, sources))
        weights_of[key] = (targets, sign * weights)
    keys = sorted(members, key=lambda key: (key[0], int(weights_of[key][0][0])))
    at = [
        (line, sources, np.full(len(sources), sign))
        for line, key in enumerate(keys)
        for sign, sources in members[key]
    ]
    incidence = _matrix(at, (len(keys), places.neurons + places.inputs), np.int32)
    by_line = [(line, *weights_of[key]) for line, key in enumerate(keys)]
    matrix = _matrix(by_line, (len(keys), places.neurons), kind)
    return incidence, matrix.T.tocsr(), np.array([key[0] for key in keys], np.int64)


def _distinct_rows(
    weights: sparse.csr_matrix,
) -> tuple[sparse.csr_matrix, Array, Array, Array]:
    """The rows that differ by more than the sign.

    Also which of them each row was, with which sign, and where each of them was first.  The first
    weight of each is positive.
    """
    weights.sort_indices()
    seen: dict[tuple[bytes, bytes], int] = {}
    row_of, first = np.empty(weights.shape[0], np.int64), list[int]()
    sign_of = np.ones(weights.shape[0], np.int8)
    for i, (start, stop) in enumerate(pairwise(weights.indptr.tolist())):
        values = weights.data[start:stop]
        if values.size and values[0] < 0:
            sign_of[i], values = -1, -values
        key = (weights.indices[start:stop].tobytes(), values.tobytes())
        row_of[i] = seen.setdefault(key, len(seen))
        if len(seen) > len(first):
            first.append(i)
    distinct = weights[first]
    distinct.data *= np.repeat(sign_of[first], np.diff(distinct.indptr))
    return distinct, row_of, sign_of, np.array(first, np.int64)


def _matrix(
    rows: list[tuple[int, Array, Array]], shape: tuple[int, int], kind: type
) -> sparse.csr_matrix:
    """A sparse matrix from (row, columns, values); values at one place add up."""
    empty = np.zeros(0, np.int64)
    row = np.concatenate([empty, *(np.full(len(c), r) for r, c, _ in rows)])
    column = np.concatenate([empty, *(c for _, c, _ in rows)])
    value = np.concatenate([empty, *(v for _, _, v in rows)]).astype(kind)
    matrix = sparse.csr_matrix((value, (row, column)), shape=shape)
    matrix.eliminate_zeros()
    return matrix


def _split(
    weights: sparse.csr_matrix, blocks: list[slice], groups: Array
) -> tuple[tuple[Tile, ...], sparse.csr_matrix]:
    """Dense tiles of rows that are densely connected to an origin, and the rest."""
    tiles, entries = list[Tile](), weights.tocoo()
    # Which block and group an entry is in, as one number; how many are, and in which columns.
    starts = np.array([block.start for block in blocks], np.int64)
    origins, group_of = np.unique(groups, return_inverse=True)
    within = (np.searchsorted(starts, entries.row, side="right") - 1).astype(np.int64)
    within += group_of[entries.col] * len(blocks)
    counts = np.bincount(within, minlength=len(origins) * len(blocks))
    columns = entries.col[np.argsort(within, kind="stable")]
    ends = np.cumsum(counts)
    dense = np.zeros(len(counts), bool)
    for group in range(len(origins)):
        parts: list[tuple[slice, slice]] = []
        for place, rows in enumerate(blocks, group * len(blocks)):
            used = columns[ends[place] - counts[place] : ends[place]]
            if not used.size:
                continue
            part = rows, slice(int(used.min()), int(used.max()) + 1)
            if used.size >= max(LEAST_NONZEROS, DENSE_SHARE * _entries(*part)):
                parts.append(part)
                dense[place] = True
        for rows, among in _stacked(parts):
            tiles.append(Tile(rows, among, weights[rows, among].toarray()))
    left = ~dense[within]
    values = (entries.data[left], (entries.row[left], entries.col[left]))
    return tuple(tiles), sparse.csr_matrix(values, shape=weights.shape)


def _stacked(parts: list[tuple[slice, slice]]) -> list[tuple[slice, slice]]:
    """Merge parts whose rows follow each other: a few large products cost less than many small."""
    merged: list[tuple[slice, slice]] = []
    entries = 0
    for rows, columns in parts:
        if merged and merged[-1][0].stop == rows.start:
            above, beside = merged[-1]
            low, high = min(beside.start, columns.start), max(beside.stop, columns.stop)
            both = slice(above.start, rows.stop), slice(low, high)
            if _entries(*both) <= STACKED_SHARE * (entries + _entries(rows, columns)):
                entries += _entries(rows, columns)
                merged[-1] = both
                continue
        merged.append((rows, columns))
        entries = _entries(rows, columns)
    return merged


def _entries(rows: slice, columns: slice) -> int:
    return (rows.stop - rows.start) * (columns.stop - columns.start)


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
        self._reached = abs(wiring.incidence).astype(np.int32)
        self._bands = [_Band.of(tiles, kind) for tiles in _beside(wiring.tiles)]
        self._rest = wiring.rest.astype(kind) if wiring.rest.nnz else None
        rows, negative = wiring.weights.shape[0], wiring.sign_of < 0
        # Behind the sums of the rows stand the same with the other sign, where there are any.
        self._rows, self._row_of = rows, wiring.row_of + rows * negative
        all_differ = rows == places.neurons and not negative.any()
        height = 2 * rows if negative.any() else rows
        self._by_row = self.sums if all_differ else np.zeros((height, batch), kind)

    def add_up(self, spiked: Array, input_spikes: Array) -> None:
        """Set :attr:`sums` from bool (neurons, batch) and (inputs, batch)."""
        self.spikes[: self._neurons] = spiked
        self.spikes[self._neurons :] = input_spikes
        lines, by_row = self._incidence @ self.spikes, self._by_row[: self._rows]
        if self._rest is None:
            by_row[...] = 0
        else:
            by_row[...] = self._rest @ lines
        # Many sources are silent most of the time, such as a gate that opens once.
        busy = self._reached @ np.concatenate([spiked.any(axis=1), input_spikes.any(axis=1)])
        for band in self._bands:
            band.add(lines, busy, by_row)
        if self._by_row is not self.sums:
            if len(self._by_row) > len(by_row):
                np.negative(by_row, out=self._by_row[self._rows :])
            np.take(self._by_row, self._row_of, axis=0, out=self.sums, mode="clip")


@dataclass(frozen=True, eq=False)
class _Band:
    """Tiles beside each other: as many of them as have spikes are multiplied at once."""

    rows: slice
    parts: tuple[slice, ...]
    weights: Array

    @classmethod
    def of(cls, tiles: list[Tile], kind: Any) -> _Band:
        """Of tiles with the same rows, whose lines follow each other."""
        weights = np.concatenate([tile.weights for tile in tiles], axis=1).astype(kind)
        return cls(tiles[0].rows, tuple(tile.lines for tile in tiles), weights)

    def add(self, lines: Array, busy: Array, by_row: Array) -> None:
        """Add to ``by_row`` what the ``lines`` weigh of the tiles in which any is ``busy``."""
        first = self.parts[0].start
        for start, stop in self._busy(busy):
            by_row[self.rows] += self.weights[:, start - first : stop - first] @ lines[start:stop]

    def _busy(self, busy: Array) -> Iterator[tuple[int, int]]:
        """From where to where lines of busy tiles follow each other."""
        start = None
        for part in self.parts:
            if busy[part].any():
                start = part.start if start is None else start
            elif start is not None:
                yield start, part.start
                start = None
        if start is not None:
            yield start, self.parts[-1].stop


def _beside(tiles: tuple[Tile, ...]) -> list[list[Tile]]:
    """Tiles with the same rows whose lines follow each other, together."""
    found: list[list[Tile]] = []
    for tile in tiles:
        last = found[-1][-1] if found else None
        if last is None or last.rows != tile.rows or last.lines.stop != tile.lines.start:
            found.append([])
        found[-1].append(tile)
    return found

"""The synapses of a convolution on the chip, whose weights are shared among places.

nengo-loihi gives a place of the image one axon, whatever its channels: a spike says its channel
(a *population axon*, of 32 bits and thus two slots).  Places that see the same part of the
kernel share its weights, if what they reach lies at the same distance (nengo-loihi 1.1.0,
``conv.py``, ``conv2d_loihi_weights``, and ``builder/split_blocks.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spiking_lmu.graph.transforms import Convolution, Transform, Windows

from .synapses import HEADER_BITS, WEIGHT_BITS, WEIGHTS_A_HEADER, WORD_BITS, Synapses

Array = np.ndarray
#: Bits that an index can have, and the reach of an axon's offset (``SynapseConfig``, ``conv.py``).
INDEX_BITS, OFFSETS = (0, 6, 7, 8, 9, 10, 11, 12), 256
#: Slots of an axon that carries a spike's channel in 32 bits.
SLOTS = 2


def on_chip_convolution(transform: Transform) -> Convolution | None:
    """The convolution that is built on the chip for ``transform``; None where it is unrolled.

    It is in two dimensions, as nengo-loihi wants it (:meth:`.Convolution.in_two_dimensions`).
    """
    if not isinstance(transform, Convolution) or not transform.plain:
        return None
    return transform.in_two_dimensions()


@dataclass(frozen=True)
class _Place:
    """What a spike at one place of the image reaches.

    ``rows`` and ``columns`` are the parts of the flipped kernel; ``first`` is the first place
    that it reaches.
    """

    axon: int
    rows: tuple[bool, ...]
    columns: tuple[bool, ...]
    first: int


@dataclass(frozen=True, eq=False)
class ConvolutionSynapses(Synapses):
    """As :class:`.synapses.Synapses`; ``weights`` is the kernel (rows, columns, channels, filters).

    Parameters
    ----------
    transform
        The convolution, in two dimensions.
    """

    transform: Convolution | None = None

    @property
    def _convolution(self) -> Convolution:
        assert self.transform is not None
        return self.transform

    @property
    def axons(self) -> int:
        """One for each place of the image."""
        return int(np.prod(self._convolution.input_shape[:-1]))

    @property
    def one_to_one(self) -> bool:
        """Never."""
        return False

    @property
    def slots(self) -> int:
        """Of the axons of a source that is in one part."""
        return SLOTS * self.axons

    def reaching(self, neurons: slice, size: int) -> Array:
        """Which places reach any of these neurons."""
        found = np.zeros(self.axons, bool)
        for place in self._places:
            reached = self._targets(place)
            found[place.axon] = bool(((reached >= neurons.start) & (reached < neurons.stop)).any())
        return found

    def bits(self, neurons: slice, size: int, divided: bool) -> int:
        """Memory: each part of the kernel once for each distance at which it is used."""
        kernel = np.ascontiguousarray(np.transpose(self.weights, (2, 0, 1, 3))[:, ::-1, ::-1])
        entries: dict[object, int] = {}
        largest = -1
        for place in self._places:
            targets = self._targets(place)
            if not divided:
                offset = place.first * self._filters % OFFSETS
                index, weights = targets - offset, len(targets)
                key: object = (place.rows, place.columns, index[0])
            else:
                valid = (targets >= neurons.start) & (targets < neurons.stop)
                if not valid.any():
                    continue
                local = targets[valid] - neurons.start
                index = local - local[0] % OFFSETS
                part = kernel[:, np.outer(place.rows, place.columns)].reshape(len(kernel), -1)
                key, weights = (part[:, valid].tobytes(), index.tobytes()), len(local)
            largest = max(largest, int(index.max()))
            entries[key] = weights * len(kernel)
        each = WEIGHT_BITS + index_bits(largest)
        return sum(entry_bits(n, each) for n in entries.values())

    def largest(self, neurons: slice, size: int) -> np.float32:
        """Largest weight, without its sign, among those that lead to these neurons."""
        kernel = np.abs(np.transpose(self.weights, (2, 0, 1, 3))[:, ::-1, ::-1]).max(axis=0)
        largest = np.float32(-np.inf)
        for place in self._places:
            targets = self._targets(place)
            valid = (targets >= neurons.start) & (targets < neurons.stop)
            part = kernel[np.outer(place.rows, place.columns)].reshape(-1)[valid]
            largest = max(largest, np.float32(part.max(initial=-np.inf)))
        return largest

    def slots_between(self, part: slice, target: slice, size: int, divided: bool) -> int:
        """Slots of the axons from these source neurons to a block of the target."""
        places = np.unique(np.arange(part.start, part.stop) // self._convolution.input_shape[-1])
        if divided:
            places = places[self.reaching(target, size)[places]]
        return SLOTS * len(places)

    @property
    def _filters(self) -> int:
        return int(self.weights.shape[-1])

    @cached_property
    def _places(self) -> tuple[_Place, ...]:
        return tuple(self._all_places())

    def _all_places(self) -> Iterator[_Place]:
        windows = self._convolution.windows
        width = windows.places[1]
        along = [list(_along(windows, axis)) for axis in (0, 1)]
        for i, (rows, row) in enumerate(along[0]):
            for j, (columns, column) in enumerate(along[1]):
                if any(rows) and any(columns):
                    axon = i * windows.grid[1] + j
                    yield _Place(axon, rows, columns, row * width + column)

    def _targets(self, place: _Place) -> Array:
        """All neurons that the place reaches, in ascending order."""
        width, filters = self._convolution.windows.places[1], self._filters
        rows, columns = np.arange(sum(place.rows)), np.arange(sum(place.columns))
        places = place.first + rows[:, None] * width + columns
        return (places.reshape(-1, 1) * filters + np.arange(filters)).reshape(-1)


def _along(windows: Windows, axis: int) -> Iterator[tuple[tuple[bool, ...], int]]:
    """For each input along one axis the used part of the flipped kernel, and its first output."""
    grid, kernel = windows.grid[axis], windows.kernel[axis]
    stride, outputs = windows.strides[axis], windows.places[axis]
    before = windows.padding[axis][0]
    for i in range(grid):
        reached = np.arange(i + before + 1 - kernel, i + before + 1)
        used = (reached >= 0) & (reached < (outputs - 1) * stride + 1) & (reached % stride == 0)
        first = int(reached[used][0]) // stride if used.any() else -1
        yield tuple(map(bool, used)), first


def index_bits(largest: int) -> int:
    """Bits of an index that reaches up to ``largest``."""
    needed = int(np.ceil(np.log2(largest + 1))) if largest > 0 else 0
    return next((bits for bits in INDEX_BITS if bits >= needed), INDEX_BITS[-1])


def entry_bits(weights: int, each: int) -> int:
    """Memory of so many weights of ``each`` bits behind headers, in whole words."""
    full, rest = divmod(weights, WEIGHTS_A_HEADER)
    sizes = [WEIGHTS_A_HEADER] * full + ([rest] if rest else [])
    return sum(-(-(n * each + HEADER_BITS) // WORD_BITS) * WORD_BITS for n in sizes)

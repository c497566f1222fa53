"""Batches of sequences convolved with an impulse response, block after block.

The method is overlap-save with a partitioned response (Stockham, 1966; Wefers,
*Partitioned convolution algorithms for real-time auralization*, 2015, section 5): the
response is cut into pieces as long as a block, so that a block needs short transforms only
and whatever was computed may be forgotten when the next block begins.

Inputs and responses are real, a transform is complex.  So two outputs are computed at once:
one response and i times another are one complex response, and what comes out is one output
and i times the other.
"""

from __future__ import annotations

from importlib.util import find_spec
from math import ceil, prod
from typing import NamedTuple

import numpy as np
from scipy import fft

Array = np.ndarray
#: Steps that may be computed together: a transform has twice as many points, a power of four.
BLOCKS = (2, 8, 32, 128, 512)
#: One pass of a transform of so many points takes as long as so many multiplications for each
#: number that comes out (measured); the longest ones do not fit into the nearest cache.
PASS = {4: 4.5, 16: 4.5, 64: 4.5, 256: 4.5, 1024: 10.0}
#: Numbers that come out of a batch that is worth compiling for.
LARGE = 10_000_000
#: Sequences convolved at once by NumPy, so that the arrays of a block stay in a cache.
TILE = 32


def block_length(steps: int, channels: int) -> int:
    """The number of steps in a block that makes a convolution cheapest."""
    return min(BLOCKS, key=lambda block: _cost(steps, channels, block))


def multiplications(steps: int, outputs: int, channels: int) -> int:
    """How long a convolution takes for each step of one sequence, in multiplications.

    What its transforms take is counted as so many multiplications of a product of matrices.
    """
    return round(outputs * _cost(steps, channels, block_length(steps, channels)))


def _cost(steps: int, channels: int, block: int) -> float:
    """Multiplications for each number that is asked for, with blocks of this length."""
    blocks = ceil(steps / block)
    # A complex product is four; half of the response has been reached on average.  There is
    # one complex point for each number that comes out, twice as many for two of them.
    products = 2 * channels * (blocks + 1)
    passes = (2 * block).bit_length() // 2
    return (products + PASS[2 * block] * passes) * blocks * block / steps


class InputConvolution:
    """``y[t] = Σ_s response[s] · x[t - s]`` for sequences no longer than the response.

    Parameters
    ----------
    response
        Shape (steps, outputs, channels): the outputs at each step after an impulse of one
        on each channel at step 0.
    compiled
        Use numba, or do not.  None is where it is installed, from the first batch on that makes
        up for the seconds that compiling takes (:data:`LARGE`).  The results differ by rounding.

    Attributes
    ----------
    block, blocks
        Steps that are computed together, and how often.
    transfer
        At each frequency what leads from the blocks of x to each pair of outputs: complex
        (points, pairs, blocks · channels), the response's beginning first.
    gain
        The most that each output can be for inputs up to one, (outputs,).
    scale
        What the outputs are to be multiplied by, (2 · pairs,): powers of two.  Responses are
        divided by them, so that the smaller one of a pair does not drown in the larger
        one's rounding.
    """

    def __init__(self, response: Array, compiled: bool | None = None) -> None:
        self.steps, self.outputs, self.channels = response.shape
        self.block = block_length(self.steps, self.channels)
        self.blocks = ceil(self.steps / self.block)
        padded = np.zeros(
            (self.blocks * self.block, self.outputs + self.outputs % 2, self.channels)
        )
        padded[: self.steps, : self.outputs] = response
        self.scale = np.exp2(np.frexp(np.abs(padded).max(axis=(0, 2)))[1])
        padded /= self.scale[:, None]
        self.gain = np.abs(response).sum(axis=(0, 2))
        self.transfer = self._spectra_of(padded[:, 0::2] + 1j * padded[:, 1::2])
        self._compilable = find_spec("numba") is not None if compiled is None else compiled
        self._worth_it = bool(compiled)
        self._tables: Tables | None = None

    @property
    def points(self) -> int:
        """Points of a transform: a block and the one before it."""
        return 2 * self.block

    @property
    def numbers_a_sequence(self) -> int:
        """Numbers of float64 that :class:`Convolved` holds for each sequence of a large batch."""
        return 2 * self.points * self.blocks * self.channels + self.block * len(self.scale)

    def _spectra_of(self, response: Array) -> Array:
        pieces = response.reshape(self.blocks, self.block, -1, self.channels)
        spectra = fft.fft(pieces, self.points, axis=1)
        # Frequencies first, so that there is one product of matrices for each.
        return np.moveaxis(spectra, 0, 2).reshape(self.points, len(self.scale) // 2, -1)

    def apply(self, x: Array) -> Convolved:
        """Prepare ``x`` (batch, up to as many steps as the response, channels)."""
        self._worth_it |= self._compilable and len(x) * self.steps * self.outputs >= LARGE
        if not self._worth_it:
            return NumpyConvolved(self, x)
        if self._tables is None:
            self._tables = Tables.of(self.transfer, self.scale)
        return CompiledConvolved(self, self._tables, x)

    def spectra(self, x: Array) -> Array:
        """Of each block of ``x`` together with the block before it.

        Complex (points, blocks · channels, batch), the newest block first, as it goes with the
        response at its beginning.
        """
        batch, steps, _ = x.shape
        # Nothing comes before the first block.
        padded = np.zeros(((self.blocks + 1) * self.block, self.channels, batch))
        padded[self.block : self.block + steps] = np.moveaxis(x, 0, -1)
        cut = padded.reshape(self.blocks + 1, self.block, self.channels, batch)[::-1]
        spectra = fft.fft(np.concatenate([cut[1:], cut[:-1]], axis=1), axis=1)
        return np.ascontiguousarray(np.moveaxis(spectra, 1, 0).reshape(self.points, -1, batch))

    def reached(self, number: int) -> tuple[slice, slice]:
        """Which columns of the response meet which rows of the spectra in block ``number``."""
        width, all_of_them = self.channels * (number + 1), self.channels * self.blocks
        return slice(width), slice(all_of_them - width, all_of_them)


class Convolved:
    """One batch, convolved as far as it is asked for; holds the outputs of one block."""

    #: Of one block: (steps, outputs, batch), where the last two may be longer than need be.
    outputs: Array

    def __init__(self, convolution: InputConvolution) -> None:
        self.convolution = convolution
        self._made = -1

    def write(self, step: int, target: Array) -> None:
        """Set ``target`` (outputs, batch) to what comes out at ``step``, counted from 0."""
        number, place = divmod(step, self.convolution.block)
        if number != self._made:
            self.compute(number)
            self._made = number
        np.copyto(target, self.outputs[place, : len(target), : target.shape[1]])

    def compute(self, number: int) -> None:
        """Set :attr:`outputs` to those of block ``number``."""
        raise NotImplementedError


class NumpyConvolved(Convolved):
    """With products and transforms of NumPy and SciPy."""

    def __init__(self, convolution: InputConvolution, x: Array) -> None:
        super().__init__(convolution)
        self._tiles = [slice(start, start + TILE) for start in range(0, len(x), TILE)]
        self._spectra = [convolution.spectra(x[tile]) for tile in self._tiles]
        self.outputs = np.empty((convolution.block, len(convolution.scale), len(x)))

    def compute(self, number: int) -> None:
        """Set :attr:`outputs` to those of block ``number``."""
        convolution = self.convolution
        columns, rows = convolution.reached(number)
        for tile, spectra in zip(self._tiles, self._spectra, strict=True):
            product = convolution.transfer[:, :, columns] @ spectra[:, rows]
            pairs = fft.ifft(product, axis=0, overwrite_x=True)[convolution.block :]
            self.outputs[:, 0::2, tile], self.outputs[:, 1::2, tile] = pairs.real, pairs.imag
        self.outputs *= convolution.scale[:, None]


class Tables(NamedTuple):
    """What the compiled kernel reads: the response, and the plan of its transforms.

    Parameters
    ----------
    transfer
        (pairs, points // 2 + 1, blocks · channels, 2, 2), real and flat.  The inputs are real:
        their spectrum at one frequency gives that of its negative, so what goes with both
        stands together; then real and imaginary part.
    scale
        See :class:`InputConvolution`; and what an inverse transform is divided by.
    places
        Where each frequency stands before the first pass: its digits to base four, reversed.
        The last is that of frequency 0 once more, (points + 1,).
    twiddles
        The factors of every pass: three complex numbers for each place in a transform.
    """

    transfer: Array
    scale: Array
    places: Array
    twiddles: Array

    @classmethod
    def of(cls, transfer: Array, scale: Array) -> Tables:
        """Those of an :class:`InputConvolution`."""
        points = len(transfer)
        k = np.arange(points // 2 + 1)
        both = np.moveaxis(np.stack([transfer[k], transfer[-k]], axis=-1), 1, 0)
        numbers = np.stack([both.real, both.imag], axis=-1)
        places, twiddles = np.zeros(1, np.int64), []
        while len(places) < points:
            angle = np.pi / 2 / len(places) * np.outer(np.arange(len(places)), (1, 2, 3))
            twiddles.append(np.stack([np.cos(angle), np.sin(angle)], axis=-1).ravel())
            places = np.concatenate([4 * places + digit for digit in range(4)])
        return cls(
            numbers.ravel(), scale / points, np.append(places, places[0]), np.concatenate(twiddles)
        )


class Block(NamedTuple):
    """What the compiled kernel computes one block of.

    Parameters
    ----------
    tables
        See there.
    spectra
        (tiles, points // 2 + 1, rows, 2, lanes), flat: `InputConvolution.spectra`, real and
        imaginary parts.
    tiles
        How many times the lanes (`lanes.py`) there are sequences.
    rows, first
        How many rows of spectra there are, and from which on they meet the response.
    work
        Room for (points, 2, lanes), flat.
    """

    tables: Tables
    spectra: Array
    tiles: int
    rows: int
    first: int
    work: Array


class CompiledConvolved(Convolved):
    """With numba, the batch filled up with zeros to whole lanes."""

    def __init__(self, convolution: InputConvolution, tables: Tables, x: Array) -> None:
        from .lanes import WIDTH

        super().__init__(convolution)
        tiles = ceil(len(x) / WIDTH)
        rows = convolution.blocks * convolution.channels
        spectra = aligned((tiles, convolution.block + 1, rows, 2, WIDTH))
        for i, tile in enumerate(spectra):
            part = x[i * WIDTH : (i + 1) * WIDTH]
            found = convolution.spectra(part)[: convolution.block + 1]
            tile[:, :, 0, : len(part)], tile[:, :, 1, : len(part)] = found.real, found.imag
        work = aligned((convolution.points, 2, WIDTH))
        self._block = Block(tables, spectra.ravel(), tiles, rows, 0, work.ravel())
        self._shape = (convolution.block, len(convolution.scale), tiles * WIDTH)

    @property
    def lanes(self) -> int:
        """Sequences that are computed, those of zeros included."""
        return self._shape[-1]

    def block(self, number: int) -> Block:
        """For the kernel, to compute that block."""
        _, rows = self.convolution.reached(number)
        return self._block._replace(first=rows.start)

    def compute(self, number: int) -> None:
        """Set :attr:`outputs` to those of block ``number``."""
        from .convolution_kernels import convolve

        if self._made < 0:
            self.outputs = aligned(self._shape)
        convolve(self.block(number), self.outputs.ravel())


def aligned(shape: tuple[int, ...]) -> Array:
    """Zeros, float64, that begin where a line of the cache does.

    The numbers of all lanes are then on one line, or on two whole ones.  Twice as fast.
    """
    line = 64 // 8
    numbers = np.zeros(prod(shape) + line)
    start = -(numbers.ctypes.data // 8) % line
    return numbers[start : start + prod(shape)].reshape(shape)

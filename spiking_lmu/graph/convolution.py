"""Batches of sequences convolved with an impulse response, block after block.

The method is overlap-save with a partitioned response (Stockham, 1966; Wefers,
*Partitioned convolution algorithms for real-time auralization*, 2015, section 5): the
response is cut into pieces as long as a block, so that a block needs short transforms only
and whatever was computed may be forgotten when the next block begins.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from scipy import fft

Array = np.ndarray
#: Sequences convolved at once, so that the arrays of a block stay in a processor's cache.
TILE = 32


def block_length(steps: int, channels: int) -> int:
    """Steps in a block such that the products before and inside the inverse transform balance.

    With blocks of length L they cost ``steps · channels / L`` and L multiplications for each
    number that comes out, up to a common factor.
    """
    return min(steps, max(1, round(sqrt(steps * channels))))


def multiplications(steps: int, outputs: int, channels: int) -> int:
    """How many a :class:`Convolution` of this size takes for each step of one sequence."""
    length = block_length(steps, channels)
    # Each complex product is four; half of the response has been reached on average.
    return 2 * outputs * (channels * ceil(steps / length) + length + 1)


class Convolution:
    """``y[t] = Σ_s response[s] · x[t - s]`` for sequences no longer than the response.

    Parameters
    ----------
    response
        Shape (steps, outputs, channels): the outputs at each step after an impulse of one
        on each channel at step 0.

    Attributes
    ----------
    block, blocks
        Steps that are computed together, and how often.
    transfer, inverse
        The matrices of the two products; see the methods that make them.
    """

    def __init__(self, response: Array) -> None:
        self.steps, self.outputs, self.channels = response.shape
        self.block = block_length(self.steps, self.channels)
        self.blocks = ceil(self.steps / self.block)
        self.transfer = self._transfer_matrices(response)
        self.inverse = _inverse_transform(self.block)

    @property
    def numbers_a_sequence(self) -> int:
        """Numbers of float64 that :class:`Convolved` holds for each sequence of a large batch."""
        spectra = 2 * self.channels * self.blocks * (self.block + 1)
        return spectra + self.outputs * self.block

    def _transfer_matrices(self, response: Array) -> Array:
        """For each frequency what leads from the spectra of the blocks of x to that of y.

        Shape (frequencies, 2 · outputs, blocks · 2 · channels), real: a complex number is two
        rows or columns, and a complex factor h the block [[Re h, -Im h], [Im h, Re h]].  The
        columns run from the oldest block to the newest.
        """
        padded = np.zeros((self.blocks * self.block, self.outputs, self.channels))
        padded[: self.steps] = response
        pieces = padded.reshape(self.blocks, self.block, self.outputs, self.channels)[::-1]
        h = np.moveaxis(fft.rfft(pieces, 2 * self.block, axis=1), 0, 2)
        real = np.empty((self.block + 1, 2, self.outputs, self.blocks, 2, self.channels))
        real[:, 0, :, :, 0], real[:, 0, :, :, 1] = h.real, -h.imag
        real[:, 1, :, :, 0], real[:, 1, :, :, 1] = h.imag, h.real
        return real.reshape(self.block + 1, 2 * self.outputs, -1)

    def apply(self, x: Array) -> Convolved:
        """Prepare ``x`` (batch, up to as many steps as the response, channels)."""
        return Convolved(self, x)

    def spectra(self, x: Array) -> Array:
        """Of each block of ``x`` together with the block before it.

        Shape (frequencies, blocks · 2 · channels, batch), the oldest block first.
        """
        batch, steps, _ = x.shape
        # Nothing comes before the first block.
        padded = np.zeros(((self.blocks + 1) * self.block, self.channels, batch))
        padded[self.block : self.block + steps] = np.moveaxis(x, 0, -1)
        cut = padded.reshape(self.blocks + 1, self.block, self.channels, batch)
        spectrum = np.moveaxis(fft.rfft(np.concatenate([cut[:-1], cut[1:]], axis=1), axis=1), 0, 1)
        real = np.stack([spectrum.real, spectrum.imag], axis=2)
        return np.ascontiguousarray(real.reshape(self.block + 1, -1, batch))


class Convolved:
    """One batch, convolved as far as it is asked for; holds the arrays of one block."""

    def __init__(self, convolution: Convolution, x: Array) -> None:
        self._convolution = convolution
        batch, rows = len(x), convolution.transfer.shape[1]
        self._tiles = [slice(start, start + TILE) for start in range(0, batch, TILE)]
        self._spectra = [convolution.spectra(x[tile]) for tile in self._tiles]
        self._blocks = [
            np.empty((convolution.block, convolution.outputs, spectra.shape[-1]))
            for spectra in self._spectra
        ]
        self._product = np.empty((convolution.block + 1, rows, min(batch, TILE)))
        self._made = -1

    def write(self, step: int, target: Array) -> None:
        """Set ``target`` (outputs, batch) to what comes out at ``step``, counted from 0."""
        number, place = divmod(step, self._convolution.block)
        if number != self._made:
            self._compute(number)
            self._made = number
        for tile, block in zip(self._tiles, self._blocks, strict=True):
            target[:, tile] = block[place]

    def _compute(self, number: int) -> None:
        inverse = self._convolution.inverse
        width = 2 * self._convolution.channels * (number + 1)
        transfer = self._convolution.transfer[:, :, -width:]
        for spectra, block in zip(self._spectra, self._blocks, strict=True):
            product = self._product[:, :, : spectra.shape[-1]]
            if not product.flags.c_contiguous:
                product = np.empty(product.shape)
            np.matmul(transfer, spectra[:, :width], out=product)
            flat = product.reshape(inverse.shape[1], -1)
            np.matmul(inverse, flat, out=block.reshape(len(block), -1))


def _inverse_transform(block: int) -> Array:
    """The matrix of the inverse real transform, its second half of ``block`` steps only.

    Columns are the real and imaginary parts of each frequency, by turns; for blocks this
    short one matrix product is faster than fast transforms of its many columns.
    """
    unit = np.zeros((block + 1, 2, block + 1), complex)
    each = np.arange(block + 1)
    unit[each, 0, each], unit[each, 1, each] = 1, 1j
    steps = fft.irfft(unit.reshape(2 * (block + 1), block + 1), 2 * block)
    return np.ascontiguousarray(steps[:, block:].T)

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
#: Multiplications for each step of a block in the first product over those in the second.
BALANCE = 2.0


def block_length(steps: int, channels: int) -> int:
    """Steps in a block such that the products before and inside the inverse transform balance.

    With blocks of length L they cost ``2 · steps · channels / L`` and L multiplications for each
    number that comes out.
    """
    return min(steps, max(1, round(sqrt(BALANCE * steps * channels))))


def multiplications(steps: int, outputs: int, channels: int) -> int:
    """How many a :class:`InputConvolution` of this size takes for each step of one sequence."""
    length = block_length(steps, channels)
    # Each complex product is four; half of the response has been reached on average.
    return outputs * (2 * channels * ceil(steps / length) + length + 1)


class InputConvolution:
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
    transfer
        The matrices of the product with the spectra (`_transfer_matrices`).
    inverse
        The two matrices of the inverse transform (`_inverse_transform`).
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
        return spectra + self.outputs * 2 * (self.block // 2 + 1)

    def _transfer_matrices(self, response: Array) -> Array:
        """For each frequency what leads from the spectra of the blocks of x to that of y.

        Shape (frequencies, 2 · outputs, blocks · 2 · channels), real: a complex number is two
        rows or columns, and a complex factor h the block [[Re h, -Im h], [Im h, Re h]].  The
        columns run from the oldest block to the newest.  Of odd frequencies the imaginary rows
        come first: so the inverse transform wants them.
        """
        padded = np.zeros((self.blocks * self.block, self.outputs, self.channels))
        padded[: self.steps] = response
        pieces = padded.reshape(self.blocks, self.block, self.outputs, self.channels)[::-1]
        h = np.moveaxis(fft.rfft(pieces, 2 * self.block, axis=1), 0, 2)
        real = np.empty((self.block + 1, 2, self.outputs, self.blocks, 2, self.channels))
        real[:, 0, :, :, 0], real[:, 0, :, :, 1] = h.real, -h.imag
        real[:, 1, :, :, 0], real[:, 1, :, :, 1] = h.imag, h.real
        real[1::2] = real[1::2, ::-1].copy()
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

    def __init__(self, convolution: InputConvolution, x: Array) -> None:
        self._convolution = convolution
        batch, rows = len(x), convolution.transfer.shape[1]
        self._tiles = [slice(start, start + TILE) for start in range(0, batch, TILE)]
        self._spectra = [convolution.spectra(x[tile]) for tile in self._tiles]
        halves = (2, convolution.block // 2 + 1, convolution.outputs)
        self._blocks = [np.empty((*halves, spectra.shape[-1])) for spectra in self._spectra]
        self._product = np.empty((convolution.block + 1, rows, min(batch, TILE)))
        self._made = -1

    def write(self, step: int, target: Array) -> None:
        """Set ``target`` (outputs, batch) to what comes out at ``step``, counted from 0."""
        number, place = divmod(step, self._convolution.block)
        if number != self._made:
            self._compute(number)
            self._made = number
        half = len(self._blocks[0][0])
        for tile, (even, odd) in zip(self._tiles, self._blocks, strict=True):
            if place < half:
                np.add(even[place], odd[place], out=target[:, tile])
            else:
                mirrored = self._convolution.block - place
                np.subtract(even[mirrored], odd[mirrored], out=target[:, tile])

    def _compute(self, number: int) -> None:
        inverse = self._convolution.inverse
        width = 2 * self._convolution.channels * (number + 1)
        transfer = self._convolution.transfer[:, :, -width:]
        for spectra, block in zip(self._spectra, self._blocks, strict=True):
            product = self._product[:, :, : spectra.shape[-1]]
            if not product.flags.c_contiguous:
                product = np.empty(product.shape)
            np.matmul(transfer, spectra[:, :width], out=product)
            parts = product.reshape(len(product), 2, -1)
            for i, matrix in enumerate(inverse):
                np.matmul(matrix, parts[:, i], out=block[i].reshape(len(matrix), -1))


def _inverse_transform(block: int) -> tuple[Array, Array]:
    """Two matrices that give the second half of an inverse real transform, step by step.

    With L = ``block`` and 2L points, step L + t is ``Σ_k w_k (-1)^k (Re y_k cos(πkt/L) -
    Im y_k sin(πkt/L))``, where w_k is 1/(2L) for k = 0 and k = L and else 1/L.  Under t → L - t
    a cosine of even k and a sine of odd k stay as they are, and the other two change signs.  So
    the first matrix adds up those that stay, the second the others, for t from 0 to L/2; step
    L + t is the sum of both, step 2L - t the difference.  That is half of the multiplications,
    and for blocks this short faster than fast transforms of many columns.

    Each is (L // 2 + 1, L + 1), a column for each frequency: of the first, real parts of even
    and imaginary parts of odd ones; of the second, the other parts.
    """
    k, t = np.arange(block + 1), np.arange(block // 2 + 1)[:, None]
    weight = np.where((k == 0) | (k == block), 0.5, 1.0) / block
    # As whole numbers modulo 2L, so that a large angle is as exact as a small one.
    angle = np.pi * (k * t % (2 * block)) / block
    cosine, sine = weight * np.cos(angle), weight * np.sin(angle)
    even = k % 2 == 0
    return np.where(even, cosine, sine), np.where(even, -sine, -cosine)

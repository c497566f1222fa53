"""A block of the convolution of :mod:`.convolution`, compiled by numba.

For a few sequences and one pair of outputs after another, so that all of it stays in near
caches: the products with the response at each frequency, and the inverse transform in place,
by passes of radix four (Cooley & Tukey, 1965; decimation in time).  The products are stored
in the order in which the passes want them, and the last pass leaves out the half that
overlap-save throws away.
"""

from __future__ import annotations

import numba
import numpy as np

from .lanes import VECTOR, WIDTH, fma, load, spread, store

#: A complex number of each lane: real parts, then imaginary parts.
PAIR = np.uint64(2 * WIDTH)


@numba.njit(error_model="numpy")
def convolve(block, outputs):
    """All outputs of a block for all lanes: (steps, outputs, tiles, WIDTH)."""
    scale, tiles = block.tables.scale, block.tiles
    step, row = np.uint64(len(scale) * tiles) * VECTOR, np.uint64(tiles) * VECTOR
    for tile in range(tiles):
        for pair in range(len(scale) // 2):
            outputs_of_pair(block, tile, pair)
            real, imaginary = spread(scale[2 * pair]), spread(scale[2 * pair + 1])
            to = np.uint64(2 * pair * tiles + tile) * VECTOR
            at = np.uint64(0)
            for _ in range(len(block.tables.places) // 2):
                store(outputs, to, load(block.work, at) * real)
                store(outputs, to + row, load(block.work, at + VECTOR) * imaginary)
                to += step
                at += PAIR


@numba.njit(error_model="numpy")
def outputs_of_pair(block, tile, pair):
    """Leave a pair of outputs, yet to be scaled, at the beginning of ``block.work``.

    They are (steps, 2, WIDTH).
    """
    work, tables = block.work, block.tables
    points, twiddles = len(tables.places) - 1, tables.twiddles
    _multiply(block, tile, pair)
    size, factors = 1, np.uint64(0)
    while 4 * size < points:
        step = np.uint64(size) * PAIR
        for q in range(size):
            for start in range(q, points, 4 * size):
                a = np.uint64(start) * PAIR
                b, c, d = a + step, a + step + step, a + step + step + step
                r0, i0, r1, i1, r2, i2, r3, i3 = _butterfly(work, a, step, twiddles, factors)
                store(work, a, r0)
                store(work, a + VECTOR, i0)
                store(work, b, r1)
                store(work, b + VECTOR, i1)
                store(work, c, r2)
                store(work, c + VECTOR, i2)
                store(work, d, r3)
                store(work, d + VECTOR, i3)
            factors += np.uint64(6)
        size *= 4
    # Of the last pass the second half alone, which may take the place of the first.
    step, a = np.uint64(size) * PAIR, np.uint64(0)
    for _ in range(size):
        _, _, _, _, r2, i2, r3, i3 = _butterfly(work, a, step, twiddles, factors)
        store(work, a, r2)
        store(work, a + VECTOR, i2)
        store(work, a + step, r3)
        store(work, a + step + VECTOR, i3)
        a += PAIR
        factors += np.uint64(6)


@numba.njit(inline="always")
def _multiply(block, tile, pair):
    """The spectrum of a block, from those of inputs and response.

    At a frequency and its negative at once, where the inputs have conjugate numbers.
    """
    transfer, places, spectra = block.tables.transfer, block.tables.places, block.spectra
    stride, work = block.rows, block.work
    points = len(places) - 1
    for k in range(points // 2 + 1):
        h = np.uint64((pair * (points // 2 + 1) + k) * stride) * np.uint64(4)
        x = np.uint64((tile * (points // 2 + 1) + k) * stride + block.first) * PAIR
        above_real = above_imaginary = below_real = below_imaginary = spread(0.0)
        for _ in range(stride - block.first):
            real, imaginary = load(spectra, x), load(spectra, x + VECTOR)
            re, im = spread(transfer[h]), spread(transfer[h + np.uint64(1)])
            above_real = fma(-im, imaginary, fma(re, real, above_real))
            above_imaginary = fma(im, real, fma(re, imaginary, above_imaginary))
            re, im = spread(transfer[h + np.uint64(2)]), spread(transfer[h + np.uint64(3)])
            below_real = fma(im, imaginary, fma(re, real, below_real))
            below_imaginary = fma(-re, imaginary, fma(im, real, below_imaginary))
            h += np.uint64(4)
            x += PAIR
        at = np.uint64(places[k]) * PAIR
        store(work, at, above_real)
        store(work, at + VECTOR, above_imaginary)
        at = np.uint64(places[points - k]) * PAIR
        store(work, at, below_real)
        store(work, at + VECTOR, below_imaginary)


@numba.njit(inline="always")
def _butterfly(work, a, step, twiddles, factors):
    """An inverse transform of four numbers, three of them multiplied by their factors before."""
    b, c, d = a + step, a + step + step, a + step + step + step
    ar, ai = load(work, a), load(work, a + VECTOR)
    br, bi = _turned(work, b, twiddles, factors)
    cr, ci = _turned(work, c, twiddles, factors + np.uint64(2))
    dr, di = _turned(work, d, twiddles, factors + np.uint64(4))
    even_r, even_i, odd_r, odd_i = ar + cr, ai + ci, ar - cr, ai - ci
    sum_r, sum_i, turn_r, turn_i = br + dr, bi + di, di - bi, br - dr
    return (
        even_r + sum_r,
        even_i + sum_i,
        odd_r + turn_r,
        odd_i + turn_i,
        even_r - sum_r,
        even_i - sum_i,
        odd_r - turn_r,
        odd_i - turn_i,
    )


@numba.njit(inline="always")
def _turned(work, at, twiddles, factor):
    real, imaginary = load(work, at), load(work, at + VECTOR)
    re, im = spread(twiddles[factor]), spread(twiddles[factor + np.uint64(1)])
    return fma(-im, imaginary, re * real), fma(im, real, re * imaginary)

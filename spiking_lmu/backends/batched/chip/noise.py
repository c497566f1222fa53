"""Noise that the chip adds to the input or to the membrane of its compartments.

Source: nengo-loihi 1.1.0, ``emulator/interface.py``, ``NoiseState``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..unsupported import unsupported

Array = np.ndarray

#: Random numbers are whole and have at most this magnitude.
DRAWN = 127
#: Units of ``noise_offset``.
OFFSET_UNIT = 64
#: Noise of this magnitude or more might leave int32 together with current and bias.
LIMIT = 2**30


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise of all compartments, block after block, each array of shape (neurons,).

    Parameters
    ----------
    scale
        What a random number is multiplied with, float64; zero for neurons without noise.
    offset
        What is added to a random number before that, int32.
    at_membrane
        Whether it is added to the current on its way to the membrane, bool; else it is
        added to the input, and so passes the synapse's filter.
    """

    scale: Array
    offset: Array
    at_membrane: Array

    def scaled(self, drawn: Array) -> Array:
        """The noise of one step from random numbers, both int32 (neurons,)."""
        return ((drawn + self.offset) * self.scale).astype(np.int32)

    @property
    def bound(self) -> Array:
        """(neurons,) the largest magnitude that can be drawn."""
        return np.ceil((DRAWN + np.abs(self.offset)) * self.scale).astype(np.int64)

    @property
    def on_input(self) -> bool:
        """Whether any neuron has noise on its input."""
        return bool(((self.scale > 0) & ~self.at_membrane).any())


def draw(neurons: int, rng: np.random.RandomState) -> Array:
    """Random numbers for one step, int32 (neurons,).

    The emulator draws them for all neurons, with noise or without: where it draws for
    anything else, these have to be drawn too.
    """
    return rng.randint(-DRAWN, DRAWN + 1, size=neurons, dtype=np.int32)


def read_noise(blocks: dict[Any, slice], neurons: int) -> Noise | None:
    """The noise of a model's blocks, or None if no neuron has any.

    Raises
    ------
    Unsupported
        Noise so large that sums with it might leave int32.
    """
    noise = Noise(np.zeros(neurons), np.zeros(neurons, np.int32), np.zeros(neurons, bool))
    for block, place in blocks.items():
        part = block.compartment
        # As ``NoiseState`` computes it, exponent by exponent.
        noise.scale[place] = np.where(part.enable_noise, 2.0 ** (part.noise_exp - 7), 0)
        noise.offset[place] = part.noise_offset * OFFSET_UNIT
        noise.at_membrane[place] = part.noise_at_membrane
    if not noise.scale.any():
        return None
    largest = int(noise.bound.max())
    if largest >= LIMIT:
        raise unsupported("chip noise", f"noise of up to {largest}", f"less than {LIMIT}")
    return noise

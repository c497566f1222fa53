"""Functions that are sums of rectified linear pieces, each of which is a neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Piece:
    """``weight · max(gain · x + bias, 0)``, one straight piece of a function."""

    gain: float
    bias: float
    #: One number, or one for each value.
    weight: Any


def leaky(slope: Any, largest: float | None = None) -> tuple[Piece, ...]:
    """``max(x, 0) + slope · min(x, 0)``, and no more than ``largest``.

    The slope is one number, or one for each value.
    """
    pieces = [Piece(1.0, 0.0, 1.0)]
    if largest is not None:
        pieces.append(Piece(1.0, -largest, -1.0))
    if np.any(slope):
        pieces.append(Piece(-1.0, 0.0, -slope))
    return tuple(pieces)

"""Which results could hinge on the order in which sums were added."""

from __future__ import annotations

from math import sqrt

import numpy as np

from spiking_lmu.graph.model import Model

Array = np.ndarray


def rounding_margin(model: Model, inputs: int) -> float:
    """How far from a threshold rounding does not matter, in units of the threshold.

    A sum of n terms of about one has a rounding error near ``u·√n``, with u = 2⁻⁵³ the
    unit roundoff: errors are as good as random, and exceed ten times that with a probability
    below 1e-20 (Higham & Mary, 2019, *A new approach to probabilistic rounding error analysis*).
    A voltage adds up T such sums.  The factor is a thousand and not ten, for terms that are
    larger than their sum and for errors that a memory carries along.  For a memory of order
    468 over 834 steps the margin is 7e-11; the voltages of fast and strict runs of the shipped
    models were seen to differ by 1e-13 to 7e-13.
    """
    terms = max((p.size for p in model.graph.populations), default=1)
    return 1e3 * 2.0**-53 * sqrt(terms * model.timing.total_steps(inputs))


def undecided(outputs: Array, margin: float) -> Array:
    """Samples whose two largest outputs are closer than ``margin``: (batch, n) → bool (batch,).

    Relative to the largest output where that is more than one.
    """
    ordered = np.sort(outputs, axis=1)
    scale = np.maximum(1.0, np.abs(ordered).max(axis=1))
    close: Array = ordered[:, -1] - ordered[:, -2] < margin * scale
    return close

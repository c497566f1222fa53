"""Adam in NumPy, for what is trained without TensorFlow.

Source: Kingma & Ba (2015), *Adam: a method for stochastic optimization*, algorithm 1:

    m ← m + (1 - β₁) (g - m),   v ← v + (1 - β₂) (g² - v),
    θ ← θ - α · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array

BETA_1, BETA_2 = 0.9, 0.999


class Adam:
    """The optimizer's state for float32 arrays, which it changes in place.

    Parameters
    ----------
    parameters
        What is trained.
    epsilon
        Added to the root, so that a gradient of zero divides nothing by zero.
    state
        To go on from: :attr:`state` of one before.

    >>> x = np.array([1.0], np.float32)
    >>> adam = Adam([x])
    >>> adam.step([np.array([3.0], np.float32)], rate=0.5)
    >>> x.round(3).tolist()
    [0.5]
    """

    def __init__(
        self, parameters: Sequence[Array], epsilon: float = 1e-7, state: Sequence[Array] = ()
    ) -> None:
        self._parameters, self._epsilon, self._steps = list(parameters), np.float32(epsilon), 0
        self._moments = [(np.zeros_like(p), np.zeros_like(p)) for p in self._parameters]
        if state:
            *moments, steps = state
            self._moments = list(zip(moments[::2], moments[1::2], strict=True))
            self._steps = int(steps)

    @property
    def state(self) -> list[Array]:
        """Mean and square of each parameter's gradients in turn, and the steps so far."""
        moments = [moment for pair in self._moments for moment in pair]
        return [*moments, np.array(self._steps, np.int64)]

    def step(self, gradients: Sequence[Array], rate: float) -> None:
        """One step down; ``gradients`` belong to the parameters in their order."""
        self._steps += 1
        first = np.float32(1.0 / (1.0 - BETA_1**self._steps))
        second = np.float32(1.0 / (1.0 - BETA_2**self._steps))
        moments = zip(self._parameters, gradients, self._moments, strict=True)
        for parameter, gradient, (mean, square) in moments:
            mean += np.float32(1.0 - BETA_1) * (gradient - mean)
            square += np.float32(1.0 - BETA_2) * (gradient * gradient - square)
            root = np.sqrt(square * second) + self._epsilon
            parameter -= np.float32(rate) * (mean * first) / root


def clipped(gradients: Sequence[Array], norm: float) -> list[Array]:
    """The gradients, made shorter all alike where together they are longer than ``norm``.

    Raises
    ------
    SpecError
        One is not finite.
    """
    length = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in gradients))
    if not np.isfinite(length):
        raise SpecError(
            "training",
            got="a gradient that is not finite",
            expected="finite numbers",
            fix="lower learning_rate",
        )
    factor = np.float32(min(1.0, norm / max(length, 1e-12)))
    return [gradient * factor for gradient in gradients]

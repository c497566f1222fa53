"""Learning compiled by numba: one pass over the weights of all samples."""

from __future__ import annotations

import numba
import numpy as np

from .learning import Learner

Array = np.ndarray


class CompiledLearner(Learner):
    """Same state and results as :class:`Learner`."""

    def _add(self, sums: Array) -> None:
        _add_weights(sums, self._arrived, self.weights)

    def _change(self, above: Array, error: Array) -> None:
        rule = self.rule
        weight_up, weight_down = max(rule.weight_shift, 0), max(-rule.weight_shift, 0)
        rate_up, rate_down = max(rule.rate_shift, 0), max(-rule.rate_shift, 0)
        shifts = np.array(
            [weight_up, weight_down, rate_up, rate_down, rule.round_bits, rule.unit_bits], np.int32
        )
        _change_weights(
            self.weights,
            self.trace,
            error,
            above,
            shifts,
            np.int32(rule.rate),
            np.int32(rule.limit),
        )


@numba.njit(error_model="numpy")
def _add_weights(sums, arrived, weights):  # type: ignore[no-untyped-def]
    for a in range(weights.shape[0]):
        if arrived[a].any():
            for c in range(weights.shape[1]):
                _add_where(sums[c], arrived[a], weights[a, c])


@numba.njit(inline="always")
def _add_where(sums, arrived, weights):  # type: ignore[no-untyped-def]
    for b in range(sums.shape[0]):
        sums[b] += weights[b] if arrived[b] else np.int32(0)


@numba.njit(error_model="numpy")
def _change_weights(weights, trace, error, above, shifts, rate, limit):  # type: ignore[no-untyped-def]
    for a in range(weights.shape[0]):
        for c in range(weights.shape[1]):
            _change_row(weights[a, c], trace[a], error[c], above[a, c], shifts, rate, limit)


@numba.njit(inline="always")
def _change_row(weights, trace, error, above, shifts, rate, limit):  # type: ignore[no-untyped-def]
    weight_up, weight_down, rate_up, rate_down, bits, unit = shifts
    mask = (np.int32(1) << bits) - np.int32(1)
    for b in range(weights.shape[0]):
        product = ((trace[b] * error[b] * rate) << rate_up) >> rate_down
        value = ((weights[b] << weight_up) >> weight_down) + product
        size = abs(value)
        up = np.int32(1) if (size & mask) > above else np.int32(0)
        rounded = min((size >> bits) + up, limit)
        weights[b] = (rounded if value >= 0 else -rounded) << unit

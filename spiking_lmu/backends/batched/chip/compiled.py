"""The chip's loops compiled by numba: neurons in int32, and learning, one pass over each.

The loops are short functions because LLVM vectorises a loop only while it touches few
arrays (its run-time checks that arrays do not overlap are limited).
"""

from __future__ import annotations

import numba
import numpy as np

from .engine import NumpyEngine
from .learning import LearningState
from .program import DECAY_BITS, Q_BITS, U_BITS

Array = np.ndarray

_SHIFT, _MASK = np.int32(DECAY_BITS), np.int32(2**DECAY_BITS - 1)
_Q_LIMIT, _U_LIMIT = np.int32(2**Q_BITS), np.int32(2**U_BITS)


class CompiledLearningState(LearningState):
    """Same state and results as :class:`LearningState`."""

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


@numba.njit(error_model="numpy", nogil=True)
def _add_weights(sums, arrived, weights):
    for a in range(weights.shape[0]):
        if arrived[a].any():
            for c in range(weights.shape[1]):
                _add_where(sums[c], arrived[a], weights[a, c])


@numba.njit(inline="always")
def _add_where(sums, arrived, weights):
    for b in range(sums.shape[0]):
        sums[b] += weights[b] if arrived[b] else np.int32(0)


@numba.njit(error_model="numpy", nogil=True)
def _change_weights(weights, trace, error, above, shifts, rate, limit):
    for a in range(weights.shape[0]):
        for c in range(weights.shape[1]):
            _change_row(weights[a, c], trace[a], error[c], above[a, c], shifts, rate, limit)


@numba.njit(inline="always")
def _change_row(weights, trace, error, above, shifts, rate, limit):
    weight_up, weight_down, rate_up, rate_down, bits, unit = shifts
    mask = (np.int32(1) << bits) - np.int32(1)
    for b in range(weights.shape[0]):
        product = ((trace[b] * error[b] * rate) << rate_up) >> rate_down
        value = ((weights[b] << weight_up) >> weight_down) + product
        size = abs(value)
        up = np.int32(1) if (size & mask) > above else np.int32(0)
        rounded = min((size >> bits) + up, limit)
        weights[b] = (rounded if value >= 0 else -rounded) << unit


class NumbaEngine(NumpyEngine):
    """Same state and results as :class:`NumpyEngine`; current and voltage are int32."""

    name = "numba"
    learner = CompiledLearningState

    def _make_state(self, shape: tuple[int, int]) -> None:
        self.current, self.voltage = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        self._wait = np.zeros(shape, np.int32)

    def _update(self) -> None:
        part = self.program.compartments
        _update_all(
            self._sums,
            self.current,
            self.voltage,
            self._wait,
            self.spiked,
            part.keep_u,
            part.keep_v,
            self._bias,
            part.vth,
            part.vmin,
            part.vmax,
            part.refractory,
            self.overflowed,
        )


@numba.njit(inline="always")
def _decay(x, keep):
    """Sign(x) * (|x| * keep >> 12), without leaving int32."""
    size = abs(x)
    kept = (size >> _SHIFT) * keep + (((size & _MASK) * keep) >> _SHIFT)
    return kept if x >= 0 else -kept


@numba.njit(inline="always")
def _wrap(x, limit):
    return ((x + limit) & (np.int32(2) * limit - np.int32(1))) - limit


@numba.njit(inline="always")
def _add_current(current, sums, keep):
    """Decay, add the inputs; non-zero if anything wrapped around."""
    changed = np.int32(0)
    for b in range(current.shape[0]):
        total = np.int32(sums[b])
        inside = _wrap(total, _Q_LIMIT)
        moved = np.int32(_decay(current[b], keep) + inside)
        current[b] = _wrap(moved, _U_LIMIT)
        changed |= (inside ^ total) | (current[b] ^ moved)
    return changed


@numba.njit(inline="always")
def _add_voltage(voltage, current, keep, bias, low, high):
    changed = np.int32(0)
    for b in range(voltage.shape[0]):
        total = np.int32(current[b] + bias)
        inside = _wrap(total, _U_LIMIT)
        changed |= inside ^ total
        voltage[b] = min(max(np.int32(_decay(voltage[b], keep) + inside), low), high)
    return changed


@numba.njit(inline="always")
def _fire(spiked, voltage, threshold):
    for b in range(voltage.shape[0]):
        spiked[b] = voltage[b] > threshold
    for b in range(voltage.shape[0]):
        voltage[b] = np.int32(0) if spiked[b] else voltage[b]


@numba.njit(inline="always")
def _hold_down(voltage, wait):
    for b in range(voltage.shape[0]):
        voltage[b] = np.int32(0) if wait[b] > 0 else voltage[b]


@numba.njit(inline="always")
def _start_waiting(wait, spiked, steps):
    for b in range(wait.shape[0]):
        now = steps if spiked[b] else wait[b]
        wait[b] = max(now - np.int32(1), np.int32(0))


@numba.njit(error_model="numpy", nogil=True)
def _update_all(
    sums, current, voltage, wait, spiked, keep_u, keep_v, bias, vth, vmin, vmax, refractory, over
):
    for i in range(current.shape[0]):
        changed = _add_current(current[i], sums[i], keep_u[i])
        changed |= _add_voltage(voltage[i], current[i], keep_v[i], bias[i], vmin[i], vmax[i])
        if refractory[i] > 1:
            _hold_down(voltage[i], wait[i])
        _fire(spiked[i], voltage[i], vth[i])
        if refractory[i] > 1:
            _start_waiting(wait[i], spiked[i], refractory[i])
        if changed != 0:
            over[i] = True

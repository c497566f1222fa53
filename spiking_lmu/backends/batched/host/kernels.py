"""The host's loops, compiled by numba: one pass over the arrays in place of several.

The operations are Nengo's, in its order, without fused multiply-add.  The inner loops are
short functions because LLVM vectorises a loop only while it touches few arrays.

Source: nengo 4.1.0, ``neurons.py``, ``SpikingRectifiedLinear.step`` and ``LIF.step``.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(error_model="numpy", nogil=True)
def start_and_gather(target, start, factors, source, columns):
    """``target[i] = start[i] + factors[i] * source[columns[i]]`` for every sample."""
    for i in range(target.shape[0]):
        _start_and_scale(target[i], start[i], factors[i], source[columns[i]])


@numba.njit(inline="always")
def _start_and_scale(target, start, factor, source):
    for b in range(target.shape[0]):
        target[b] = start + factor * source[b]


@numba.njit(error_model="numpy", nogil=True)
def spiking_relu(current, output, voltage, dt, height, margins, near):
    """Integrate positive currents; each whole unit of voltage is a spike of ``height``."""
    for i in range(current.shape[0]):
        _integrate(current[i], output[i], voltage[i], dt, height)
        _mark_left_over(output[i], voltage[i], margins, near)


@numba.njit(inline="always")
def _integrate(current, output, voltage, dt, height):
    for b in range(current.shape[0]):
        driven = voltage[b] + max(current[b], 0.0) * dt
        spikes = np.floor(driven)
        output[b] = height * spikes
        voltage[b] = driven - spikes


@numba.njit(inline="always")
def _mark_left_over(output, voltage, margins, near):
    for b in range(voltage.shape[0]):
        left = voltage[b]
        near[b] |= (left > 1.0 - margins[b]) | ((left < margins[b]) & (output[b] > 0.0))


@numba.njit(error_model="numpy", nogil=True)
def lif(current, output, voltage, refractory, constants, margins, near):
    """Leaky integration between refractory periods; a voltage above one is a spike."""
    dt, tau_rc, tau_ref, lowest, height = constants
    whole_step = math.expm1(-dt / tau_rc)
    for i in range(current.shape[0]):
        for b in range(current.shape[1]):
            wait = refractory[i, b] - dt
            refractory[i, b] = wait
            v, drive = voltage[i, b], current[i, b]
            if wait <= 0.0:
                v -= (drive - v) * whole_step
            elif wait < dt:
                v -= (drive - v) * math.expm1(-(dt - wait) / tau_rc)
            near[b] |= abs(v - 1.0) < margins[b]
            spiked = v > 1.0
            if spiked:
                overshoot = (v - 1.0) / (drive - 1.0)
                refractory[i, b] = tau_ref + (dt + tau_rc * math.log1p(-overshoot))
            output[i, b] = height if spiked else 0.0
            voltage[i, b] = 0.0 if spiked else max(v, lowest)

"""The host's loops, compiled by numba: one pass over the arrays in place of several.

The operations are Nengo's, in its order, without fused multiply-add.  The inner loops are
short functions because LLVM vectorises a loop only while it touches few arrays; :func:`drive`
computes with vectors itself (`spiking_lmu.graph.lanes`).

Source: nengo 4.1.0, ``neurons.py``, ``SpikingRectifiedLinear.step`` and ``LIF.step``.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from spiking_lmu.graph.convolution_kernels import PAIR, outputs_of_pair
from spiking_lmu.graph.lanes import VECTOR, floor, larger, load, smaller, spread, store


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
def gather(target, factors, source, columns):
    """``target[i] = factors[i] * source[columns[i]]`` for every sample."""
    for i in range(target.shape[0]):
        _scaled(source[columns[i]], factors[i], target[i])


@numba.njit(error_model="numpy", nogil=True)
def add_gathered(target, factors, source, columns):
    """``target[i] += factors[i] * source[columns[i]]`` for every sample."""
    for i in range(target.shape[0]):
        _add_scaled(target[i], factors[i], source[columns[i]])


@numba.njit(inline="always")
def _add_scaled(target, factor, source):
    for b in range(target.shape[0]):
        target[b] += factor * source[b]


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


@numba.njit(error_model="numpy", nogil=True)
def lif_without_rest(current, output, voltage, constants, margins, near):
    """:func:`lif` of neurons without a refractory period, which integrate through every step."""
    dt, tau_rc, lowest, height = constants
    whole_step = math.expm1(-dt / tau_rc)
    for i in range(current.shape[0]):
        _leak(current[i], voltage[i], whole_step)
        _mark_at_threshold(voltage[i], margins, near)
        _spike(output[i], voltage[i], lowest, height)


@numba.njit(inline="always")
def _leak(current, voltage, whole_step):
    for b in range(current.shape[0]):
        voltage[b] -= (current[b] - voltage[b]) * whole_step


@numba.njit(inline="always")
def _mark_at_threshold(voltage, margins, near):
    for b in range(voltage.shape[0]):
        near[b] |= abs(voltage[b] - 1.0) < margins[b]


@numba.njit(inline="always")
def _spike(output, voltage, lowest, height):
    for b in range(voltage.shape[0]):
        spiked = voltage[b] > 1.0
        output[b] = height if spiked else 0.0
        voltage[b] = 0.0 if spiked else max(voltage[b], lowest)


@numba.njit(error_model="numpy")
def drive(block, currents, shown, places, state, counts):
    """The spikes of neurons like those of :func:`spiking_relu` in all steps of a block.

    Their currents are what a convolution gives and are nowhere kept.  ``places`` says which step
    of the convolution each step shows; the named tuples are those of `driven.py`.
    """
    for tile in range(block.tiles):
        for pair in range(len(block.tables.scale) // 2):
            outputs_of_pair(block, tile, pair)
            for row in range(2 * pair, 2 * pair + 2):
                _finish(block, row, tile, shown)
                for i in range(currents.begin[row], currents.begin[row + 1]):
                    _integrate_all(block, row % 2, tile, currents, i, shown, places, state, counts)


@numba.njit(inline="always")
def _finish(block, row, tile, shown):
    """Scale what a pair of outputs leaves, leave out what nothing drove, and add the constant."""
    scale = spread(block.tables.scale[row])
    at = np.uint64(row % 2) * VECTOR
    there = np.uint64(tile) * VECTOR
    for step in range(len(block.tables.places) // 2):
        value = load(block.work, at) * scale
        if shown.partly:
            value = value * load(shown.driven, there)
        store(block.work, at, value + spread(shown.constant[row, step]))
        at += PAIR
        there += np.uint64(block.tiles) * VECTOR


@numba.njit(inline="always")
def _integrate_all(block, part, tile, currents, i, shown, places, state, counts):
    """One neuron of all lanes from step to step."""
    zero, one, dt = spread(0.0), spread(1.0), spread(state.dt)
    start, factor = spread(currents.start[i]), spread(currents.factor[i])
    lane = np.uint64(tile) * VECTOR
    all_lanes = np.uint64(block.tiles) * VECTOR
    at = np.uint64(currents.neuron[i]) * all_lanes + lane
    step = np.uint64(len(currents.neuron)) * all_lanes
    voltage, most, least = load(state.voltage, at), load(state.most, lane), load(state.least, lane)
    place = at
    for t in range(len(places)):
        current = load(block.work, np.uint64(places[t]) * PAIR + np.uint64(part) * VECTOR)
        driven = voltage + larger(start + factor * current, zero) * dt
        spikes = floor(driven)
        voltage = driven - spikes
        store(counts, place, spikes)
        # What is left over matters after a spike if it is little, and always if nearly one.
        little, much = voltage + larger(one - spikes, zero), voltage
        if shown.partly:
            counted = load(shown.rounded, np.uint64(places[t]) * all_lanes + lane)
            little, much = little + (one - counted), much * counted
        least, most = smaller(least, little), larger(most, much)
        place += step
    store(state.voltage, at, voltage)
    store(state.most, lane, most)
    store(state.least, lane, least)


@numba.njit(error_model="numpy")
def put_out(counts, height, output):
    """``output = height * counts`` for every sample."""
    for i in range(output.shape[0]):
        _scaled(counts[i], height, output[i])


@numba.njit(inline="always")
def _scaled(counts, height, output):
    for b in range(output.shape[0]):
        output[b] = height * counts[b]

"""The host's decode neurons, compiled by numba: one pass instead of six.

Source: nengo 4.1.0, ``neurons.py``, ``SpikingRectifiedLinear.step``, the same operations in
the same order (no fused multiply-add).
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(error_model="numpy")
def spiking_relu(current, output, voltage, dt, height):  # type: ignore[no-untyped-def]
    """Integrate positive currents; each whole unit of voltage is a spike of ``height``."""
    for i in range(current.shape[0]):
        for b in range(current.shape[1]):
            driven = voltage[i, b] + max(current[i, b], 0.0) * dt
            spikes = np.floor(driven)
            output[i, b] = height * spikes
            voltage[i, b] = driven - spikes

"""Spikes as numbers: how many there were, and when."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def count_spikes(trains: Array, size: float) -> Array:
    """Number of spikes from neuron outputs: (…, steps, neurons) → integers, same shape.

    ``size`` is what one spike puts out (:meth:`spiking_lmu.graph.graph.Population.spike_size`).
    """
    return np.rint(np.asarray(trains) / size).astype(np.int32)


def raster_of(counts: Array) -> Array:
    """Step and neuron of each spike, shape (spikes, 2), from counts (steps, neurons)."""
    fired = counts > 0
    return np.repeat(np.argwhere(fired), counts[fired], axis=0).astype(np.int32)

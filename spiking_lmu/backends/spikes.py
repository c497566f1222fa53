"""Spikes as numbers: what one puts out, how many there were, and when."""

from __future__ import annotations

import numpy as np

from spiking_lmu.graph.graph import Population

Array = np.ndarray


def spike_size(population: Population, dt: float) -> float:
    """What one spike in one step of ``dt`` seconds puts out: amplitude / (scale · dt)."""
    return population.neuron.amplitude / (population.scale * dt)


def count_spikes(trains: Array, size: float) -> Array:
    """Number of spikes from neuron outputs: (…, steps, neurons) → integers, same shape.

    ``size`` is what one spike puts out (`spike_size`).
    """
    return np.rint(np.asarray(trains) / size).astype(np.int32)


def raster_of(counts: Array) -> Array:
    """Step and neuron of each spike, shape (spikes, 2), from counts (steps, neurons)."""
    fired = counts > 0
    return np.repeat(np.argwhere(fired), counts[fired], axis=0).astype(np.int32)

"""nengo-loihi's weight update by PES, all axons at once and bit for bit the same.

Its own loop takes one axon after another, and with a thousand neurons that is most of a run.
Random numbers are drawn in the same order, so that every rounding falls the same way.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

Array = np.ndarray


def update_at_once(simulator: Any) -> None:
    """Give the emulator inside a ``nengo_loihi.Simulator`` a faster update of learned weights.

    Source: nengo-loihi 1.1.0, ``emulator/interface.py``, ``SynapseState.update_weights`` and
    ``weight_update``.
    """
    synapses = simulator.sims["emulator"].synapses
    matrices = {}
    for synapse in synapses.pes_errors:
        matrix = np.concatenate(synapse.weights)
        # The emulator goes on reading the weights of single axons.
        synapse.weights = [matrix[axon : axon + 1] for axon in range(len(matrix))]
        matrices[synapse] = matrix

    def update_weights(t: int, rng: np.random.RandomState) -> None:
        for synapse, error in synapses.pes_errors.items():
            if t % synapse.learn_epoch == 0:
                change = np.outer(synapses.traces[synapse], np.hstack([-error, error]))
                _update(synapse, matrices[synapse], change, rng)

    synapses.update_weights = update_weights


def _update(synapse: Any, weights: Array, change: Array, rng: np.random.RandomState) -> None:
    """``weights`` and ``change``: int32, shape (axons, 2 · dimensions); in place."""
    from nengo_loihi.builder.discretize import LEARN_FRAC, learn_overflow_bits, shift

    config = synapse.synapse_cfg
    exponent, low_bits = config.real_weight_exp, config.shift_bits
    overflow = learn_overflow_bits(n_factors=2)
    product = shift(change * synapse._lr_int, LEARN_FRAC + synapse._lr_exp - overflow)
    wanted = (shift(weights, LEARN_FRAC - exponent) + product) * 2 ** (-LEARN_FRAC - low_bits)
    fraction, whole = np.modf(np.abs(wanted))
    rounded = whole.astype(weights.dtype) + (fraction > rng.rand(*wanted.shape))
    limit = 2 ** (8 - low_bits) - 1
    if (rounded > limit).any():
        warnings.warn("Clipping learning weights", stacklevel=2)
        np.minimum(rounded, limit, out=rounded)
    signed = np.sign(wanted).astype(weights.dtype) * rounded
    np.left_shift(signed, exponent + low_bits, out=weights)

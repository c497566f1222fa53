"""A memristor as a synapse: pairs of bounded conductances that pulses move along a power law.

A device after n pulses has the resistance R(n) = 200 Ω + 2.3e8 Ω · n^-0.146: every pulse lowers
it, each by less than the one before.  A weight is the difference of two such devices; to raise
it one gets a pulse, to lower it the other.

Source: Tiotto, Goossens, Borst, Banerjee, Taatgen 2021, *Learning to Approximate Functions
Using Nb-Doped SrTiO3 Memristors*, Frontiers in Neuroscience 14:627276: the power law and its
constants, and the rule (there mPES) by which an error picks the device.

Imports Nengo: import this module only where Nengo is wanted.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError

from .rule import Default, StatefulRule

Array = np.ndarray
#: Resistance in ohms after infinitely many pulses, what the first adds to it, the exponent.
LEAST_OHMS, FIRST_OHMS, EXPONENT = 200.0, 2.3e8, -0.146
#: Pulses after which a device takes no more, and pulses that all devices had at the start.
MOST_PULSES, FIRST_PULSES = 10_000, 100


def conductance(pulses: Any) -> Array:
    """In siemens, after so many pulses, 1 or more.

    >>> float(1 / conductance(1))
    230000200.0
    """
    return np.asarray(1.0 / (LEAST_OHMS + FIRST_OHMS * np.power(pulses, EXPONENT)))


def conductance_range() -> float:
    """Siemens between a device after its first and after its last pulse."""
    return float(conductance(MOST_PULSES) - conductance(1))


def normalised(pulses: Any) -> Array:
    """The conductance as a share of its range, from 0 at one pulse to 1 at the last."""
    return (conductance(pulses) - conductance(1)) / conductance_range()


def pulses_for(share: Any) -> Array:
    """The inverse of :func:`normalised`: pulses, not rounded; shares outside 0 to 1 are cut."""
    siemens = conductance(1) + np.clip(share, 0.0, 1.0) * conductance_range()
    return np.power((1.0 / siemens - LEAST_OHMS) / FIRST_OHMS, 1.0 / EXPONENT)


class Memristors(StatefulRule):
    """One pair of devices for each weight: weight = largest · (share of one - share of other).

    In every step in which a neuron before the connection is active, and the error of a row is
    not zero, the pair gets one pulse: on the device that lowers the error.  How large the
    error is does not matter, so learning slows down only as the devices' own steps shrink.

    Parameters
    ----------
    largest
        The weight of a pair with one device at each end.  ``conductance_range()`` leaves
        weights in siemens: pulses then move them by 1e-11, far too little to be seen.
    active
        Filtered activity in Hz above which a neuron counts as active.
    pre_synapse
        As of :class:`.LearningRule`.

    Raises
    ------
    SpecError
        A number that is not positive.
    """

    def __init__(self, largest: float, active: float = 20.0, pre_synapse: Any = Default) -> None:
        for name, value in (("largest", largest), ("active", active)):
            if not (isfinite(value) and value > 0):
                raise SpecError(
                    f"memristors' {name}",
                    got=repr(value),
                    expected="a positive number",
                    fix="choose a weight for largest, Hz for active",
                )
        super().__init__(pre_synapse)
        self.largest, self.active = largest, active

    def start(self, weights: Array) -> Array:
        """Pulses (2, post, pre) of pairs with these weights, centred where all devices start."""
        half = 0.5 * np.asarray(weights) / self.largest
        # The centre moves where the pair would leave the range of its devices.
        edge = np.minimum(np.abs(half), 0.5)
        centre = np.clip(normalised(FIRST_PULSES), edge, 1.0 - edge)
        return pulses_for(np.stack([centre + half, centre - half]))

    def step(
        self, pre: Array, signal: Array, weights: Array, state: Array, dt: float
    ) -> tuple[Array, Array]:
        """One pulse for each pair at most."""
        wanted = -np.sign(signal)[:, :, None] * (pre > self.active)[:, None, :]
        pulses = np.stack([wanted > 0, wanted < 0], axis=1)
        after = np.minimum(state + pulses, MOST_PULSES)
        share = normalised(after)
        return self.largest * (share[:, 0] - share[:, 1]) - weights, after

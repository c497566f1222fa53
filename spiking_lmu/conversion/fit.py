"""Fitting response curves of spiking neurons to activation functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spiking_lmu.graph.neurons import Neuron, response

Array = np.ndarray

#: Points at which a curve is compared with what it should be.
GRID = 401
#: Rectified linear pieces on each side of zero for a saturating function.
PIECES = 4


@dataclass(frozen=True)
class Unit:
    """One spiking neuron in the place of (a part of) a rate neuron with pre-activation z.

    Its current is ``gain · z + bias``; its output counts ``weight`` times.
    """

    gain: float
    bias: float
    weight: float


def fit_lif_to_relu(top: float, max_rate: float, neuron: Neuron) -> Unit:
    """Gain, bias and decoding weight with which a LIF neuron's rate follows max(z, 0).

    Least squares over z in [0, ``top``]; at ``top`` the neuron fires at ``max_rate`` Hz.

    >>> unit = fit_lif_to_relu(2.0, 200.0, Neuron("lif"))
    >>> z = np.linspace(0.0, 2.0, 5)
    >>> rates = response(Neuron("lif"), unit.gain * z + unit.bias)
    >>> bool(np.abs(unit.weight * rates - z).max() < 0.2)
    True
    """
    from scipy.optimize import minimize_scalar

    z = np.linspace(0.0, top, GRID)
    ceiling = current_for_rate(neuron, max_rate)

    def unit_for(bias: float) -> Unit:
        gain = (ceiling - bias) / top
        rates = response(neuron, gain * z + bias)
        return Unit(gain, bias, float(rates @ z / (rates @ rates)))

    def error(bias: float) -> float:
        unit = unit_for(bias)
        rates = response(neuron, unit.gain * z + unit.bias)
        return float(((unit.weight * rates - z) ** 2).sum())

    return unit_for(float(minimize_scalar(error, bounds=(0.0, 1.0), method="bounded").x))


def current_for_rate(neuron: Neuron, rate: float) -> float:
    """The constant current at which a LIF neuron fires at ``rate`` Hz (inverse of its curve)."""
    interval = 1.0 / rate - neuron.tau_ref
    return float(1.0 + 1.0 / np.expm1(interval / neuron.tau_rc))


def saturating_lif(
    kind: str, top: float, max_rate: float, neuron: Neuron
) -> tuple[Neuron, tuple[Unit, ...]]:
    """A LIF neuron and its mirror image whose difference follows tanh (or sigmoid - 1/2).

    The refractory period is set to 1/``max_rate``, which bounds the rate from above; gain,
    bias and weight are fitted by least squares over pre-activations in [-``top``, ``top``].
    """
    from scipy.optimize import least_squares

    bounded = Neuron("lif", tau_rc=neuron.tau_rc, tau_ref=1.0 / max_rate)
    z = np.linspace(0.0, top, GRID)
    goal = odd_part(kind, z)

    def difference(parameters: Array) -> Array:
        gain, bias, weight = parameters
        on = response(bounded, gain * z + bias)
        off = response(bounded, -gain * z + bias)
        return weight * (on - off) - goal

    start = [3.0 / top**0.5, 1.0, 1.5 * goal.max() / max_rate]
    found = least_squares(difference, start, x_scale=[1.0, 0.1, 1.0 / max_rate])
    gain, bias, weight = (float(value) for value in found.x)
    return bounded, (Unit(gain, bias, weight), Unit(-gain, bias, -weight))


def saturating_relu(kind: str, top: float) -> tuple[Unit, ...]:
    """Rectified linear pieces, mirrored, whose sum follows tanh (or sigmoid - 1/2).

    On each side the sum is the straight-line interpolation between ``PIECES`` + 1 knots
    from 0 to where the function is within 2 % of its limit (or ``top``), and constant beyond.
    """
    saturation = {"tanh": 2.3, "sigmoid": 4.6}[kind]
    knots = np.linspace(0.0, min(top, saturation), PIECES + 1)
    slopes = np.append(np.diff(odd_part(kind, knots)) / np.diff(knots), 0.0)
    changes = np.diff(slopes, prepend=0.0)
    units = []
    for side in (1.0, -1.0):
        units += [
            Unit(side, -float(k), side * float(c)) for k, c in zip(knots, changes, strict=True)
        ]
    return tuple(units)


def odd_part(kind: str, z: Array) -> Array:
    """tanh(z), or sigmoid(z) - 1/2: the part that on/off pairs have to follow."""
    return np.tanh(z) if kind == "tanh" else 0.5 * np.tanh(0.5 * z)

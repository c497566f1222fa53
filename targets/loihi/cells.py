"""Loihi's neuron models by themselves: every interval between spikes is a whole number of steps.

A neuron spikes at most once a step, and what its voltage is above the threshold is forgotten.
The membrane keeps a share of its voltage in units of 1/4095 a step, and the refractory period is
rounded to whole steps.  The rest of the chip's arithmetic is left out.

Source: nengo-loihi 1.1.0, ``neurons.py``, ``LoihiSpikingRectifiedLinear`` and ``LoihiLIF``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiking_lmu.errors import TargetError
from spiking_lmu.graph.neurons import Neuron

from .discretisation import DECAY_UNITS

Array = np.ndarray


class LoihiCells:
    """:class:`spiking_lmu.graph.cells.Cells` of kinds ``spiking_relu`` and ``lif``."""

    def response(self, neuron: Neuron, current: Array, dt: float) -> Array:
        """Spikes a second at a constant ``current``.

        Raises
        ------
        TargetError
            Neurons that Loihi does not have.
        """
        _check(neuron)
        current, wait = np.asarray(current, float), 0
        with np.errstate(all="ignore"):
            if neuron.kind == "spiking_relu":
                charging, fires = 1.0 / current, current > 0
            else:
                wait = _refractory_steps(neuron, dt)
                tau_rc = -dt / np.log1p(-_leak(neuron, dt))
                charging, fires = tau_rc * np.log1p(1.0 / (current - 1.0)), current > 1
        steps = wait + np.maximum(np.ceil(np.where(fires, charging, np.inf) / dt), 1)
        rates: Array = 1.0 / dt / steps
        return rates

    def stepper(
        self, neuron: Neuron, shape: tuple[int, ...], dt: float
    ) -> Callable[[Array], Array]:
        """Neurons at rest: a function from one step's current to its spikes, zeros and ones.

        Raises
        ------
        TargetError
            Neurons that Loihi does not have.
        """
        _check(neuron)
        return (_lif if neuron.kind == "lif" else _relu)(neuron, shape, dt)


def _relu(neuron: Neuron, shape: tuple[int, ...], dt: float) -> Callable[[Array], Array]:
    voltage = np.zeros(shape)

    def step(current: Array) -> Array:
        np.add(voltage, dt * current, out=voltage)
        return _fire(voltage)

    return step


def _lif(neuron: Neuron, shape: tuple[int, ...], dt: float) -> Callable[[Array], Array]:
    voltage, wait = np.zeros(shape), np.zeros(shape, int)
    leak, refractory = _leak(neuron, dt), _refractory_steps(neuron, dt)

    def step(current: Array) -> Array:
        np.add(voltage, leak * (current - voltage), out=voltage, where=wait == 0)
        spikes = _fire(voltage)
        np.maximum(wait - 1, 0, out=wait)
        wait[spikes > 0] = refractory
        return spikes

    return step


def _fire(voltage: Array) -> Array:
    """Spikes; afterwards no voltage is below zero or above the threshold."""
    spiked = voltage > 1.0
    np.maximum(voltage, 0.0, out=voltage)
    voltage[spiked] = 0.0
    return spiked.astype(float)


def _leak(neuron: Neuron, dt: float) -> float:
    """Share of the voltage that a step loses."""
    return float(np.round(-np.expm1(-dt / neuron.tau_rc) * DECAY_UNITS)) / DECAY_UNITS


def _refractory_steps(neuron: Neuron, dt: float) -> int:
    return round(neuron.tau_ref / dt)


def _check(neuron: Neuron) -> None:
    if not neuron.spiking:
        raise TargetError(
            "neurons on loihi",
            got=neuron.kind,
            expected="spiking_relu or lif",
            fix="convert the model first",
        )

"""Neuron models by name: response curves of the rate neurons, steps of the spiking ones.

The formulas are those of Nengo (``nengo/neurons.py``, version 4.1) and, for SoftLIF,
of Hunsberger & Eliasmith (2015), equation 5, as NengoDL (``nengo_dl/neurons.py``) has it.
Currents are dimensionless; rates are in Hz times the neuron's amplitude.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spiking_lmu.errors import SpecError

Array = np.ndarray


@dataclass(frozen=True)
class Neuron:
    """A neuron model and its constants.

    Parameters
    ----------
    kind
        One of :data:`KINDS`.
    amplitude
        Output of one spike times dt; for a rate neuron the factor on its rate.
    tau_rc, tau_ref
        Membrane and refractory time constants in seconds (LIF family only).
    sigma
        Width of the smoothed threshold (``soft_lif`` only).

    Raises
    ------
    SpecError
        An unknown kind, or a constant outside its range.

    >>> Neuron("lif").spiking, Neuron("relu").spiking
    (True, False)
    """

    kind: str
    amplitude: float = 1.0
    tau_rc: float = 0.02
    tau_ref: float = 0.002
    sigma: float = 0.02

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SpecError(
                "neuron kind",
                got=repr(self.kind),
                expected="one of " + ", ".join(KINDS),
                fix="choose one of these",
            )
        for name, low in (("amplitude", 0.0), ("tau_rc", 0.0), ("tau_ref", -1e-12), ("sigma", 0.0)):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > low):
                raise SpecError(
                    f"neuron {name}",
                    got=repr(value),
                    expected="a positive number",
                    fix=f"give {name} in the neuron's usual range",
                )

    @property
    def spiking(self) -> bool:
        """Whether the neuron emits spikes."""
        return self.kind in SPIKING


RATE = ("linear", "relu", "lif_rate", "soft_lif", "tanh", "sigmoid")
SPIKING = ("spiking_relu", "lif")
KINDS = RATE + SPIKING
LINEAR = Neuron("linear")
#: A comparator's membrane time constant in steps.  Its voltage after a step of current J is
#: J · (1 - exp(-1 / DECAY)), and it spikes where that is more than 1.
DECAY = 0.1
FIRES_ABOVE = float(1.0 / -np.expm1(-1.0 / DECAY))

#: What a spiking neuron fires at, as a rate neuron: its response curve.
RESPONSE_OF = {"spiking_relu": "relu", "lif": "lif_rate"}


def comparator(dt: float) -> Neuron:
    """A neuron that keeps nothing from one step to the next, and whose spike puts out 1.

    It spikes in each step of ``dt`` seconds in which its current is above ``FIRES_ABOVE``.
    """
    return Neuron("lif", amplitude=dt, tau_rc=DECAY * dt, tau_ref=0.0)


def compares(neuron: Neuron, dt: float) -> bool:
    """Whether a neuron keeps nothing of its voltage from one step of ``dt`` seconds to the next.

    >>> compares(comparator(0.001), 0.001), compares(Neuron("lif"), 0.001)
    (True, False)
    """
    return neuron.kind == "lif" and neuron.tau_ref == 0.0 and neuron.tau_rc <= 1.5 * DECAY * dt


def response(neuron: Neuron, current: Array) -> Array:
    """Steady-state output of ``neuron`` for an input current, same shape.

    >>> response(Neuron("relu"), np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    kind = RESPONSE_OF.get(neuron.kind, neuron.kind)
    return neuron.amplitude * _RESPONSES[kind](neuron, current)


def _lif_rate(neuron: Neuron, current: Array) -> Array:
    drive = np.maximum(current - 1.0, 0.0)
    with np.errstate(divide="ignore"):
        return np.where(
            drive > 0, 1.0 / (neuron.tau_ref + neuron.tau_rc * np.log1p(1.0 / drive)), 0.0
        )


def _soft_lif(neuron: Neuron, current: Array) -> Array:
    x = (current - 1.0) / neuron.sigma
    drive = neuron.sigma * np.logaddexp(0.0, x)
    # Far below threshold log1p(1/drive) would overflow; there it equals -log(drive) = -x - log σ.
    safe = np.maximum(drive, 1e-300)
    log_term = np.where(x < -34.0, -x - np.log(neuron.sigma), np.log1p(1.0 / safe))
    return 1.0 / (neuron.tau_ref + neuron.tau_rc * log_term)


def _sigmoid(_: Neuron, current: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * current))


_RESPONSES: dict[str, Callable[[Neuron, Array], Array]] = {
    "linear": lambda _, current: current,
    "relu": lambda _, current: np.maximum(current, 0.0),
    "lif_rate": _lif_rate,
    "soft_lif": _soft_lif,
    "tanh": lambda _, current: np.tanh(current),
    "sigmoid": _sigmoid,
}


class SpikingState:
    """Voltage and refractory time of one spiking population, all starting at zero.

    Source of both updates: ``nengo/neurons.py``, ``SpikingRectifiedLinear.step`` and ``LIF.step``.
    """

    def __init__(self, neuron: Neuron, shape: tuple[int, ...], dt: float) -> None:
        self._neuron, self._dt = neuron, dt
        self._voltage = np.zeros(shape)
        self._refractory = np.zeros(shape)

    def step(self, current: Array) -> Array:
        """Advance by one step of dt; returns the number of spikes, same shape as ``current``."""
        if self._neuron.kind == "lif":
            return self._step_lif(current)
        self._voltage += np.maximum(current, 0.0) * self._dt
        spikes = np.floor(self._voltage)
        self._voltage -= spikes
        return spikes

    def _step_lif(self, current: Array) -> Array:
        dt, tau_rc = self._dt, self._neuron.tau_rc
        voltage, refractory = self._voltage, self._refractory
        refractory -= dt
        active = np.clip(dt - refractory, 0.0, dt)
        voltage -= (current - voltage) * np.expm1(-active / tau_rc)
        spiked = voltage > 1.0
        overshoot = (voltage[spiked] - 1.0) / (current[spiked] - 1.0)
        refractory[spiked] = self._neuron.tau_ref + dt + tau_rc * np.log1p(-overshoot)
        voltage[spiked] = 0.0
        np.maximum(voltage, 0.0, out=voltage)
        return spiked.astype(float)

"""Nengo's neurons on arrays (neurons, batch), and samples that come near their thresholds.

Whether a neuron spikes can hinge on the order in which a sum was added.  Let the voltages of
a stock run and of this one differ by less than a margin: then both spike alike as long as no
voltage comes closer than that to the threshold.  A sample in which one does is marked in
``HostState.near``.

Source: nengo 4.1.0, ``neurons.py``, ``SpikingRectifiedLinear.step`` and ``LIF.step``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..unsupported import unsupported
from .state import HostState

Array = np.ndarray
Step = Callable[[], None]

#: Neuron types whose ``step`` works on each neuron by itself, so on a batch too.
ELEMENTWISE = ("LIF", "LIFRate", "RectifiedLinear", "SpikingRectifiedLinear")


def neuron_step(host: HostState, operator: Any) -> Step:
    """What a population does in one step.

    Raises
    ------
    Unsupported
        Neurons that do not work each by itself.
    """
    neurons = operator.neurons
    kind = type(neurons).__name__
    known = type(neurons).__module__ == "nengo.neurons" and kind in ELEMENTWISE
    if not known or operator.state_extra:
        raise unsupported("host neurons", kind, "one of " + ", ".join(ELEMENTWISE))
    current, output = host.signals[operator.J], host.signals[operator.output]
    state = {name: host.signals[signal] for name, signal in operator.state.items()}
    if kind == "SpikingRectifiedLinear" and (host.compiled or not host.strict):
        return _rectified_linear(host, neurons, current, output, state["voltage"])
    if kind == "LIF" and not host.strict:
        voltage, refractory = state["voltage"], state["refractory_time"]
        waiting = operator.state["refractory_time"]
        rests = neurons.tau_ref > 0 or np.any(waiting.initial_value) or host.signals.read(waiting)
        if host.compiled and not rests:
            return _lif_without_rest(host, neurons, current, output, voltage)
        return _lif(host, neurons, current, output, voltage, refractory)
    return lambda: neurons.step(host.dt, current, output, **state)


def _rectified_linear(
    host: HostState, neurons: Any, current: Array, output: Array, voltage: Array
) -> Step:
    dt, margins, near = host.dt, host.margins, host.near
    if host.compiled:
        from .kernels import spiking_relu

        height = neurons.amplitude / dt
        return lambda: spiking_relu(current, output, voltage, dt, height, margins, near)

    def step() -> None:
        neurons.step(dt, current, output, voltage)
        # What is left over after a whole number of spikes: little, or nearly one more.
        close = (voltage > 1.0 - margins) | ((voltage < margins) & (output > 0))
        np.logical_or(near, close.any(axis=0), out=near)

    return step


def _lif(
    host: HostState,
    neurons: Any,
    current: Array,
    output: Array,
    voltage: Array,
    refractory: Array,
) -> Step:
    dt, margins, near = host.dt, host.margins, host.near
    tau_rc, tau_ref, lowest = neurons.tau_rc, neurons.tau_ref, neurons.min_voltage
    height = neurons.amplitude / dt
    # Its exponentials need not be the same to the last bit.
    host.rounded()
    if host.compiled:
        from .kernels import lif

        constants = (dt, tau_rc, tau_ref, float(lowest), height)
        return lambda: lif(current, output, voltage, refractory, constants, margins, near)

    def step() -> None:
        np.subtract(refractory, dt, out=refractory)
        active = np.clip(dt - refractory, 0.0, dt)
        np.subtract(voltage, (current - voltage) * np.expm1(-active / tau_rc), out=voltage)
        np.logical_or(near, (np.abs(voltage - 1.0) < margins).any(axis=0), out=near)
        spiked = voltage > 1.0
        overshoot = (voltage[spiked] - 1.0) / (current[spiked] - 1.0)
        refractory[spiked] = tau_ref + dt + tau_rc * np.log1p(-overshoot)
        np.maximum(voltage, lowest, out=voltage)
        voltage[spiked] = 0.0
        np.multiply(spiked, height, out=output)

    return step


def _lif_without_rest(
    host: HostState, neurons: Any, current: Array, output: Array, voltage: Array
) -> Step:
    """Neurons whose refractory time has always passed when a step begins."""
    from .kernels import lif_without_rest

    margins, near = host.margins, host.near
    # Its exponential need not be the same to the last bit.
    host.rounded()
    constants = (host.dt, neurons.tau_rc, float(neurons.min_voltage), neurons.amplitude / host.dt)
    return lambda: lif_without_rest(current, output, voltage, constants, margins, near)

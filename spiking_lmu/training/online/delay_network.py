"""The network that learns a delay, in Nengo.

::

    noise ──> memory (linear) ──> ensemble (spiking) ──decoders──> output
      └─ ideal delay ──> error = output − ideal ──PES──┘

Source: nengo/nengo, ``docs/examples/learning/lmu.ipynb``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo
from spiking_lmu.graph.lmu import memory_matrices

from .closed_form import memory_rms
from .delay_spec import DelaySpec

Array = np.ndarray


@dataclass(frozen=True)
class DelayNetwork:
    """The network and its parts."""

    network: Any
    ensemble: Any
    learned: Any
    stimulus: Any
    output: Any


def build_delay_network(spec: DelaySpec, error_step: float = 0.0) -> DelayNetwork:
    """Build the network of ``spec``.

    Parameters
    ----------
    error_step
        PES errors are rounded to multiples of this; 0 leaves them as they are
        (:class:`spiking_lmu.backends.target.OnlineLearning` says why).
    """
    nengo = import_nengo()
    a, b = memory_matrices(spec.order, spec.theta / spec.dt)
    with nengo.Network(seed=spec.seed) as network:
        noise = nengo.Node(white_noise(spec), label="x")
        memory = nengo.Node(size_in=spec.order, label="lmu.m")
        nengo.Connection(noise, memory, transform=b, synapse=None)
        nengo.Connection(memory, memory, transform=a, synapse=0)
        ensemble = nengo.Ensemble(
            spec.neurons,
            spec.order,
            neuron_type=_neuron_type(spec),
            max_rates=nengo.dists.Uniform(*spec.max_rates),
            intercepts=nengo.dists.Uniform(*spec.intercepts),
            label="ensemble",
        )
        divisor = input_divisor(spec)
        transform = {} if (divisor == 1).all() else {"transform": 1.0 / divisor}
        nengo.Connection(memory, ensemble, synapse=None, **transform)
        output = nengo.Node(size_in=1, label="output")
        error = nengo.Node(_gate(spec, error_step), size_in=1, label="error")
        nengo.Connection(noise, error, synapse=_delay_synapse(spec), transform=-1)
        nengo.Connection(output, error, synapse=None)
        learned = nengo.Connection(
            ensemble,
            output,
            function=lambda x: 0,
            synapse=nengo.Lowpass(spec.synapse),
            learning_rule_type=nengo.PES(
                spec.learning_rate, pre_synapse=nengo.Lowpass(spec.synapse)
            ),
        )
        nengo.Connection(error, learned.learning_rule, synapse=None)
        return DelayNetwork(network, ensemble, learned, nengo.Probe(noise), nengo.Probe(output))


def white_noise(spec: DelaySpec) -> Any:
    """The input as a Nengo process: starts near 0, repeats after ``duration``."""
    return import_nengo().processes.WhiteSignal(
        period=spec.duration, high=spec.frequency, rms=spec.rms, y0=0, seed=spec.seed
    )


def input_divisor(spec: DelaySpec) -> Array:
    """What each dimension of the memory is divided by on its way to the ensemble, (order,)."""
    if spec.scaling == "none":
        return np.full(spec.order, spec.radius)
    return spec.radius * memory_rms(spec.order, spec.theta, spec.frequency, spec.rms)


def delayed(signal: Array, steps: int) -> Array:
    """``signal`` (steps, …) this many steps later, zero before."""
    late = np.zeros_like(signal)
    late[steps:] = signal[: len(signal) - steps]
    return late


def _neuron_type(spec: DelaySpec) -> Any:
    nengo = import_nengo()
    return nengo.SpikingRectifiedLinear() if spec.neuron == "relu" else nengo.LIF()


def _gate(spec: DelaySpec, error_step: float) -> Any:
    """The error until learning is switched off, then zero."""

    def gate(t: float, error: Array) -> Array:
        if t >= spec.off:
            return np.zeros_like(error)
        return np.round(error / error_step) * error_step if error_step else error

    return gate


def _delay_synapse(spec: DelaySpec) -> Any:
    nengo = import_nengo()

    class IdealDelay(nengo.synapses.Synapse):  # type: ignore[name-defined]
        """Passes on what came in so many steps ago."""

        def make_state(
            self, shape_in: Any, shape_out: Any, dt: float, dtype: Any = None, y0: Any = None
        ) -> dict[str, Any]:
            return {}

        def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
            buffer = deque([np.zeros(shape_in)] * spec.delay_steps)

            def step(t: float, x: Array) -> Array:
                buffer.append(x.copy())
                return buffer.popleft()

            return step

    return IdealDelay()

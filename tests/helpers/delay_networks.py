"""Small delays to learn, and the public example's network as it is written there."""

from collections import deque
from dataclasses import replace

from spiking_lmu.compat import import_nengo
from spiking_lmu.graph.lmu import memory_matrices
from spiking_lmu.training.online.delay_spec import DelaySpec

SMALL = DelaySpec(
    neurons=50,
    duration=2.0,
    off=1.6,
    frequency=2.0,
    delay=0.1,
    theta=0.3,
    order=4,
    learning_rate=2e-3,
)
SCALED = replace(
    SMALL,
    scaling="rms",
    radius=3.5,
    synapse=0.02,
    learning_rate=1e-3,
    seed=1,
    frequency=4.0,
    max_rates=(100.0, 200.0),
    intercepts=(-0.6, 0.6),
)


def page(spec):
    """The public example's network as it is written there, with the numbers of ``spec``."""
    nengo = import_nengo()

    class IdealDelay(nengo.synapses.Synapse):
        def make_state(self, shape_in, shape_out, dt, dtype=None, y0=None):
            return {}

        def make_step(self, shape_in, shape_out, dt, rng, state):
            buffer = deque([0] * round(spec.delay / dt))

            def step(t, x):
                buffer.append(x.copy())
                return buffer.popleft()

            return step

    a, b = memory_matrices(spec.order, spec.theta / spec.dt)
    with nengo.Network(seed=spec.seed) as network:
        stimulus = nengo.Node(
            nengo.processes.WhiteSignal(
                high=spec.frequency, period=spec.duration, rms=spec.rms, y0=0, seed=spec.seed
            )
        )
        ideal = nengo.Probe(stimulus, synapse=IdealDelay())
        lmu = nengo.Node(size_in=spec.order)
        nengo.Connection(stimulus, lmu, transform=b, synapse=None)
        nengo.Connection(lmu, lmu, transform=a, synapse=0)
        ensemble = nengo.Ensemble(
            spec.neurons, spec.order, neuron_type=nengo.SpikingRectifiedLinear()
        )
        nengo.Connection(lmu, ensemble, synapse=None)
        out = nengo.Node(size_in=1)
        error = nengo.Node(lambda t, x: x if t < spec.off else 0, size_in=1)
        nengo.Connection(stimulus, error, synapse=IdealDelay(), transform=-1)
        nengo.Connection(out, error, synapse=None)
        learned = nengo.Connection(
            ensemble,
            out,
            function=lambda x: 0,
            learning_rule_type=nengo.PES(spec.learning_rate),
        )
        nengo.Connection(error, learned.learning_rule, synapse=None)
        output = nengo.Probe(out)
    with nengo.Simulator(network, dt=spec.dt, progress_bar=False) as simulator:
        simulator.run_steps(spec.steps)
    return simulator.data[ideal][:, 0], simulator.data[output][:, 0]

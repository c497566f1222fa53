"""Graph → nengo.Network: the one core module that builds with Nengo.

Linear populations become passthrough Nodes, all others Ensembles whose gain and bias are
set and whose connections go straight to the neurons, so that Nengo adds nothing of its own
(no encoders, no decoders, no random initial voltage).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import AveragePool, Convolution, Dense, OneToOne, Sparse

Array = np.ndarray
#: After a population's name: the connection that brings it what does not spike.
CURRENT = ".current"
#: Makes an object of the given size that passes on, from each presentation's first step, what the
#: projection reads of the one before, its source's last value or the mean over it; and connects the
#: source to it.  Before the presentation with which the projection begins it passes on zeros.
HoldFactory = Callable[[Any, int, Timing, int, Projection], Any]


class Presenter:
    """What the input Node shows: one sample, set before each run.

    Parameters
    ----------
    timing, inputs
        Layout of one sample; steps beyond its end go on showing the last input.
    size
        Numbers in one input.
    """

    def __init__(self, timing: Timing, inputs: int, size: int) -> None:
        self._presented, self._dt = timing.presented(inputs), timing.dt
        self.sample = np.zeros((inputs, size))

    def __call__(self, t: float) -> Array:
        """The input at simulation time ``t`` seconds (the first step is at dt)."""
        step = min(round(t / self._dt) - 1, len(self._presented) - 1)
        return self.sample[self._presented[max(step, 0)]]


@dataclass
class BuiltNetwork:
    """A nengo.Network and where to find a graph's parts in it."""

    network: Any
    input: Any
    output: Any
    nodes: dict[str, Any] = field(default_factory=dict)
    ensembles: dict[str, Any] = field(default_factory=dict)
    #: Those of :attr:`ensembles` that stay on the host of a target with a chip.
    on_host: list[Any] = field(default_factory=list)
    spikes: dict[str, Any] = field(default_factory=dict)


def process_hold(
    source: Any, size: int, timing: Timing, inputs: int, projection: Projection
) -> Any:
    """A hold as a Nengo process, one state a simulation; for simulators that run on NumPy."""
    nengo = import_nengo()

    class Hold(nengo.Process):  # type: ignore[name-defined]
        #: Its step works on each column of a batch by itself (spiking_lmu.backends.batched).
        batched = True

        def __init__(self) -> None:
            super().__init__(default_size_in=size, default_size_out=size)

        def make_state(self, shape_in: Any, shape_out: Any, dt: Any, dtype: Any = None) -> dict:
            # The sum so far is of a mean alone.
            names = ("held",) if projection.mean_from is None else ("held", "total")
            return {name: np.zeros(shape_out) for name in names}

        def make_step(self, shape_in: Any, shape_out: Any, dt: Any, rng: Any, state: dict) -> Any:
            held, begins = state["held"], projection.begins * timing.steps_per_input
            first = projection.mean_from

            def step(t: float, x: Array) -> Array:
                at = round(t / dt) - 1
                if at >= begins and timing.starts_presentation(at, inputs):
                    held[...] = x
                return held

            if first is None:
                return step
            steps, total = timing.averaged_steps(first), state["total"]

            def average(t: float, x: Array) -> Array:
                # What is here in this step, the source had in the one before.
                at = round(t / dt) - 1
                if at and timing.averaged(at - 1, first):
                    total[...] += x
                if timing.starts_presentation(at, inputs):
                    step(t, total / steps)
                    total[...] = 0.0
                return held

            return average

    node = nengo.Node(Hold(), label=f"{projection.name}.hold")
    nengo.Connection(source, node, synapse=0)
    return node


def pulse_process(size: int, timing: Timing, inputs: int, every: int) -> Any:
    """The pulses of a population (:meth:`Timing.pulses`) as a Nengo process without input."""
    nengo = import_nengo()
    pulses = timing.pulses(inputs, every)

    class Pulse(nengo.Process):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__(default_size_in=0, default_size_out=size, seed=0)

        def make_step(self, shape_in: Any, shape_out: Any, dt: Any, rng: Any, state: Any) -> Any:
            def step(t: float) -> Array:
                # A target with a lag runs on beyond the sample.
                at = round(t / dt) - 1
                return np.full(shape_out, pulses[at] if at < len(pulses) else 0.0)

            return step

    return Pulse()


def build_network(
    graph: Graph,
    timing: Timing,
    inputs: int,
    *,
    input_output: Any,
    hold: HoldFactory = process_hold,
    current_range: Mapping[str, Array] | None = None,
    relayed: bool = False,
    seed: int = 0,
) -> BuiltNetwork:
    """Build ``graph`` in Nengo for samples of ``inputs`` inputs.

    Parameters
    ----------
    input_output
        What the input Node does: a :class:`Presenter`, or zeros where a simulator feeds it.
    hold
        How the target holds a value over a presentation.
    current_range
        For these populations, what comes from populations that do not spike is summed in a
        Node ``<name>.current``, divided by these numbers, one a neuron, and multiplied back at the
        neurons: a target that codes such values as spikes can do so between -1 and 1.

    relayed
        Whether spikes that are not weighted densely come to a Node one by one, and are weighted
        behind it: a target whose chip knows nothing else.

    Raises
    ------
    TargetError
        A neuron that Nengo does not have.
    """
    nengo = import_nengo()
    ranges = current_range or {}
    with nengo.Network(seed=seed) as network:
        built = BuiltNetwork(network, None, None)
        for population in graph.populations:
            show = input_output
            if population.pulse is not None:
                show = pulse_process(population.size, timing, inputs, population.pulse)
            _add_population(nengo, built, population, graph, show)
        currents = {
            name: _add_current(nengo, built, graph[name], scale) for name, scale in ranges.items()
        }
        for projection in graph.projections:
            _add_projection(
                nengo, built, graph, projection, timing, inputs, hold, currents, ranges, relayed
            )
        built.input = built.nodes[graph.input]
        synapse = nengo.Lowpass(timing.readout_tau) if timing.readout_tau else None
        output = built.nodes.get(graph.output)
        if output is None:
            output = nengo.Node(size_in=graph.output_size, label=f"{graph.output}.out")
            nengo.Connection(built.ensembles[graph.output].neurons, output, synapse=None)
        built.output = nengo.Probe(output, synapse=synapse)
        for population in graph.spiking:
            built.spikes[population.name] = nengo.Probe(built.ensembles[population.name].neurons)
    return built


def _add_population(
    nengo: Any, built: BuiltNetwork, population: Population, graph: Graph, show: Any
) -> None:
    name = population.name
    if population.neuron.kind != "linear":
        built.ensembles[name] = nengo.Ensemble(
            population.size,
            dimensions=1,
            neuron_type=_neuron_type(nengo, population),
            gain=np.ones(population.size),
            bias=np.array(population.scale * population.bias),
            encoders=np.ones((population.size, 1)),
            label=name,
        )
        if population.on_host:
            built.on_host.append(built.ensembles[name])
        return
    if name == graph.input or population.pulse is not None:
        node = nengo.Node(show, size_out=population.size, label=name)
        if (population.gain != 1).any() or population.bias.any():
            raise TargetError(
                f"input population {name}",
                got="a gain or a bias",
                expected="neither",
                fix="scale the data, or put gain and bias on the next population",
            )
    else:
        node = nengo.Node(size_in=population.size, label=name)
        if population.bias.any():
            constant = nengo.Node(np.array(population.bias), label=f"{name}.bias")
            nengo.Connection(constant, node, synapse=None)
    built.nodes[name] = node


def _add_current(nengo: Any, built: BuiltNetwork, population: Population, scale: Array) -> Any:
    node = nengo.Node(size_in=population.size, label=population.name + CURRENT)
    nengo.Connection(
        node,
        built.ensembles[population.name].neurons,
        transform=scale,
        synapse=None,
        label=population.name + CURRENT,
    )
    return node


def _neuron_type(nengo: Any, population: Population) -> Any:
    neuron = population.neuron
    amplitude = population.amplitude
    at_rest = {"voltage": nengo.dists.Choice([0])}
    lif = {"tau_rc": neuron.tau_rc, "tau_ref": neuron.tau_ref, "amplitude": amplitude}
    makers: dict[str, Callable[[], Any]] = {
        "relu": lambda: nengo.RectifiedLinear(amplitude=amplitude),
        "spiking_relu": lambda: nengo.SpikingRectifiedLinear(
            amplitude=amplitude, initial_state=at_rest
        ),
        "lif_rate": lambda: nengo.LIFRate(**lif),
        "lif": lambda: nengo.LIF(**lif, initial_state=at_rest),
        "tanh": lambda: nengo.Tanh(tau_ref=1.0 / amplitude),
        "sigmoid": lambda: nengo.Sigmoid(tau_ref=1.0 / amplitude),
    }
    if neuron.kind not in makers:
        raise TargetError(
            f"population {population.name}",
            got=f"{neuron.kind} neurons",
            expected="neurons that Nengo has: " + ", ".join(makers),
            fix="convert the model to spiking neurons first",
        )
    return makers[neuron.kind]()


def _add_projection(
    nengo: Any,
    built: BuiltNetwork,
    graph: Graph,
    projection: Projection,
    timing: Timing,
    inputs: int,
    hold: HoldFactory,
    currents: dict[str, Any],
    ranges: Mapping[str, Array],
    relayed: bool,
) -> None:
    pre, post = graph[projection.pre], graph[projection.post]
    source = built.nodes[pre.name] if pre.name in built.nodes else built.ensembles[pre.name].neurons
    gain = post.scale * post.gain
    if post.name in built.nodes:
        target = built.nodes[post.name]
    elif post.name in currents and not pre.neuron.spiking:
        target, gain = currents[post.name], gain / ranges[post.name]
    else:
        target = built.ensembles[post.name].neurons
    if not projection.delay:
        synapse = None if projection.tau is None else nengo.Lowpass(projection.tau)
    elif timing.steps_per_input == 1 and timing.settle_steps == 0 and not projection.begins:
        synapse = 0
    else:
        source = hold(source, pre.size, timing, inputs, projection)
        synapse = None
    scaled = projection.transform.scaled(gain)
    held = bool(projection.delay) and synapse is None
    if (
        held
        and relayed
        and post.name in built.ensembles
        and not isinstance(scaled, Dense | OneToOne)
    ):
        # A chip takes convolutions and lists of weights for spikes, not for what the host holds.
        scaled = Dense(scaled.matrix(pre.size))
    # nengo-loihi 1.1.0 takes one weight a neuron, on the way to the host, for one weighted sum of
    # all (``probe.py``, ``weight_outputs``), and no lists of weights at all: the host weighs.
    on_host = isinstance(scaled, Sparse | Convolution | AveragePool) or (
        isinstance(scaled, OneToOne) and scaled.array is not None
    )
    if relayed and on_host and pre.neuron.spiking and post.name in built.nodes:
        relay = nengo.Node(size_in=pre.size, label=f"{projection.name}.spikes")
        nengo.Connection(source, relay, synapse=synapse, label=f"{projection.name}.spikes")
        source, synapse = relay, None
    transform = scaled.nengo()
    options = {} if transform is None else {"transform": transform}
    nengo.Connection(source, target, synapse=synapse, label=projection.name, **options)

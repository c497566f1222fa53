"""Random small networks for nengo-loihi."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_loihi

from .exactness import quiet, simulator
from .random_chip_parts import ChipOptions, convolved, learned

Array = np.ndarray


class Feeder:
    """Input Node of the stock simulator: shows one sample, (steps, size), step by step."""

    def __init__(self) -> None:
        self.sample = np.zeros((1, 1))

    def __call__(self, t: float) -> Array:
        return self.sample[round(t / 0.001) - 1]


@dataclass
class Case:
    """A network with what it was made of, and how the chip's model is to be built."""

    network: Any
    input: Any
    feeder: Feeder
    size: int
    parts: list[str] = field(default_factory=list)
    options: ChipOptions = field(default_factory=ChipOptions)

    def data(self, seed: int, batch: int, steps: int) -> Array:
        """Smooth random inputs with pauses, (batch, steps, size)."""
        rng = np.random.default_rng(seed)
        t = np.arange(steps)[None, :, None] / 100
        phase, speed = rng.uniform(0, 6, (2, batch, 1, self.size))
        x = np.sin(2 * np.pi * speed * t + phase) * rng.uniform(0.3, 1.5, (batch, 1, self.size))
        x[rng.random((batch, steps)) < 0.1] = 0
        return x


def hold_process(size: int, every: int, batched: bool) -> Any:
    """A process that keeps its input for ``every`` steps."""
    nengo = import_nengo()

    class Hold(nengo.Process):
        def make_state(self, shape_in, shape_out, dt, dtype=None):
            return {"held": np.zeros(shape_out)}

        def make_step(self, shape_in, shape_out, dt, rng, state):
            held = state["held"]

            def step(t, x):
                if round(t / dt) % every == 0:
                    held[...] = x
                return held

            return step

    Hold.batched = batched
    return Hold(default_size_in=size, default_size_out=size)


def random_network(seed: int) -> Case:
    """Host memory, populations on the chip, readouts; the same for one seed.

    nengo-loihi cannot build some of them: weights so large that a threshold rounds to zero
    (``builder/discretize.py``, ``vth_to_manexp``, fails an assertion), or 16-bit axons with
    places that are no multiples of four (``builder/validate.py``, ``validate_synapse``, fails
    while it words the error).  Then the next random choices are used.
    """
    for attempt in count():
        case = Maker(np.random.default_rng([seed, attempt]), seed).make()
        try:
            with quiet():
                sim = simulator(case)
                sim.close()
        except (AssertionError, import_nengo().exceptions.BuildError):
            continue
        except AttributeError as error:
            if error.name != "axon_compartments_bases":
                raise
            continue
        case.parts.append("precomputed" if sim.precompute else "host and chip in turn")
        return case


class Maker:
    """Adds parts with random choices; every choice is named in ``Case.parts``."""

    def __init__(self, rng: np.random.Generator, seed: int) -> None:
        self.rng, self.seed = rng, seed
        self.nengo, self.loihi = import_nengo(), import_nengo_loihi()
        self.at_rest = {"voltage": self.nengo.dists.Choice([0])}

    def chance(self, probability: float, part: str) -> bool:
        """Whether to add ``part``; then it is named."""
        chosen = bool(self.rng.random() < probability)
        if chosen:
            self.case.parts.append(part)
        return chosen

    def normal(self, *shape: int) -> Array:
        return self.rng.normal(size=shape)

    def make(self) -> Case:
        nengo, size = self.nengo, int(self.rng.integers(1, 4))
        with nengo.Network(seed=self.seed) as network:
            self.loihi.add_params(network)
            feeder = Feeder()
            node = nengo.Node(feeder, size_out=size, label="input")
            self.case = Case(network, node, feeder, size)
            if self.chance(0.2, "input to the chip"):
                source, width = node, size
            else:
                source, width = self.memory(node, size)
            if self.chance(0.3, "convolution"):
                layers = convolved(self, source, width)
            else:
                layers = [self.population(i) for i in range(int(self.rng.integers(1, 4)))]
                self.from_host(source, width, layers[0])
                for pre, post in pairwise(layers):
                    self.on_chip(pre, post)
            for layer in layers:
                if self.chance(0.3, "recurrent"):
                    self.on_chip(layer, layer)
            readout = self.readout(layers[-1])
            if self.chance(0.35, "feedback"):
                self.feedback(readout, layers[0])
            if self.chance(0.4, "learning"):
                learned(self, source, width, layers)
            for layer in layers:
                self.noise(layer)
                self.probes(layer)
            if "decode neurons on the chip" in self.case.parts and self.chance(0.4, "decode noise"):
                self.case.options.decode_noise = float(self.rng.uniform(-2.5, -1))
        return self.case

    def memory(self, node: Any, size: int) -> tuple[Any, int]:
        nengo, width = self.nengo, int(self.rng.integers(2, 12))
        memory = nengo.Node(size_in=width, label="memory")
        nengo.Connection(node, memory, transform=self.normal(width, size), synapse=None)
        turn = np.linalg.qr(self.normal(width, width))[0] * 0.95
        if self.chance(0.4, "hold"):
            every, batched = int(self.rng.integers(1, 6)), bool(self.rng.random() < 0.5)
            held = nengo.Node(hold_process(width, every, batched), label="hold")
            nengo.Connection(memory, held, synapse=0)
            nengo.Connection(held, memory, transform=turn, synapse=None)
        else:
            nengo.Connection(memory, memory, transform=turn, synapse=0)
        if self.chance(0.2, "host neurons before the chip"):
            relay = nengo.Node(size_in=20)
            neurons = self.host_ensemble(memory, width, 20).neurons
            nengo.Connection(neurons, relay, transform=0.01, synapse=0.01)
            return relay, 20
        return memory, width

    def host_ensemble(self, source: Any, width: int, size: int) -> Any:
        """Spiking neurons on the host, driven by ``source``."""
        nengo = self.nengo
        kind = nengo.LIF if self.rng.random() < 0.5 else nengo.SpikingRectifiedLinear
        ensemble = nengo.Ensemble(
            size,
            1,
            neuron_type=kind(initial_state=self.at_rest),
            gain=np.ones(size),
            bias=self.rng.uniform(0, 3, size),
        )
        self.case.network.config[ensemble].on_chip = False
        weights = 3 * self.normal(size, width)
        nengo.Connection(source, ensemble.neurons, transform=weights, synapse=None)
        return ensemble

    def neuron_type(self, amplitudes: tuple[float, ...] = (1.0, 0.02)) -> Any:
        nengo, rng = self.nengo, self.rng
        if not self.chance(0.5, "lif"):
            self.case.parts.append("relu")
            return nengo.SpikingRectifiedLinear(amplitude=rng.choice(amplitudes))
        low = -1 if self.chance(0.3, "min voltage") else 0
        refractory = float(rng.choice([0.001, 0.003])) if self.chance(0.6, "refractory") else 0.0
        return nengo.LIF(tau_rc=rng.uniform(0.005, 0.05), min_voltage=low, tau_ref=refractory)

    def population(self, index: int) -> Any:
        rng, size = self.rng, int(self.rng.integers(4, 40))
        bias = (
            rng.uniform(200, 800, size) if self.chance(0.3, "fast") else rng.uniform(-1, 60, size)
        )
        layer = self.nengo.Ensemble(
            size,
            1,
            neuron_type=self.neuron_type(),
            bias=bias,
            gain=rng.uniform(0.5, 100, size),
            label=f"layer{index}",
        )
        if self.chance(0.25, "split"):
            shape = self.loihi.BlockShape((int(rng.integers(2, size)),), (size,))
            self.case.network.config[layer].block_shape = shape
        return layer

    def synapse(self) -> Any:
        return self.rng.choice([None, 0.002, 0.005, 0.05])

    def from_host(self, source: Any, width: int, layer: Any) -> None:
        nengo, size = self.nengo, layer.n_neurons
        if self.chance(0.3, "encoded"):
            nengo.Connection(source, layer, transform=self.normal(1, width), synapse=self.synapse())
        elif self.chance(0.3, "currents"):
            current = nengo.Node(size_in=size, label="current")
            nengo.Connection(
                source, current, transform=0.3 * self.normal(size, width), synapse=None
            )
            nengo.Connection(
                current,
                layer.neurons,
                synapse=None,
                transform=np.full(size, self.rng.uniform(20, 200)),
            )
        elif self.chance(0.3, "spikes of host neurons"):
            ensemble = self.host_ensemble(source, width, 15)
            nengo.Connection(
                ensemble.neurons,
                layer.neurons,
                synapse=self.synapse(),
                transform=0.02 * self.normal(size, 15),
            )
        else:
            nengo.Connection(
                source,
                layer.neurons,
                synapse=self.synapse(),
                transform=30 * self.normal(size, width),
            )

    def on_chip(self, pre: Any, post: Any) -> None:
        nengo = self.nengo
        amplitude = getattr(pre.neuron_type, "amplitude", 1.0)
        weights = self.normal(post.n_neurons, pre.n_neurons) / (amplitude * np.sqrt(pre.n_neurons))
        tau = self.rng.choice([0.002, 0.005, 0.1])
        if self.chance(0.25, "large weights"):
            weights, tau = self.rng.uniform(0.5, 1, weights.shape), 0.2
        elif self.chance(0.3, "sparse"):
            weights = weights * (self.rng.random(weights.shape) < 0.1)
        elif amplitude == 1 and self.chance(0.4, "decode neurons on the chip"):
            nengo.Connection(pre, post, synapse=tau)
            return
        nengo.Connection(pre.neurons, post.neurons, transform=weights, synapse=tau)

    def readout(self, layer: Any) -> Any:
        nengo, size = self.nengo, int(self.rng.integers(1, 6))
        readout = nengo.Node(size_in=size, label="readout")
        bias = nengo.Node(self.normal(size))
        nengo.Connection(bias, readout, synapse=None)
        weights = self.normal(size, layer.n_neurons) / layer.n_neurons
        nengo.Connection(layer.neurons, readout, transform=weights, synapse=self.synapse())
        nengo.Probe(readout, synapse=self.rng.choice([None, 0.01]))
        if self.chance(0.3, "alpha"):
            nengo.Probe(readout, synapse=nengo.Alpha(0.01))
        if self.chance(0.2, "host neurons after the chip"):
            nengo.Probe(self.host_ensemble(readout, size, 10).neurons)
        return readout

    def held(self, size: int) -> Any:
        """A Node that stays on the host: nengo-loihi takes out those that only pass values on."""
        every, batched = int(self.rng.integers(1, 4)), bool(self.rng.random() < 0.5)
        return self.nengo.Node(hold_process(size, every, batched), label="held")

    def feedback(self, readout: Any, layer: Any) -> None:
        nengo = self.nengo
        back = self.held(readout.size_in)
        nengo.Connection(readout, back, synapse=0.01)
        weights = 20 * self.normal(layer.n_neurons, readout.size_in)
        nengo.Connection(back, layer.neurons, synapse=None, transform=weights)

    def noise(self, layer: Any) -> None:
        if self.chance(0.2, "noise"):
            at_membrane = self.chance(0.5, "noise at the membrane")
            self.case.options.add_noise(layer, self.rng, at_membrane)

    def probes(self, layer: Any) -> None:
        nengo = self.nengo
        nengo.Probe(layer.neurons)
        for key in ("voltage", "input"):
            if self.chance(0.4, f"probe {key}"):
                nengo.Probe(layer.neurons, key, synapse=self.rng.choice([None, 0.01]))
        if self.chance(0.3, "probe filtered spikes"):
            nengo.Probe(layer.neurons, synapse=0.02)
        if self.chance(0.2, "probe some neurons"):
            nengo.Probe(layer.neurons[:: int(self.rng.integers(1, 4))])
        if self.chance(0.3, "probe decoded"):
            nengo.Probe(layer, synapse=self.rng.choice([None, 0.01]))

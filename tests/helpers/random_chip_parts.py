"""Parts of random networks that need options of the chip: convolutions, learning, noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spiking_lmu.compat import import_nengo_loihi

if TYPE_CHECKING:
    from .random_networks import Maker

Array = np.ndarray


@dataclass(frozen=True)
class BlockNoise:
    """Noise of one ensemble's compartments, before nengo-loihi discretises it."""

    enabled: Array
    exponent: float
    offset: int
    at_membrane: bool


@dataclass
class ChipOptions:
    """How nengo-loihi's model is to be built.

    ``noise`` is by ensemble; ``decode_noise`` is the exponent of ``NoisyDecodeNeurons``.
    """

    error_scale: float = 100.0
    weight_exponent: int = 4
    noise: dict[Any, BlockNoise] = field(default_factory=dict)
    decode_noise: float | None = None

    def add_noise(self, layer: Any, rng: np.random.Generator, at_membrane: bool) -> None:
        """Noise on some or all neurons of ``layer``, from hardly any to more than the signal."""
        enabled = rng.random(layer.n_neurons) < rng.choice([0.5, 1])
        enabled[0] = True
        offset = int(rng.integers(-2, 3))
        self.noise[layer] = BlockNoise(enabled, float(rng.uniform(-2, 0)), offset, at_membrane)

    def model(self) -> Any:
        """A new ``nengo_loihi.builder.Model``."""
        loihi = import_nengo_loihi()
        model = loihi.builder.Model(dt=0.001)
        model.pes_error_scale, model.pes_wgt_exp = self.error_scale, self.weight_exponent
        if self.decode_noise is not None:
            model.decode_neurons = loihi.decode_neurons.NoisyDecodeNeurons(
                3, noise_exp=self.decode_noise
            )

        def built(part: Any) -> None:
            if part in self.noise:
                noise, compartment = self.noise[part], model.objs[part]["in"].compartment
                compartment.enable_noise[:] = noise.enabled
                compartment.noise_exp, compartment.noise_offset = noise.exponent, noise.offset
                compartment.noise_at_membrane = int(noise.at_membrane)

        model.build_callback = built
        return model


def convolved(maker: Maker, source: Any, width: int) -> list[Any]:
    """An image from the host, then one or two convolutions on the chip."""
    nengo, rng = maker.nengo, maker.rng
    last = not maker.chance(0.5, "channels first")
    shape = tuple(int(n) for n in (rng.integers(3, 7), rng.integers(3, 7), rng.integers(1, 4)))
    image = nengo.transforms.ChannelShape(shape if last else shape[::-1], channels_last=last)
    if maker.chance(0.4, "convolution of host spikes"):
        layers, neurons = [], maker.host_ensemble(source, width, image.size).neurons
    else:
        layers = [_image_layer(maker, image)]
        maker.from_host(source, width, layers[0])
        neurons = layers[0].neurons
    for _ in range(int(rng.integers(1, 3))):
        small = image.channels_last and maker.chance(0.4, "16-bit axons")
        transform = _convolution(maker, image, 4 if small else int(rng.integers(1, 7)))
        image = transform.output_shape
        layer = _image_layer(maker, image)
        connection = nengo.Connection(
            neurons, layer.neurons, transform=transform, synapse=rng.choice([None, 0.005])
        )
        maker.case.network.config[connection].pop_type = 16 if small else 32
        layers.append(layer)
        neurons = layer.neurons
    return layers


def _convolution(maker: Maker, image: Any, filters: int) -> Any:
    nengo, rng = maker.nengo, maker.rng
    options = {
        "kernel_size": tuple(int(k) for k in rng.integers(1, 4, 2)),
        "strides": tuple(int(s) for s in rng.integers(1, 3, 2)),
        "padding": "same" if maker.chance(0.5, "padding") else "valid",
        "channels_last": image.channels_last,
        # Scaled by the gain of the layer, so that some spike and others overflow.
        "init": nengo.dists.Uniform(-0.01, float(rng.choice([0.01, 0.02, 0.3]))),
    }
    kernel = np.minimum(options["kernel_size"], image.spatial_shape)
    options["kernel_size"] = tuple(int(k) for k in kernel)
    kind = nengo.Convolution
    if maker.chance(0.2, "transposed convolution"):
        kind = nengo.transforms.ConvolutionTranspose
    return kind(filters, image, **options)


def _image_layer(maker: Maker, image: Any) -> Any:
    """A population with one gain, as nengo-loihi wants it, maybe split into smaller blocks."""
    rng, size = maker.rng, image.size
    layer = maker.nengo.Ensemble(
        size,
        1,
        neuron_type=maker.neuron_type((1.0,)),
        gain=np.full(size, rng.uniform(1, 100)),
        bias=rng.uniform(-1, 60, size),
    )
    if maker.chance(0.4, "split"):
        part = tuple(int(rng.integers(1, n + 1)) for n in image.shape)
        maker.case.network.config[layer].block_shape = maker.loihi.BlockShape(part, image.shape)
    return layer


def learned(maker: Maker, source: Any, width: int, layers: list[Any]) -> None:
    """One or two ensembles on the chip whose decoders learn from errors on the host."""
    nengo, rng, options = maker.nengo, maker.rng, maker.case.options
    options.error_scale = float(rng.choice([10, 100, 1000]))
    options.weight_exponent = int(rng.integers(2, 7))
    for _ in range(int(rng.integers(1, 3))):
        dimensions, size = int(rng.integers(1, 3)), int(rng.integers(1, 4))
        pre = nengo.Ensemble(
            int(rng.integers(10, 50)),
            dimensions,
            neuron_type=maker.neuron_type((1.0,)),
            max_rates=nengo.dists.Uniform(50, 250),
            intercepts=nengo.dists.Uniform(-1, 0.5),
        )
        into = maker.normal(dimensions, width) / np.sqrt(width)
        nengo.Connection(source, pre, transform=into, synapse=maker.synapse())
        if maker.chance(0.3, "learning from a split block"):
            shape = maker.loihi.BlockShape((7,), (pre.n_neurons,))
            maker.case.network.config[pre].block_shape = shape
        error = nengo.Node(size_in=size)
        # With Nodes alone from chip to chip, nengo-loihi tries to take out the error as well,
        # and whether it can depends on the order of a set.
        alone = "input to the chip" in maker.case.parts
        post = nengo.Node(size_in=size) if alone else maker.held(size)
        start = maker.normal(size) if maker.chance(0.5, "learning from other weights") else 0
        rule = nengo.PES(
            learning_rate=float(rng.choice([1e-4, 1e-3, 1e-2])),
            pre_synapse=float(rng.choice([0.002, 0.005, 0.02])),
        )
        connection = nengo.Connection(
            pre,
            post,
            function=_constant(size, start),
            learning_rule_type=rule,
            synapse=maker.synapse(),
        )
        target = maker.normal(size, width)
        nengo.Connection(post, error, synapse=rng.choice([None, 0.005]))
        nengo.Connection(source, error, transform=-target, synapse=None)
        nengo.Connection(error, connection.learning_rule, synapse=rng.choice([None, 0.01]))
        if maker.chance(0.3, "learning from two errors"):
            more = nengo.Node(maker.normal(size))
            nengo.Connection(more, connection.learning_rule, transform=0.3)
        if maker.chance(0.3, "feedback of what was learned"):
            maker.feedback(post, layers[0])
        nengo.Probe(post, synapse=rng.choice([None, 0.01]))
        nengo.Probe(error)
        maker.noise(pre)
        maker.probes(pre)


def _constant(size: int, value: Any) -> Any:
    """A function for a connection's first decoders."""
    return lambda x: np.zeros(size) + value

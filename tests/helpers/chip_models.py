"""Random models for Loihi, small and on both sides of every limit, and what nengo-loihi says."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from unittest.mock import patch

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_loihi
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import Convolution, Transform, as_transform
from spiking_lmu.targets.loihi import deployment as loihi
from spiking_lmu.targets.loihi import layout as loihi_layout
from spiking_lmu.targets.loihi import limits as loihi_limits
from spiking_lmu.targets.loihi.engines import quiet
from spiking_lmu.targets.loihi.target import TARGET as LOIHI

#: A tiny core, on which small networks meet every limit.
TINY = loihi_layout.Limits(compartments=16, in_axons=60, out_axons=48, synapse_bits=64 * 80)


LIF, RELU = Neuron("lif"), Neuron("spiking_relu")
SEEN = Activity(1.0, 1.0, 1.0, 1.0)


def two(weights, *, pre=RELU, post=RELU, bias=50.0, offset=0.0, tau=0.005, activity=None):
    """One population with a bias, and one that it drives on the chip."""
    weights = as_transform(
        weights if isinstance(weights, Transform) else np.asarray(weights, float)
    )
    sizes = weights.shape
    populations = (
        Population("x", 1),
        Population("a", sizes[1], pre, bias=np.full(sizes[1], bias)),
        Population("b", sizes[0], post, bias=np.full(sizes[0], offset)),
        Population("out", 1),
    )
    projections = (
        Projection("a", "b", weights, tau=tau),
        Projection("b", "out", np.ones((1, sizes[0]))),
    )
    return Model(Graph(populations, projections, "x", "out"), activity=activity or {})


def driven(current, largest=None, size=2, **options):
    """A population that the host drives, with what was measured of its input."""
    neuron = options.pop("neuron", RELU)
    graph = Graph(
        (Population("x", 1), Population("h", size, neuron, **options), Population("out", size)),
        (Projection("x", "h", np.ones((size, 1))), Projection("h", "out")),
        "x",
        "out",
    )
    activity = Activity(current, largest or current, current, largest or current)
    return Model(graph, activity={"h": activity})


def found(model, severity):
    return [str(p) for p in LOIHI.check(model) if p.severity == severity]


def random_model(seed):
    """One to three populations on the chip, driven by the host or not, in random ways."""
    rng = np.random.default_rng(seed)

    def weights(post, pre):
        kind = rng.integers(4)
        scale = 10.0 ** rng.uniform(-1, 1) if rng.random() < 0.9 else 10.0 ** rng.uniform(-8, 8)
        if kind == 0 and post == pre:
            return None
        if kind == 1 and post == pre:
            return scale * rng.integers(-1, 2, size=post)
        # Few distinct values, so that rows of divided blocks are equal.
        return scale * rng.integers(-1, 2, size=(post, pre))

    sizes = rng.choice([1, 7, 8, 15, 16, 17, 24, 33, 49], size=rng.integers(1, 4))
    if rng.random() < 0.4:
        sizes[:] = sizes[0]
    names = [f"n{i}" for i in range(len(sizes))]
    populations = [Population("x", 3), Population("host", int(sizes[0]))]
    projections = [Projection("x", "host", rng.normal(size=(sizes[0], 3)))]
    activity = {}
    for name, size in zip(names, sizes, strict=True):
        kind = str(rng.choice(["spiking_relu", "lif"]))
        slow = rng.choice([0.02, 0.1, 7.0, 9.0], p=[0.6, 0.36, 0.02, 0.02])
        neuron = Neuron(kind, tau_rc=slow, tau_ref=float(rng.choice([0.001, 0.002, 0.07])))
        bias = rng.normal(size=size) * 10.0 ** rng.choice([0, 2, 9], p=[0.8, 0.17, 0.03])
        scale = float(rng.choice([1.0, 200.0])) if kind == "spiking_relu" else 1.0
        gain = np.ones(()) if rng.random() < 0.5 else rng.choice([0.5, 2.0], size=size)
        bias = bias if rng.random() < 0.7 else np.zeros(())
        populations.append(Population(name, int(size), neuron, gain, bias, scale))
        current = 10.0 ** (rng.uniform(-1, 2) if rng.random() < 0.9 else rng.uniform(-6, 6))
        activity[name] = Activity(1.0, 1.0, current, 1.1 * current)
        if rng.random() < 0.6:
            projections.append(Projection("host", name, weights(size, sizes[0]), name=f"in-{name}"))
    for k in range(rng.integers(0, 5)):
        i, j = rng.integers(len(names), size=2)
        late = [
            {"tau": float(rng.choice([0.0, 0.005, 0.02, 1.0, 9.0], p=[0.2, 0.38, 0.3, 0.1, 0.02]))}
        ]
        late += [{"delay": 1}]
        options = late[int(rng.random() < 0.25)]
        projections.append(
            Projection(names[i], names[j], weights(sizes[j], sizes[i]), name=f"on{k}", **options)
        )
    populations.append(Population("out", 2))
    projections.append(Projection(names[-1], "out", rng.normal(size=(2, sizes[-1]))))
    if rng.random() < 0.3:
        back = rng.normal(size=(sizes[0], sizes[-1]))
        projections.append(Projection(names[-1], "host", back, tau=0.005, name="back"))
    if rng.random() < 0.3:
        projections.append(Projection("host", "out", rng.normal(size=(2, sizes[0])), name="skip"))
    timing = Timing(int(rng.integers(1, 3)), int(rng.integers(0, 2)))
    return Model(Graph(populations, projections, "x", "out"), timing, activity=activity)


@contextmanager
def limits(of):
    """nengo-loihi and the check with cores of another size."""
    values = {f"MAX_{name.upper()}": value for name, value in asdict(of).items()}
    import_nengo_loihi()
    with (
        patch.multiple("nengo_loihi.builder.split_blocks", **values),
        patch.multiple("nengo_loihi.builder.validate", **values),
        patch.object(loihi_layout, "Limits", lambda: of),
    ):
        yield


def build(model):
    """nengo-loihi's simulator of ``model``, or what it says against building it."""
    nengo = import_nengo()
    try:
        with quiet():
            return loihi.build(model, model.graph, 2, 0).simulator(), ""
    except (nengo.exceptions.BuildError, AssertionError, OverflowError) as error:
        return None, f"{type(error).__name__}: {error}"


def used_by_nengo_loihi(simulator):
    """For each block what :class:`spiking_lmu.targets.loihi.layout.Block` counts."""
    found = []
    for block in simulator.model.blocks:
        use = block.utilization()
        found.append(tuple(int(use[key][0]) for key in USED))
    return found


USED = ("compartments", "in-axons", "out-axons", "synapses")


def used_by_us(model):
    return [
        (b.compartments, b.in_axons, b.out_axons, b.synapse_bits)
        for b in loihi_layout.lay_out(model).blocks
    ]


def disagreement(model):
    """Where the check and nengo-loihi do not agree about ``model``, in one line; else empty."""
    problems = [p for p in loihi_limits.problems(model) if p.severity == "error"]
    simulator, said = build(model)
    if bool(said) != bool(problems):
        return f"nengo-loihi says {said or 'yes'}, the check {[str(p) for p in problems]}"
    if simulator is None:
        return ""
    with simulator:
        ours, theirs = used_by_us(model), used_by_nengo_loihi(simulator)
        if ours != theirs:
            return f"blocks {ours}, nengo-loihi's {theirs}"
        if loihi_limits.host_waits_for_chip(model) == simulator.precompute:
            return f"precomputed: {simulator.precompute}"
        use = loihi_layout.lay_out(model)
        scales = [s for name in use.synapses for s in loihi_limits.scales(model, use, name)]
        for block, scale in zip(simulator.model.blocks, scales, strict=True):
            units = block.discretize_info["b_scale"]
            if not np.allclose(units, scale.units, rtol=1e-12):
                return f"{block} has units {units}, not {scale.units}"
            if len(block.synapses) != len(scale.lost_bits):
                continue
            for synapse, lost in zip(block.synapses, scale.lost_bits, strict=True):
                exponent = synapse.synapse_cfg.weight_exp
                if synapse.max_abs_weight() > 0 and max(0, -1 - exponent) != lost:
                    return f"{synapse} has exponent {exponent}, not {lost} bits lost"
    return ""


#: A core on which small images are divided.
SMALL = loihi_layout.Limits(compartments=32, in_axons=120, out_axons=120, synapse_bits=64 * 200)


def convolutional_model(seed):
    """An image of neurons with biases, and one or two convolutions on the chip behind it."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in (*rng.integers(3, 7, 2), rng.integers(1, 4)))
    if rng.random() < 0.3:
        shape = (1, *shape[1:])
    size = int(np.prod(shape))
    populations = [Population("x", 1), Population("n0", size, RELU, bias=rng.uniform(-1, 60, size))]
    projections = []
    for k in range(int(rng.integers(1, 3))):
        window = tuple(int(min(n, m)) for n, m in zip(rng.integers(1, 4, 2), shape, strict=False))
        filters, strides = int(rng.integers(1, 6)), tuple(int(n) for n in rng.integers(1, 3, 2))
        # Few distinct weights, so that parts of the kernel can be equal.
        kernel = rng.choice([-0.01, 0.0, 0.01, 0.02], size=(*window, shape[2], filters))
        kernel[0, 0] = 0.01
        padding = str(rng.choice(["valid", "same"]))
        if rng.random() < 0.25:
            transform = Convolution(
                shape, np.ones((*window, 1, shape[2])), strides, padding, shape[2]
            )
        elif shape[0] == 1 and window[0] == 1:
            transform = Convolution(shape[1:], kernel[0], strides[1], padding)
        else:
            transform = Convolution(shape, kernel, strides, padding)
        places = transform.output_shape
        shape = places if len(places) == 3 else (1, *places)
        size = int(np.prod(shape))
        gains = [np.ones(()), np.tile(rng.choice([0.5, 2.0], shape[2]), size // shape[2])]
        populations.append(
            Population(
                f"n{k + 1}",
                size,
                RELU,
                gains[int(rng.integers(2))],
                rng.uniform(-1, 60, size),
                float(rng.choice([1.0, 50.0])),
            )
        )
        late = {"delay": 1} if rng.random() < 0.2 else {"tau": 0.005}
        projections.append(Projection(f"n{k}", f"n{k + 1}", transform, **late))
    populations.append(Population("out", 2))
    projections.append(Projection(populations[-2].name, "out", rng.normal(size=(2, size))))
    return Model(Graph(populations, projections, "x", "out"), Timing(2, 1))

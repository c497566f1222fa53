"""Hypothesis strategies for graphs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.neurons import KINDS, Neuron
from spiking_lmu.graph.transforms import AveragePool, Convolution, Dense, OneToOne, Sparse


@st.composite
def graphs(draw, kinds=KINDS, synapses=True):
    """A chain of one to four populations with random extra projections that close no instant loop."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=5))
    populations = [Population("p0", sizes[0])]
    for i, size in enumerate(sizes[1:], 1):
        neuron = Neuron(draw(st.sampled_from(kinds)), amplitude=draw(st.sampled_from([1.0, 0.5])))
        scale = draw(st.sampled_from([1.0, 7.5])) if "relu" in neuron.kind else 1.0
        populations.append(
            Population(
                f"p{i}", size, neuron, rng.uniform(0.5, 2, size), rng.normal(size=size), scale
            )
        )
    projections = [
        Projection(
            f"p{i}", f"p{i + 1}", rng.normal(size=(sizes[i + 1], sizes[i])), name=f"chain{i}"
        )
        for i in range(len(sizes) - 1)
    ]
    for extra in range(draw(st.integers(0, 3))):
        pre = draw(st.integers(0, len(sizes) - 1))
        post = draw(st.integers(1, len(sizes) - 1))
        late = {"delay": 1} if not synapses or draw(st.booleans()) else {"tau": 0.004}
        weights = 0.3 * rng.normal(size=(sizes[post], sizes[pre]))
        projections.append(Projection(f"p{pre}", f"p{post}", weights, name=f"extra{extra}", **late))
    return Graph(tuple(populations), tuple(projections), "p0", populations[-1].name)


@st.composite
def transforms(draw):
    """Any transform, small; its weights contain zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def numbers(*shape):
        return rng.normal(size=shape) * (rng.random(shape) < 0.8)

    kind = draw(st.sampled_from(["dense", "one-to-one", "plain", "sparse", "conv", "pool"]))
    post, pre = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    if kind == "dense":
        return Dense(numbers(post, pre))
    if kind == "one-to-one":
        return OneToOne(numbers(pre))
    if kind == "plain":
        return OneToOne()
    if kind == "sparse":
        return Sparse.from_matrix(numbers(post, pre))
    axes = draw(st.integers(1, 2))
    window = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    grid = [draw(st.integers(k, 6)) for k in window]
    strides = tuple(draw(st.integers(1, 3)) for _ in window)
    padding = draw(
        st.sampled_from(["valid", "same"])
        | st.tuples(*(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)) for k in window))
    )
    if kind == "pool":
        return AveragePool((*grid, draw(st.integers(1, 3))), tuple(window), strides, padding)
    groups, each, own = (draw(st.integers(1, 2)) for _ in range(3))
    kernel = numbers(*window, each, groups * own)
    return Convolution((*grid, groups * each), kernel, strides, padding, groups)

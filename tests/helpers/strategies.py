"""Hypothesis strategies for graphs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.neurons import KINDS, Neuron


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

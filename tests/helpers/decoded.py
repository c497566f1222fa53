"""A number in LIF neurons of many gains, with decoders that were solved for their curve."""

from __future__ import annotations

import numpy as np

from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron, response
from spiking_lmu.graph.task import Task

LIF, SIZE = Neuron("lif_rate"), 60


def decoded(neuron=LIF):
    """One number, in neurons of Nengo's usual gains, and decoders that give it back."""
    rng = np.random.default_rng(0)
    rates, intercepts = rng.uniform(200, 400, SIZE), rng.uniform(-1, 0.9, SIZE)
    # As Nengo solves them: currents of 1 at the intercept, and of the largest rate at 1.
    top = 1 / (1 - np.exp((neuron.tau_ref - 1 / rates) / neuron.tau_rc))
    gain = (top - 1) / (1 - intercepts)
    bias, signs = 1 - gain * intercepts, rng.choice([-1.0, 1.0], (SIZE, 1))
    x = np.linspace(-1, 1, 201)
    found = response(neuron, gain * (x[:, None] * signs.T) + bias)
    reach = np.eye(SIZE) * (0.1 * found.max()) ** 2 * len(x)
    decoders = np.linalg.solve(found.T @ found + reach, found.T @ x)
    graph = Graph(
        (Population("x", 1), Population("a", SIZE, neuron, gain, bias), Population("out", 1)),
        (Projection("x", "a", signs), Projection("a", "out", decoders[None, :])),
        "x",
        "out",
    )
    return Model(graph, task=Task("regression", "last"))

"""The definition computes in a step only what can have changed."""

import numpy as np

from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import Dense


def test_what_an_input_alone_decides_is_computed_once_for_it(monkeypatch):
    applied, apply = [], Dense.apply

    def counting(self, values):
        applied.append(self.shape)
        return apply(self, values)

    monkeypatch.setattr(Dense, "apply", counting)
    graph = Graph(
        (Population("x", 4), Population("h", 3, Neuron("spiking_relu")), Population("y", 2)),
        (Projection("x", "h", np.full((3, 4), 90.0)), Projection("h", "y", np.ones((2, 3)))),
        "x",
        "y",
    )
    x = np.random.default_rng(0).random((2, 3, 4))
    seen = []
    outputs = run_reference(
        graph,
        x,
        Timing(steps_per_input=5, settle_steps=10),
        observe=lambda step, values, totals: seen.append(totals["h"]),
    )
    assert applied.count((3, 4)) == 3
    assert applied.count((2, 3)) == 25
    # Each input is shown for its own steps, and neurons go on spiking while it is.
    shown = 90 * x.sum(axis=2).T[[0] * 5 + [1] * 5 + [2] * 15]
    np.testing.assert_allclose(np.array(seen)[..., 0], shown)
    assert outputs.std(axis=1).all()

"""The memory against closed forms, and cells against a plain loop."""

import numpy as np
import pytest
from numpy.polynomial.legendre import legval
from scipy.linalg import expm

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.lmu import (
    LmuSpec,
    build,
    continuous_matrices,
    impulse_response,
    memory_matrices,
)
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference


def test_matrices_are_zero_order_hold():
    a, b = continuous_matrices(5, 12.0)
    discrete_a, discrete_b = memory_matrices(5, 12.0)
    np.testing.assert_allclose(discrete_a, expm(a), atol=1e-12)
    np.testing.assert_allclose(
        discrete_b, np.linalg.solve(a, (expm(a) - np.eye(5)) @ b), atol=1e-12
    )


def test_memory_holds_the_window():
    """Decoded with Legendre polynomials (paper, equation 3) it gives back a slow input."""
    order, theta, steps = 12, 200.0, 400
    time = np.arange(steps)
    u = np.sin(2 * np.pi * time / 150)
    memory = impulse_response(order, theta, steps) @ u
    for back in (0.1, 0.5, 0.9):
        shifted = legval(2 * back - 1, memory)
        assert shifted == pytest.approx(
            np.sin(2 * np.pi * (steps - 0.5 - back * theta) / 150), abs=0.01
        )


def test_impulse_response_is_what_the_graph_remembers():
    graph = build(LmuSpec(order=6, theta=15.0, units=3))
    x = np.random.default_rng(0).normal(size=(4, 10, 1))
    seen = {}
    run_reference(graph, x, observe=lambda step, values, totals: seen.update(values))
    np.testing.assert_allclose(
        seen["lmu.m"], x[:, :, 0] @ impulse_response(6, 15.0, 10).T, atol=1e-12
    )


def test_recurrent_cell_against_a_plain_loop():
    graph = build(
        LmuSpec(input_size=2, order=4, theta=9.0, units=5, cell="recurrent", neuron=Neuron("tanh"))
    )
    w = {p.name: p.weights for p in graph.projections}
    x = np.random.default_rng(1).normal(size=(7, 2))
    m, h = np.zeros(4), np.zeros(5)
    for value in x:
        m = w["lmu.m_to_m"] @ m + w["lmu.u_to_m"][:, 0] * value.sum()
        h = np.tanh(w["lmu.x_to_h"] @ value + w["lmu.h_to_h"] @ h + w["lmu.m_to_h"] @ m)
    expected = w["readout_weights"] @ h
    np.testing.assert_allclose(run_reference(graph, x[None])[0, -1], expected, atol=1e-12)


def test_stacked_cells():
    graph = build(LmuSpec(order=3, theta=9.0, units=4, layers=2, output_size=2))
    assert [p.name for p in graph.populations] == [
        "x",
        "lmu.u",
        "lmu.m",
        "lmu.h",
        "lmu2.u",
        "lmu2.m",
        "lmu2.h",
        "readout",
    ]
    assert run_reference(graph, np.ones((1, 3, 1))).shape == (1, 3, 2)


@pytest.mark.parametrize(
    "bad",
    [
        {"order": 0},
        {"order": 2.5},
        {"theta": 0.0},
        {"units": -1},
        {"cell": "lstm"},
        {"neuron": Neuron("lif")},
    ],
)
def test_spec_refuses(bad):
    with pytest.raises(SpecError, match="got"):
        LmuSpec(**bad)

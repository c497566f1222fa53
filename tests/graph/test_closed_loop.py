"""The loop from an output to an input: what it computes, for any graph."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.errors import SpecError
from spiking_lmu.files.slmu import load, save
from spiking_lmu.graph.closed_loop import close_loop
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

from ..helpers.strategies import graphs

KINDS = ("linear", "relu", "tanh", "spiking_relu", "lif")


@settings(max_examples=30, deadline=None)
@given(graphs(kinds=KINDS), st.integers(1, 3), st.sampled_from([0.0, 0.003]), st.integers(1, 6))
def test_a_closed_loop_does_what_the_open_network_does_with_the_same_inputs(
    graph, steps, tau, prompt
):
    size = graph.input_size
    if graph.output_size != size:
        wide = Projection(graph.output, "wide", np.full((size, graph.output_size), 0.1))
        populations = (*graph.populations, Population("wide", size))
        graph = Graph(populations, (*graph.projections, wide), graph.input, "wide")
    ranges, timing = np.linspace(1.0, 2.0, size), Timing(steps)
    seen = np.random.default_rng(0).normal(size=(2, 6, size))
    ends = timing.presentation_ends(6)
    answers = run_reference(close_loop(graph, prompt, ranges, tau), seen, timing)[:, ends]
    seen[:, prompt:] += (answers * (1.0 / ranges))[:, prompt:]
    alone = run_reference(graph, seen, Timing(steps, readout_tau=tau))[:, ends]
    assert not answers[:, 0].any()
    np.testing.assert_array_equal(answers[:, 1:], alone[:, :-1])


def test_an_unstable_network_is_led_exactly():
    """Each step doubles; what is left of the loop while it is led would show."""
    x, y = Population("x", 1), Population("y", 1)
    graph = Graph((x, y), (Projection("x", "y", np.array([[2.0]])),), "x", "y")
    led = np.zeros((1, 400, 1))
    led[0, :300, 0] = np.random.default_rng(0).normal(size=300)
    found = run_reference(close_loop(graph, 300, np.ones(1)), led)[0, :, 0]
    np.testing.assert_array_equal(found[1:301], 2.0 * led[0, :300, 0])
    np.testing.assert_array_equal(found[301:], found[300] * 2.0 ** np.arange(1, 100))


def test_a_rotation_goes_round_by_itself():
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x, y = Population("x", 2), Population("y", 2)
    graph = Graph((x, y), (Projection("x", "y", turn),), "x", "y")
    led = np.zeros((1, 50, 2))
    led[0, 0] = 1.0, 0.0
    found = run_reference(close_loop(graph, 1, np.ones(2)), led)[0, 1:]
    turned = angle * np.arange(1, 50)
    np.testing.assert_allclose(found, np.stack([np.cos(turned), np.sin(turned)], 1), atol=1e-12)


def test_outputs_that_are_no_inputs_are_refused():
    x, y = Population("x", 2), Population("y", 1)
    graph = Graph((x, y), (Projection("x", "y", np.ones((1, 2))),), "x", "y")
    with pytest.raises(SpecError, match="got 1 outputs and 2 inputs, expected as many"):
        close_loop(graph, 1, np.ones(2))


def test_where_a_delay_begins_is_checked_kept_and_not_convolved(tmp_path):
    with pytest.raises(SpecError, match="begins of x_to_y: got 3 without a delay"):
        Projection("x", "y", begins=3)
    with pytest.raises(SpecError, match="begins of x_to_y: got -1"):
        Projection("x", "y", delay=1, begins=-1)
    populations = Population("x", 1), Population("u", 1), Population("h", 1, Neuron("relu"))
    late = Projection("u", "h", delay=1, begins=2)
    graph = Graph(populations, (Projection("x", "u"), late), "x", "h")
    save(Model(graph), tmp_path / "late.slmu")
    again = load(tmp_path / "late.slmu")
    assert again.digest == Model(graph).digest
    assert (
        again.digest
        != Model(replace(graph, projections=(graph.projections[0], replace(late, begins=3)))).digest
    )
    assert split(again.graph) is None
    x = np.arange(1.0, 6.0).reshape(1, 5, 1)
    assert run_reference(again.graph, x).ravel().tolist() == [0, 0, 2, 3, 4]
    assert run_rate(again.graph, x).ravel().tolist() == [0, 0, 2, 3, 4]

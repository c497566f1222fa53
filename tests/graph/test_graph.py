import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import RATE, Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing, lowpass_decay

from ..helpers.strategies import graphs

MEMORYLESS = tuple(kind for kind in RATE)


def pair(**late):
    populations = (Population("a", 2), Population("b", 2, Neuron("relu")))
    return Graph(populations, (Projection("a", "b", np.eye(2), **late),), "a", "b")


def test_arrays_are_read_only_copies():
    weights = np.eye(2)
    projection = Projection("a", "b", weights)
    weights[0, 0] = 5
    assert projection.weights[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        projection.weights[0, 0] = 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Population("", 2), "name"),
        (lambda: Population("a", 0), "size"),
        (lambda: Population("a", True), "size"),
        (lambda: Population("a", 2, bias=np.zeros(3)), "bias"),
        (lambda: Population("a", 2, bias=np.array([0, np.nan])), "finite"),
        (lambda: Population("a", 2, gain=np.array(["x", "y"])), "real numbers"),
        (lambda: Population("a", 2, Neuron("lif"), scale=2.0), "scale"),
        (lambda: Population("a", 2, Neuron("relu"), scale=0.0), "scale"),
        (lambda: Neuron("perceptron"), "neuron kind"),
        (lambda: Neuron("lif", tau_rc=0.0), "tau_rc"),
        (lambda: Projection("a", "b", np.zeros((1, 1, 1))), "weights"),
        (lambda: Projection("a", "b", delay=2), "delay"),
        (lambda: Projection("a", "b", tau=-1.0), "tau"),
        (lambda: Projection("a", "b", tau=0.1, delay=1), "one of them"),
        (lambda: Graph((Population("a", 1), Population("a", 1)), (), "a", "a"), "twice"),
        (lambda: Graph((Population("a", 1),), (), "a", "b"), "output"),
        (lambda: Graph((Population("a", 1),), (Projection("a", "c"),), "a", "a"), "'c'"),
        (lambda: Graph((Population("a", 1),), (Projection("a", "a", delay=1),), "a", "a"), "input"),
        (
            lambda: Graph(
                (Population("a", 1), Population("b", 1)), (Projection("b", "b"),), "a", "b"
            ),
            "without delay",
        ),
        (
            lambda: Graph(
                (Population("a", 2), Population("b", 3)), (Projection("a", "b"),), "a", "b"
            ),
            r"\(3, 2\)",
        ),
    ],
)
def test_refuses_what_cannot_be_built(change, message):
    with pytest.raises(SpecError, match=message):
        change()


def test_delay_and_synapse_against_closed_form():
    x = np.random.default_rng(0).uniform(0, 1, (2, 6, 2))
    np.testing.assert_array_equal(run_reference(pair(), x), x)
    np.testing.assert_array_equal(run_reference(pair(delay=1), x)[:, 1:], x[:, :-1])
    decay = lowpass_decay(0.003, 0.001)
    assert decay == pytest.approx(np.exp(-1 / 3))
    weights = (1 - decay) * decay ** np.arange(6)
    expected = [sum(weights[k] * x[:, t - 1 - k] for k in range(t)) for t in range(1, 6)]
    got = run_reference(pair(tau=0.003), x)
    np.testing.assert_allclose(got[:, 1:], np.stack(expected, 1), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(graphs(MEMORYLESS, synapses=False), st.integers(1, 5), st.integers(0, 4), st.integers(0, 99))
def test_rate_graph_gives_the_same_whatever_the_timing(graph, steps, settle, seed):
    x = np.random.default_rng(seed).normal(size=(2, 4, graph.input_size))
    timing = Timing(steps, settle)
    slow = run_reference(graph, x, timing)
    ends = timing.presentation_ends(4)
    np.testing.assert_allclose(slow[:, ends], run_reference(graph, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.zeros((1, 0, 2)), np.full((1, 2, 2), np.inf)])
def test_refuses_input_of_another_shape(x):
    with pytest.raises(SpecError, match="input data"):
        run_reference(pair(), x)


def test_a_pulse_is_one_in_a_single_step():
    timing = Timing(steps_per_input=2, settle_steps=3)
    graph = Graph(
        (Population("x", 1), Population("end", 1, pulse=0), Population("y", 2)),
        (
            Projection("x", "y", np.array([[1.0], [0.0]])),
            Projection("end", "y", np.array([[0.0], [1.0]])),
        ),
        "x",
        "y",
    )
    out = run_reference(graph, np.zeros((2, 3, 1)), timing)
    assert out[:, :, 1].tolist() == [[0, 0, 0, 0, 0, 0, 1, 0, 0]] * 2
    assert Timing().pulses(5, every=2).tolist() == [0, 1, 0, 1, 0]
    assert timing.pulses(3, every=2).tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert not timing.pulses(3, every=4).any()


@pytest.mark.parametrize(
    "pulse",
    [
        lambda: Population("p", 1, pulse=-1),
        lambda: Population("p", 1, pulse=True),
        lambda: Population("p", 1, Neuron("relu"), pulse=0),
        lambda: Population("p", 1, bias=np.ones(1), pulse=0),
        lambda: Graph((Population("x", 1, pulse=0),), (), "x", "x"),
        lambda: Graph(
            (Population("x", 1), Population("p", 1, pulse=0)), (Projection("x", "p"),), "x", "p"
        ),
    ],
)
def test_a_pulse_reads_nothing_and_has_no_neurons(pulse):
    with pytest.raises(SpecError):
        pulse()


def test_what_a_file_remarks_drives_no_terminal():
    graph = build(LmuSpec(order=2, units=2))
    for remarks in (["a\x1b[2J\nb" * 400] * 9, [3, {}], {"a": 1}, "text", None):
        shown = repr(Model(graph, provenance={"conversion": {"remarks": remarks}}))
        assert all(line.isprintable() and len(line) < 600 for line in shown.splitlines())
        assert len(shown.splitlines()) < 30
    assert repr(Model(graph, provenance={"conversion": "text"})) == repr(Model(graph))

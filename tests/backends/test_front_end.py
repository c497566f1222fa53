"""Taking the linear part out of a graph changes nothing that comes out of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.backends.rate import RATE
from spiking_lmu.graph import convolution
from spiking_lmu.graph.convolution import BLOCKS, InputConvolution
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import KINDS, Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

from ..helpers.strategies import graphs

MANY_LINEAR = ("linear", "linear", "linear", "relu", "spiking_relu")


def convolved(front, x):
    """What the linear part delivers for ``x``, by blocks: (batch, inputs, size)."""
    taken_out, constant = front.convolution(x.shape[1])
    return convolve(taken_out, x) + constant


def convolve(made, x):
    """All outputs of a convolution, (batch, steps, outputs)."""
    convolved = made.apply(x)
    outputs = np.empty((x.shape[1], made.outputs, len(x)))
    for step, output in enumerate(outputs):
        convolved.write(step, output)
    return np.moveaxis(outputs, -1, 0)


@settings(max_examples=60, deadline=None)
@given(
    graphs(kinds=MANY_LINEAR),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.003]),
)
def test_the_rest_does_what_the_graph_does(graph, inputs, per_input, settle, tau):
    front = split(graph)
    if front is None:
        return
    x = np.random.default_rng(inputs).normal(size=(2, inputs, graph.input_size))
    timing = Timing(per_input, settle, tau)
    want = run_reference(graph, x, timing)
    scale = max(1.0, np.abs(want).max())
    got = run_reference(front.rest, convolved(front, x), timing)
    np.testing.assert_allclose(got, want, atol=1e-9 * scale)
    assert not {p.name for p in front.rest.populations[1:]} & {
        p.name for p in front.linear.populations
    }


@settings(max_examples=40, deadline=None)
@given(graphs(kinds=KINDS))
def test_the_largest_part_is_taken(graph):
    """What stays and is linear reads something that stays, or is filtered, or is the output."""
    front = split(graph)
    rest = front.rest if front else graph
    for population in rest.populations:
        linear = population.neuron.kind == "linear"
        if linear and population.name not in (rest.input, rest.output):
            shared = len({p.post for p in rest.outgoing(population.name)}) > 1
            assert shared or any(
                p.tau is not None or p.pre != rest.input for p in rest.incoming(population.name)
            )


@pytest.fixture(scope="module", params=[False, True], ids=["numpy", "numba"])
def compiled(request):
    """Both ways to convolve."""
    if request.param:
        pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")
    return request.param


def sums_over_earlier(response, x):
    """The definition of a convolution."""
    want = np.zeros((*x.shape[:2], response.shape[1]))
    for t in range(x.shape[1]):
        for earlier in range(t + 1):
            want[:, t] += x[:, t - earlier] @ response[earlier].T
    return want


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3), st.integers(1, 70), st.data())
def test_convolution_is_the_sum_over_all_earlier_inputs(
    compiled, steps, outputs, channels, batch, data
):
    rng = np.random.default_rng(steps)
    response = rng.normal(size=(steps, outputs, channels))
    x = rng.normal(size=(batch, data.draw(st.integers(1, steps)), channels))
    got = convolve(InputConvolution(response, compiled), x)
    np.testing.assert_allclose(got, sums_over_earlier(response, x), atol=1e-12)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_length_of_a_block(compiled, block, monkeypatch):
    """One block, several, and one that is not filled."""
    monkeypatch.setattr(convolution, "block_length", lambda steps, channels: block)
    rng = np.random.default_rng(block)
    for steps in (block, 2 * block + 1):
        response, x = rng.normal(size=(steps, 3, 1)), rng.normal(size=(2, steps, 1))
        got = convolve(InputConvolution(response, compiled), x)
        for sample, output in np.ndindex(2, 3):
            want = np.convolve(x[sample, :, 0], response[:, output, 0])[:steps]
            np.testing.assert_allclose(got[sample, :, output], want, atol=1e-11)


def test_a_small_output_keeps_its_digits_beside_a_large_one(compiled):
    """Two outputs are computed as one complex number; each is as exact as if it were alone."""
    rng = np.random.default_rng(0)
    response, x = rng.normal(size=(50, 2, 1)), rng.normal(size=(3, 50, 1))
    response[:, 1] *= 1e-12
    want = sums_over_earlier(response, x)
    got = convolve(InputConvolution(response, compiled), x)
    np.testing.assert_allclose(got[..., 1], want[..., 1], atol=1e-24)
    np.testing.assert_allclose(got[..., 0], want[..., 0], atol=1e-12)


def test_a_convolution_that_never_answers(compiled):
    assert not convolve(InputConvolution(np.zeros((9, 2, 1)), compiled), np.ones((1, 9, 1))).any()


def test_a_memory_and_its_weights_are_taken_out_whole():
    """Of a feedforward LMU neurons and readout stay, fed with the neurons' currents."""
    graph = build(LmuSpec(order=6, theta=9.0, units=5, output_size=2))
    front = split(graph)
    assert [p.name for p in front.rest.populations] == ["x", "lmu.h", "readout"]
    assert [p.weights is None for p in front.rest.incoming("lmu.h")] == [True]
    assert front.size == 5
    assert front.weights == 1 + 6 + 36 + 5 * 6


def test_the_memory_of_a_recurrent_cell_is_taken_out_too():
    """It remembers the input; what the neurons say to one another stays."""
    front = split(build(LmuSpec(order=6, theta=9.0, units=5, cell="recurrent")))
    assert {p.name for p in front.linear.populations} == {"x", "lmu.u", "lmu.m"}
    assert [p.name for p in front.rest.incoming("lmu.h")] == ["lmu.x_to_h", "lmu.h_to_h"]


def test_an_input_alone_is_not_taken_out():
    plain = Graph((Population("x", 2), Population("out", 2)), (Projection("x", "out"),), "x", "out")
    assert split(plain) is None
    itself = Graph((Population("x", 2), Population("c", 1)), (), "x", "x")
    assert split(itself) is None


def test_a_constant_drives_without_an_input():
    """A bias in the linear part arrives even where no weight leads from the input."""
    graph = Graph(
        (Population("x", 1), Population("c", 2, bias=np.array([1.0, -2.0])), Population("y", 2)),
        (Projection("c", "c", 0.5 * np.eye(2), delay=1), Projection("c", "y", tau=0.002)),
        "x",
        "y",
    )
    front = split(graph)
    x = np.zeros((1, 6, 1))
    np.testing.assert_allclose(
        run_reference(front.rest, convolved(front, x)), run_reference(graph, x), atol=1e-12
    )
    assert run_reference(graph, x)[0, -1, 0] > 1


def test_the_same_digits_every_time():
    """A sample's result does not depend on its neighbours in the batch."""
    front = split(build(LmuSpec(order=30, theta=40.0, units=20)))
    x = np.random.default_rng(0).normal(size=(70, 50, 1))
    together, alone = convolved(front, x), convolved(front, x[33:34])
    np.testing.assert_allclose(together[33:34], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("cell", ["feedforward", "recurrent"])
def test_the_rate_models_last_output_is_that_of_the_definition(cell):
    spec = LmuSpec(order=5, theta=12.0, units=7, cell=cell, neuron=Neuron("relu"))
    graph = build(spec, seed=3)
    biased = [replace(graph[n], bias=np.linspace(-1, 1, graph[n].size)) for n in ("lmu.m", "lmu.h")]
    graph = graph.with_populations(biased)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 12, 1))
    with RATE.deploy(Model(graph), 12) as deployment:
        outputs = deployment.run(x).outputs[:, -1]
    np.testing.assert_allclose(outputs, run_reference(graph, x)[:, -1], rtol=0, atol=1e-10)

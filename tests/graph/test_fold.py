"""Graphs without linear populations that are not needed compute the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.graph.fold import SUMS, cheaper, compose, fold_linear, share_sums
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import AveragePool, Convolution, Dense, OneToOne, Sparse

from ..helpers.strategies import transforms


def always(*_):
    return True


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_two_transforms_as_one(data):
    first = data.draw(transforms())
    pre, between = (4, 4) if first.shape is None else first.shape[::-1]
    rng = np.random.default_rng(between)
    second = data.draw(
        st.sampled_from(
            [
                Dense(rng.normal(size=(3, between))),
                OneToOne(rng.normal(size=between)),
                OneToOne(),
                Sparse.from_matrix(
                    rng.normal(size=(2, between)) * (rng.random((2, between)) < 0.5)
                ),
                Convolution((between, 1), rng.normal(size=(1, 1, 2))),
                AveragePool((between, 1), (1,)),
            ]
        )
    )
    both = compose(first, second, between)
    want = second.matrix(between) @ first.matrix(pre)
    np.testing.assert_allclose(both.matrix(pre), want, atol=1e-12)


@pytest.mark.parametrize(
    ("grid", "pool", "strides", "padding", "merges"),
    [
        ((8, 8), 2, 2, "same", True),
        ((8, 6), 2, 2, "valid", True),
        ((9, 8), 2, 2, "valid", True),
        ((9, 8), 2, 2, "same", False),
        ((7, 7), 3, 2, "valid", True),
        ((7, 7), 3, 2, "same", False),
        ((7, 7), 1, 2, "valid", False),
    ],
)
def test_an_average_and_a_convolution_are_one_convolution(grid, pool, strides, padding, merges):
    rng = np.random.default_rng(0)
    average = AveragePool((*grid, 4), (pool, pool), strides)
    kernel = rng.normal(size=(3, 2, 2, 6))
    second = Convolution(average.output_shape, kernel, (2, 1), padding, groups=2)
    both = compose(average, second, average.shape[0])
    assert isinstance(both, Convolution if merges else Sparse)
    want = second.matrix(0) @ average.matrix(0)
    np.testing.assert_allclose(both.matrix(0), want, atol=1e-12)


def chain(*layers):
    """x → linear and other populations by turns, each with a bias and a gain."""
    rng = np.random.default_rng(1)
    populations, projections = [Population("x", layers[0][0].shape[1])], []
    for i, (transform, kind) in enumerate(layers):
        size = transform.shape[0]
        populations.append(
            Population(
                f"l{i}", size, Neuron(kind), rng.uniform(0.5, 2, size), rng.normal(size=size)
            )
        )
        projections.append(Projection(populations[-2].name, f"l{i}", transform))
    return Graph(tuple(populations), tuple(projections), "x", populations[-1].name)


def test_bias_and_gain_move_on():
    rng = np.random.default_rng(2)
    convolution = Convolution((4, 4, 1), rng.normal(size=(3, 3, 1, 2)), 1, "same")
    second = Convolution((4, 4, 2), rng.normal(size=(3, 3, 2, 2)), 1, "same")
    graph = chain(
        (convolution, "linear"), (second, "relu"), (Dense(rng.normal(size=(3, 32))), "linear")
    )
    folded = fold_linear(graph, always)
    assert [p.name for p in folded.populations] == ["x", "l1", "l2"]
    x = rng.normal(size=(3, 2, 16))
    np.testing.assert_allclose(
        run_reference(folded, x), run_reference(graph, x), rtol=1e-10, atol=1e-10
    )


def test_only_what_saves_connections_is_folded():
    average = AveragePool((8, 8, 1), (2, 2))
    convolution = Convolution((4, 4, 1), np.ones((3, 3, 1, 8)))
    graph = chain((average, "linear"), (convolution, "relu"), (Dense(np.ones((2, 32))), "linear"))
    assert fold_linear(graph, cheaper) is graph
    assert len(fold_linear(graph, always).populations) == 3


def test_several_ways_through_a_population():
    """a, b → sum → y, z: four projections in the place of four."""
    graph = Graph(
        tuple(Population(name, 2) for name in ("x", "a", "b", "sum", "y", "z", "out")),
        (
            Projection("x", "a", np.eye(2), delay=1),
            Projection("x", "b", np.eye(2), tau=0.01),
            Projection("a", "sum", np.array([[1.0, 2.0], [3.0, 4.0]])),
            Projection("b", "sum"),
            Projection("sum", "y", np.array([2.0, 3.0])),
            Projection("sum", "z"),
            Projection("y", "out", delay=1),
            Projection("z", "out", delay=1, name="late"),
        ),
        "x",
        "out",
    )
    folded = fold_linear(graph, always)
    # What is read through a delay or a synapse stays, and so does what reads so.
    assert {p.name for p in folded.populations} == {"x", "a", "b", "y", "z", "out"}
    x = np.random.default_rng(0).normal(size=(2, 6, 2))
    np.testing.assert_allclose(run_reference(folded, x), run_reference(graph, x), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([{}, {"tau": 0.002}, {"delay": 1}]))
def test_neurons_with_the_same_weights_share_a_sum(seed, kind):
    rng = np.random.default_rng(seed)
    back = np.repeat(rng.normal(size=(3, 24)), 8, axis=0)[rng.permutation(24)]
    back *= rng.choice([-1.0, 1.0], (24, 1)) * (rng.random(24) < 0.8)
    neurons = Population(
        "h", 24, Neuron("lif"), gain=rng.uniform(0.5, 2, 24), bias=rng.uniform(0, 4, 24)
    )
    projections = [
        Projection("x", "h", rng.normal(size=(24, 2))),
        Projection("h", "y", np.repeat(rng.normal(size=(4, 24)), 6, axis=0), **kind, name="one"),
        Projection("h", "h", back, tau=0.0, name="other"),
    ]
    graph = Graph((Population("x", 2), neurons, Population("y", 24)), projections, "x", "y")
    shared = share_sums(graph)
    assert [p.size for p in shared.populations if p.name.endswith(SUMS)] == [4, 3]
    x, timing = rng.normal(size=(2, 5, 2)), Timing(steps_per_input=4)
    np.testing.assert_allclose(
        run_reference(shared, x, timing), run_reference(graph, x, timing), atol=1e-9
    )
    assert len(share_sums(shared).populations) == len(shared.populations)


def test_distinct_weights_stay_as_they_are():
    graph = Graph(
        (Population("x", 3), Population("y", 6)),
        [Projection("x", "y", np.random.default_rng(0).normal(size=(6, 3)))],
        "x",
        "y",
    )
    assert [p.name for p in share_sums(graph).projections] == ["x_to_y"]

"""Every transform against its own matrix, Nengo, and a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import SpecError
from spiking_lmu.graph import transforms as module
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.transforms import (
    AveragePool,
    Convolution,
    Dense,
    OneToOne,
    Sparse,
    as_transform,
    transform_from,
)

from ..helpers.strategies import transforms

nengo = import_nengo()


def places(transform):
    """Source neurons; four for one-to-one with weight 1, which takes any number."""
    return 4 if transform.shape is None else transform.shape[1]


def convolved(x, kernel, strides, padding, groups=1, dilation=(1, 1)):
    """Two-dimensional convolution by its definition, one output at a time."""
    x = np.pad(x, (*padding, (0, 0)))
    (height, width), (filters, each) = kernel.shape[:2], kernel.shape[:1:-1]
    rows = (x.shape[0] - (height - 1) * dilation[0] - 1) // strides[0] + 1
    columns = (x.shape[1] - (width - 1) * dilation[1] - 1) // strides[1] + 1
    y = np.zeros((rows, columns, filters))
    for r, c, f in np.ndindex(*y.shape):
        first = f // (filters // groups) * each
        for i, j, k in np.ndindex(height, width, each):
            place = r * strides[0] + i * dilation[0], c * strides[1] + j * dilation[1]
            y[r, c, f] += kernel[i, j, k, f] * x[(*place, first + k)]
    return y


@settings(max_examples=60, deadline=None)
@given(transforms(), st.integers(0, 2**32 - 1))
def test_what_a_transform_says_of_itself_fits_its_matrix(transform, seed):
    rng, pre = np.random.default_rng(seed), places(transform)
    matrix, values = transform.matrix(pre), rng.normal(size=(2, 3, pre))
    np.testing.assert_allclose(transform.apply(values), values @ matrix.T, atol=1e-12)
    np.testing.assert_array_equal(transform.sparse(pre).toarray(), matrix)
    np.testing.assert_array_equal(transform.fan_out(pre), np.count_nonzero(matrix, axis=0))
    assert transform.shape in (None, matrix.shape)
    assert np.count_nonzero(matrix) <= transform.connections(pre) <= matrix.size
    gain = rng.normal(size=len(matrix))
    np.testing.assert_allclose(
        transform.scaled(gain).matrix(pre), matrix * gain[:, None], atol=1e-12
    )
    if transform.weights is not None:
        twice = transform.with_weights(2 * transform.weights)
        np.testing.assert_allclose(twice.matrix(pre), 2 * matrix)


@settings(max_examples=60, deadline=None)
@given(transforms())
def test_description_is_enough_to_make_it_again(transform):
    again = transform_from(*transform.describe())
    assert type(again) is type(transform)
    assert again.describe()[0] == transform.describe()[0]
    pre = places(transform)
    np.testing.assert_array_equal(again.matrix(pre), transform.matrix(pre))


@settings(max_examples=20, deadline=None)
@given(transforms(), st.integers(0, 2**32 - 1))
def test_nengo_computes_the_same(transform, seed):
    pre = places(transform)
    shown = np.random.default_rng(seed).normal(size=pre)
    want = transform.apply(shown)
    with nengo.Network() as network:
        source, target = nengo.Node(shown), nengo.Node(size_in=len(want))
        made = transform.nengo()
        options = {} if made is None else {"transform": made}
        nengo.Connection(source, target, synapse=None, **options)
        probe = nengo.Probe(target)
    with nengo.Simulator(network, progress_bar=False) as simulator:
        simulator.step()
    np.testing.assert_allclose(simulator.data[probe][0], want, atol=1e-12)


@pytest.mark.parametrize(
    ("groups", "strides", "padding", "dilation"),
    [
        (1, (1, 1), ((0, 0), (0, 0)), (1, 1)),
        (1, (2, 1), ((1, 0), (0, 2)), (1, 1)),
        (2, (1, 2), ((0, 0), (1, 1)), (2, 1)),
        (4, (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ],
)
def test_a_convolution_is_its_definition(groups, strides, padding, dilation):
    rng = np.random.default_rng(groups)
    kernel = rng.normal(size=(2, 3, 4 // groups, 8))
    convolution = Convolution((5, 7, 4), kernel, strides, padding, groups, dilation)
    x = rng.normal(size=(5, 7, 4))
    want = convolved(x, kernel, strides, padding, groups, dilation)
    assert convolution.output_shape == want.shape
    np.testing.assert_allclose(convolution.apply(x.ravel()), want.ravel(), atol=1e-12)


def test_padding_does_not_count_in_an_average():
    pool = AveragePool((3, 3, 1), (2, 2), 2, "same")
    mean = pool.apply(np.arange(9.0)).reshape(2, 2)
    np.testing.assert_array_equal(mean, [[2.0, 3.5], [6.5, 8.0]])


def test_nengo_gets_its_own_convolution_where_it_has_one():
    kernel = np.ones((3, 3, 1, 2))
    assert isinstance(Convolution((6, 6, 1), kernel, 2, "same").nengo(), nengo.Convolution)
    odd = Convolution((6, 6, 1), kernel, 2, ((3, 0), (0, 0)))
    assert isinstance(odd.nengo(), nengo.Sparse)
    grouped = Convolution((6, 6, 2), kernel, groups=2)
    assert isinstance(grouped.nengo(), nengo.Sparse)


def test_one_gain_a_filter_leaves_a_convolution_one():
    convolution = Convolution((4, 1), np.ones((2, 1, 2)))
    assert isinstance(convolution.scaled(np.tile([2.0, 3.0], 3)), Convolution)
    assert isinstance(convolution.scaled(np.arange(6.0)), Sparse)


def test_arrays_become_what_their_dimensions_say():
    assert isinstance(as_transform(None), OneToOne)
    assert isinstance(as_transform(np.ones(3)), OneToOne)
    assert isinstance(as_transform(np.ones((2, 3))), Dense)
    with pytest.raises(SpecError, match="shape"):
        as_transform(np.ones((2, 3, 4)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Convolution((4, 4, 2), np.ones((2, 2, 3, 1))),
        lambda: Convolution((4, 4, 1), np.ones((5, 2, 1, 1))),
        lambda: Convolution((4, 4, 1), np.ones((2, 2, 1, 1)), 0),
        lambda: Convolution((4, 4, 1), np.ones((2, 2, 1, 1)), padding="half"),
        lambda: Convolution((4, 4, 1), np.ones((2, 2, 1, 1)), padding=((-1, 0), (0, 0))),
        lambda: Convolution((4, 4, 1), np.full((2, 2, 1, 1), np.nan)),
        lambda: Convolution((4, 2), np.ones((2, 1, 3)), groups=2),
        lambda: AveragePool((1 << 20, 1 << 20, 1), (2, 2)),
        lambda: AveragePool((2, 1), (2,), 2, ((2, 0),)),
        lambda: Sparse((2, 2), [0, 0], [1, 1], [1.0, 2.0]),
        lambda: Sparse((2, 2), [1, 0], [1, 1], [1.0, 2.0]),
        lambda: Sparse((2, 2), [0], [2], [1.0]),
        lambda: Sparse((2, 2), [0.5], [1], [1.0]),
        lambda: Sparse((2, 2), [0, 1], [1], [1.0]),
        lambda: transform_from({"kind": "lambda"}, {}),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(SpecError):
        make()


def test_a_graph_refuses_a_transform_of_another_size():
    convolution = Convolution((4, 1), np.ones((2, 1, 2)))
    with pytest.raises(SpecError, match="weights of x_to_y"):
        Graph(
            (Population("x", 4), Population("y", 5)), (Projection("x", "y", convolution),), "x", "y"
        )


def test_the_geometry_is_part_of_the_digest():
    kernel = np.ones((2, 2, 1, 1))

    def digest(**options):
        convolution = Convolution((4, 4, 1), kernel, **options)
        y = Population("y", convolution.shape[0])
        return Model(
            Graph((Population("x", 16), y), (Projection("x", "y", convolution),), "x", "y")
        ).digest

    assert digest(padding=((1, 0), (0, 1))) != digest(padding=((0, 1), (1, 0)))


@given(st.integers(0, 5), st.sampled_from([1, 40, 1 << 17]))
def test_a_convolution_in_parts_is_the_whole(samples, values):
    rng = np.random.default_rng(samples)
    layer = Convolution((6, 5, 2), rng.normal(size=(3, 2, 2, 3)), (2, 1), "same")
    x = rng.normal(size=(samples, 60))
    before, module.WINDOW_VALUES = module.WINDOW_VALUES, values
    try:
        got = layer.apply(x)
    finally:
        module.WINDOW_VALUES = before
    np.testing.assert_allclose(got, x @ layer.matrix(60).T, atol=1e-12)


def test_a_sparse_transform_may_have_more_places_than_could_be_held():
    wide = Sparse((200_000, 20_000), [0, 199_999], [3, 19_999], [2.0, -1.0])
    assert wide.apply(np.ones(20_000)).sum() == 1.0
    with pytest.raises(SpecError):
        Sparse((1 << 40, 2), [0], [0], [1.0])

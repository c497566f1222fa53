"""What is asked of a network, and the scale of its data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.task import METRICS, Scaling, Task


def test_a_word_is_a_task():
    assert Task.parse("classification") == Task("classification", "last")
    assert Task.parse("regression") == Task("regression", "every")
    assert Task.parse("classification every").metric == "balanced_accuracy"
    assert Model(build(LmuSpec(order=2, units=2)), task="regression last").task.when == "last"


@pytest.mark.parametrize("kind", METRICS)
def test_a_metric_belongs_to_its_kind(kind):
    for metric in METRICS[kind]:
        assert Task(kind, metric=metric).metric == metric
    other = next(iter(set(METRICS) - {kind}))
    with pytest.raises(SpecError, match="metric"):
        Task(kind, metric=METRICS[other][0])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Task("poetry"),
        lambda: Task(when="never"),
        lambda: Task.parse(""),
        lambda: Task.parse("regression now and then"),
        lambda: Task(names=("a", "a")),
        lambda: Task(names=("a", "")),
        lambda: Task(names=("a" * 201,)),
        lambda: Task(names=("a\x1b[2J", "b")),
        lambda: Scaling((0.0,), (0.0,)),
        lambda: Scaling((), ()),
        lambda: Scaling((0.0,), (1.0, 1.0)),
        lambda: Scaling((float("nan"),), (1.0,)),
        lambda: Model(build(LmuSpec(order=2, units=2)), task=Task(names=("a", "b"))),
        lambda: Model(build(LmuSpec(order=2, units=2)), scaling=Scaling((0, 0), (1, 1))),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(SpecError):
        wrong()


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float64, (3, 4, 2), elements=st.floats(-1e6, 1e6, allow_subnormal=False)))
def test_training_data_come_to_lie_in_the_range(x):
    scaled = Scaling.measured(x).apply(x)
    assert np.abs(scaled).max() <= 1 + 1e-9
    varying = np.ptp(x, axis=(0, 1)) > 1e-6 * np.abs(x).max()
    np.testing.assert_allclose(np.abs(scaled).max(axis=(0, 1))[varying], 1.0, rtol=1e-6)


def test_padding_is_not_measured():
    x = np.zeros((2, 3, 1))
    x[0, :, 0], x[1, :1, 0] = [5, 6, 7], 6
    x[1, 1:] = 1000
    scaling = Scaling.measured(x, np.array([3, 1]))
    assert scaling == Scaling((6.0,), (1.0,))


def test_a_channel_that_never_changes():
    assert Scaling.measured(np.full((2, 3, 1), 0.1)).range == (1.0,)

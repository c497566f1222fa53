"""One run against a deployment for each timing, and the choice among the points."""

import json
from dataclasses import replace
from importlib.util import find_spec
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.analysis.statistics import mcnemar
from spiking_lmu.analysis.tradeoff import (
    Grid,
    Point,
    Tradeoff,
    lowpass_at,
    pareto_front,
    pick,
    tradeoff,
)
from spiking_lmu.backends.rate import RATE
from spiking_lmu.backends.registry import get_target
from spiking_lmu.conversion import Options, convert, measure_activity
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import DatasetError, SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Task
from spiking_lmu.report.tradeoff_plot import tradeoff_plot

RNG = np.random.default_rng(0)
GRID = Grid((3, 12, 25), (0.0, 0.004, 0.02))
needs_loihi = pytest.mark.skipif(
    find_spec("nengo_loihi") is None, reason="nengo-loihi is not installed"
)


def dense():
    """One input, as for a plain image classifier; a readout with a bias."""
    graph = Graph(
        (
            Population("x", 12),
            Population("h", 20, Neuron("relu"), bias=RNG.normal(0, 0.2, 20)),
            Population("readout", 4, bias=RNG.normal(0, 1, 4)),
        ),
        (
            Projection("x", "h", RNG.normal(0, 0.5, (20, 12))),
            Projection("h", "readout", RNG.normal(0, 0.5, (4, 20))),
        ),
        "x",
        "readout",
    )
    return graph, RNG.uniform(0, 1, (9, 1, 12))


def lmu():
    graph = build(LmuSpec(order=6, theta=10.0, units=16, output_size=4), seed=1)
    return graph, RNG.uniform(-1, 1, (9, 10, 1))


def traded(model, target, x, y, grid=None, **settings):
    data = Dataset("made-up", "test", x, y, Task(names=tuple("0123")))
    return tradeoff(model, data, target, grid, workers=1, progress=False, **settings)


def spiking(made):
    graph, x = made()
    # Data are single precision.
    x = x.astype(np.float32)
    model = Model(graph, activity=measure_activity(graph, x))
    y = RATE.deploy(model, x.shape[1]).run(x).outputs[:, -1].argmax(axis=1)
    return convert(model, Options(max_rate=200.0)), x, y


@pytest.mark.parametrize("made", [dense, lmu])
@pytest.mark.parametrize("name", ["reference", pytest.param("loihi", marks=needs_loihi)])
def test_each_point_is_a_deployment_of_its_own(name, made):
    model, x, y = spiking(made)
    target = get_target(name)
    found = traded(model, target, x, y, GRID)
    assert (found.target, found.samples, found.rate_value) == (name, 9, 1.0)
    assert len(found.points) == 9
    wanted = RATE.deploy(model, x.shape[1]).run(x).outputs[:, -1]
    for point in found.points:
        timing = replace(
            model.timing, settle_steps=point.settle_steps, readout_tau=point.readout_tau
        )
        with target.deploy(replace(model, timing=timing), x.shape[1]) as deployment:
            run = deployment.run(x)
        got = run.outputs[:, -1]
        assert point.steps == run.outputs.shape[1]
        correct = got.argmax(axis=1) == y
        assert point.value == correct.mean()
        assert point.paired == mcnemar(correct, np.ones(9, bool))
        assert point.lost == 9 - correct.sum()
        total = sum(int(counts.sum()) for counts in run.spikes.values())
        assert point.spikes == pytest.approx(total / 9, abs=1e-12)
        error = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
        assert point.relative_error == pytest.approx(error, rel=1e-9)


def test_the_filter_is_scipys():
    from scipy.signal import lfilter

    outputs, keep = RNG.normal(size=(3, 30, 2)), np.exp(-0.001 / 0.007)
    delayed = np.concatenate([np.zeros((3, 1, 2)), outputs[:, :-1]], axis=1)
    wanted = lfilter([1 - keep], [1, -keep], delayed, axis=1)
    steps = np.array([0, 4, 29])
    got = lowpass_at(outputs, 0.007, 0.001, steps, np.zeros(2))
    np.testing.assert_allclose(got, wanted[:, steps], atol=1e-12)
    np.testing.assert_array_equal(
        lowpass_at(outputs, 0.0, 0.001, steps, np.zeros(2)), outputs[:, steps]
    )


def test_batches_change_nothing_and_energy_grows():
    model, x, y = spiking(dense)
    target = get_target("reference")
    whole = traded(model, target, x, y, GRID)
    parts = traded(model, target, x, y, GRID, memory_limit=1)
    for one, other in zip(whole.points, parts.points, strict=True):
        assert replace(one, relative_error=0.0) == replace(other, relative_error=0.0)
        assert one.relative_error == pytest.approx(other.relative_error, rel=1e-9)
    joules = [point.joules["loihi alone"] for point in whole.points[::3]]
    assert joules == sorted(joules)
    assert joules[0] < joules[-1]
    assert json.loads(json.dumps(whole.to_dict()))["points"][0]["steps"] == 4


def test_what_cannot_be_traded_off_is_refused():
    model, x, y = spiking(dense)
    target = get_target("reference")
    with pytest.raises(SpecError, match="a model that does not spike"):
        traded(Model(model.rate), target, x, y)
    with pytest.raises(DatasetError, match="data for classification"):
        traded(replace(model, task="regression"), target, x, y)
    for bad in (((), (0.01,)), ((5,), ()), ((-1,), (0.01,)), ((5,), (-0.1,))):
        with pytest.raises(SpecError):
            Grid(*bad)


def point(steps, correct, n=1000, error=0.1, tau=0.01):
    """A point against a rate model that decides everything rightly."""
    right = np.arange(n) < correct
    paired = mcnemar(right, np.ones(n, bool))
    lost, joules = n - correct, {"loihi alone": None}
    return Point(steps, tau, steps, correct / n, paired, lost, lost, error, 10.0 * steps, joules)


CURVE = [
    point(5, 300),
    point(10, 700),
    point(20, 960, tau=0.02),
    point(20, 940),
    point(40, 985),
    point(80, 990, error=0.05),
    point(120, 990, error=0.02),
    point(200, 990, error=0.02),
]


def test_pick_by_hand():
    assert pick(CURVE, "best") is CURVE[6]
    # 985 of 1000 is half a point below 990 of 1000; 960 is not.
    assert pick(CURVE, "fastest") is CURVE[4]
    # Heights above the chord from (5, 300) to (200, 990): 0.55 at 10, 0.88 at 20, 0.81 at 40.
    assert pick(CURVE, "knee") is CURVE[2]
    assert [p.steps for p in pareto_front(CURVE)] == [5, 10, 20, 40, 80]


def test_pick_of_few_points():
    for how in ("best", "knee", "fastest"):
        assert pick(CURVE[:1], how) is CURVE[0]
    level = [point(10, 900), point(20, 900)]
    assert pick(level, "knee") is level[0]
    with pytest.raises(SpecError, match="no points"):
        pick([], "best")
    with pytest.raises(SpecError, match="'fast'"):
        pick(CURVE, "fast")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.integers(0, 40), st.floats(0, 1)), min_size=1, max_size=12
    )
)
def test_what_picks_promise(values):
    points = [point(steps, correct, 40, error) for steps, correct, error in values]
    best, knee, fastest = (pick(points, how) for how in ("best", "knee", "fastest"))
    assert best.lost == min(p.lost for p in points)
    assert not any(p.lost == best.lost and p.relative_error < best.relative_error for p in points)
    assert 40 * 0.005 >= fastest.lost - best.lost >= 0
    assert fastest.steps == min(p.steps for p in points if p.lost - best.lost <= 0.2)
    front = pareto_front(points)
    assert knee in front
    assert not any(p.steps <= q.steps and p.lost < q.lost for p in points for q in front)


@pytest.mark.parametrize("narrow", [False, True])
def test_the_picture_says_what_it_shows(narrow):
    points = [replace(p, joules={"loihi alone": 1e-7 * p.steps}) for p in CURVE]
    found = Tradeoff("loihi", 1000, 1.0, tuple(points))
    text = tradeoff_plot(found, "t", device="loihi alone", narrow=narrow)
    root = ElementTree.fromstring(text)
    label = root.get("aria-label")
    assert "Knee: 96.0 % at 20 settle steps with a filter of 20 ms" in label
    assert "2.00 µJ on loihi alone" in label
    assert "Best: 99.0 % at 120 settle steps" in label
    assert "http" not in text.replace("http://www.w3.org", "")
    assert "20 ms" in text
    assert "knee" in text

"""The batched engines of ``reference`` and ``loihi``: what they build, feed, flag and hold."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from spiking_lmu.backends import engines, feeding, registry, rounding
from spiking_lmu.backends.batched import extract, simulator
from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.backends.engines import EngineRun
from spiking_lmu.conversion import Options, convert, measure_activity
from spiking_lmu.graph import convolution, front_end
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Task
from spiking_lmu.graph.timing import Timing
from spiking_lmu.targets.loihi import deployment as loihi
from spiking_lmu.targets.reference import engines as reference

TARGETS = ["reference", "loihi"]
#: Room above the largest current that the adapter of Loihi leaves.
HEADROOM = 1.1


def target(name):
    found = {found.name: found for found in registry.find_targets()}[name]
    if found.unusable:
        pytest.skip(found.unusable)
    return found.target


@pytest.fixture(params=["numba", "numpy", "blocks"])
def compiled(request, monkeypatch):
    """All ways to run a host's neurons: step by step, or a block of steps at once."""
    if request.param != "numpy":
        pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")
        monkeypatch.setattr(convolution, "LARGE", 0 if request.param == "blocks" else np.inf)
    else:
        for place in (reference, simulator):
            monkeypatch.setattr(place, "find_spec", lambda name: None)
    return request.param


def on_the_threshold(kind):
    """A linear chain, then a neuron whose voltage one sample brings to its threshold, to rounding.

    Ten copies of the input are added up with weights of 0.1, which in floating point is one
    or a little less, depending on the order.
    """
    copies, steps = 10, 20
    if kind == "lif":
        # After ten steps of this current and the bias the voltage is one.
        current, activity = 1.0 / -np.expm1(-10 * 0.001 / 0.02) - 0.25, 2.0
    else:
        # Half a unit of voltage a step on the reference; on Loihi the neurons that code
        # it add up three quarters and one quarter.
        current, activity = 500.0, 1000.0 / HEADROOM
    neuron = Population("h", 1, Neuron(kind), bias=0.25 if kind == "lif" else 0.0)
    graph = Graph(
        (Population("x", 1), Population("m", copies), neuron, Population("out", 2)),
        (
            Projection("x", "m", np.ones((copies, 1))),
            Projection("m", "h", np.full((1, copies), 0.1 * current)),
            Projection("h", "out", np.array([[0.001], [-0.001]])),
        ),
        "x",
        "out",
    )
    x = np.array([0.9137, 1.0, 0.7731])[:, None, None] * np.ones((1, 3, 1))
    seen = Activity(1.0, 1.0, activity, activity)
    return Model(graph, Timing(1, steps - 3, 0.01), activity={"h": seen}), x


CASES = [("reference", "spiking_relu"), ("reference", "lif"), ("loihi", "spiking_relu")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_sample_on_the_threshold_runs_again(name, kind, compiled):
    """It is found and gets the stock simulator's spikes; the others are let alone."""
    model, x = on_the_threshold(kind)
    with target(name).deploy(model, 3) as deployment:
        run = deployment.run(x)
        assert run.reruns == 1
        deployment.verify(x, run)
        assert deployment.run(x[[0, 2]]).reruns == 0
    with target(name).deploy(model, 3, engine="stock") as deployment:
        stock = deployment.run(x)
    np.testing.assert_array_equal(run.spikes["h"], stock.spikes["h"])
    np.testing.assert_array_equal(run.outputs[1], stock.outputs[1])
    assert run.spikes["h"].min() > 0


@pytest.mark.parametrize(
    ("task", "again"),
    [("classification last", []), ("classification every", [1]), ("regression every", [])],
)
def test_each_decision_that_could_hinge_on_rounding_is_looked_at(task, again):
    """Two outputs are equal at the end of the first of three inputs, in one sample."""
    model, _ = on_the_threshold("lif")
    model = replace(model, task=Task.parse(task), timing=Timing(4, 2))
    outputs = np.zeros((2, 14, 2))
    outputs[..., 0] = 1.0
    outputs[1, 3] = 0.5
    # Between the ends of presentations nothing is decided.
    outputs[0, 4] = 0.5
    with target("reference").deploy(model, 3) as deployment:
        near = deployment._near_rounding(EngineRun(outputs, {}, None, np.zeros(2, bool)))
    assert near.tolist() == again


def one_ulp(monkeypatch, sign):
    """Move what the front end delivers by a share of 1e-13, as another order of sums may."""
    real = front_end.InputConvolution
    monkeypatch.setattr(
        front_end, "InputConvolution", lambda response: real(response * (1 + sign * 1e-13))
    )


def always_convolve(monkeypatch, name):
    """With numba, if it is there, however few samples there are."""
    monkeypatch.setattr(feeding, "multiplications", lambda *sizes: 0)
    monkeypatch.setattr(convolution, "LARGE", 0)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_rounding_would_change_spikes_without_it(name, kind, monkeypatch):
    """A change of 1e-13 in a current flips a spike; found and run again, it does not."""
    model, x = on_the_threshold(kind)
    with target(name).deploy(model, 3, engine="stock") as deployment:
        stock = deployment.run(x, raster=True).rasters

    def same(margin, sign):
        with monkeypatch.context() as patch:
            always_convolve(patch, name)
            one_ulp(patch, sign)
            if not margin:
                for part in (rounding, loihi, engines):
                    patch.setattr(part, "rounding_margin", lambda *given: 0.0)
            with target(name).deploy(model, 3, engine="batched") as deployment:
                run = deployment.run(x, raster=True)
        assert (run.reruns == 1) is margin
        return all(np.array_equal(a["h"], b["h"]) for a, b in zip(run.rasters, stock, strict=True))

    assert same(margin=True, sign=1)
    assert same(margin=True, sign=-1)
    assert not (same(margin=False, sign=1) and same(margin=False, sign=-1))


def parts(program):
    """Everything in a chip's program as arrays."""
    wiring = program.wiring
    matrices = [m.toarray() for m in (wiring.incidence, wiring.weights)]
    return [*vars(program.compartments).values(), *matrices, wiring.bound]


@pytest.mark.parametrize("cell", ["feedforward", "recurrent"])
def test_the_chip_is_that_of_the_whole_graph(cell, monkeypatch):
    """Taking the front end out changes nothing beyond the host."""
    always_convolve(monkeypatch, "loihi")
    model, x = small_lmu(cell=cell)
    with target("loihi").deploy(model, x.shape[1]) as deployment:
        engines = [deployment._engine(name) for name in ("batched", "strict")]
        sizes = [engine._feeding.graph.input_size for engine in engines]
        programs = [parts(extract(engine._simulator.model)) for engine in engines]
    assert sizes == [20, 1]
    for mine, whole in zip(*programs, strict=True):
        np.testing.assert_array_equal(mine, whole)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    ("timing", "delay"),
    [(Timing(), 0), (Timing(1, 0, 0.005), 0), (Timing(2), 0), (Timing(1, 30, 0.01), 1)],
)
def test_everything_that_crosses_the_boundary(name, timing, delay, monkeypatch):
    """Neurons, readout and a filter all fed by the linear part, and biases within it."""
    always_convolve(monkeypatch, name)
    rng = np.random.default_rng(1)
    neurons = Population("h", 6, Neuron("spiking_relu"), bias=rng.uniform(0, 1, 6), scale=150.0)
    graph = Graph(
        (
            Population("x", 2),
            Population("m", 5, bias=rng.normal(size=5)),
            neurons,
            Population("f", 3),
            Population("out", 3),
        ),
        (
            Projection("x", "m", rng.normal(size=(5, 2))),
            Projection("m", "m", 0.2 * rng.normal(size=(5, 5)), delay=1, name="loop"),
            Projection("m", "h", rng.normal(size=(6, 5)), delay=delay),
            Projection("x", "h", rng.normal(size=(6, 2)), delay=1, name="late"),
            Projection("m", "f", rng.normal(size=(3, 5)), tau=0.003),
            Projection("f", "out", rng.normal(size=(3, 3))),
            Projection("m", "out", 0.3 * rng.normal(size=(3, 5)), name="past the neurons"),
            Projection("h", "out", rng.normal(size=(3, 6))),
        ),
        "x",
        "out",
    )
    model = Model(graph, timing, activity={"h": Activity(1.0, 1.0, 3.0, 5.0)})
    x = rng.normal(size=(3, 40, 2))
    with target(name).deploy(model, 40, engine="batched") as deployment:
        assert deployment._engine("batched")._feeding.graph.input_size == 12
        run = deployment.run(x)
        deployment.verify(x, run)
    assert run.spikes["h"].sum() > 20


@pytest.mark.parametrize("name", TARGETS)
def test_pauses_and_silence_do_not_count_as_near(name, monkeypatch):
    """On Loihi the neurons that code a zero stand on their threshold, on every engine alike."""
    always_convolve(monkeypatch, name)
    model, x = small_lmu()
    x = np.concatenate([np.zeros((4, 27, 1)), x], axis=1)
    with target(name).deploy(model, x.shape[1]) as deployment:
        run = deployment.run(x)
        assert run.reruns == 0
        assert deployment.notes == ("engine: batched",)
        deployment.verify(x, run)


@pytest.mark.parametrize("seed", range(8))
def test_random_memories_spike_like_stock(seed, monkeypatch):
    """Every spike at its step, for sequences that begin with silence and have gaps."""
    always_convolve(monkeypatch, "reference")
    rng = np.random.default_rng(seed)
    inputs, channels, order, units = rng.integers((3, 1, 2, 1), (60, 4, 14, 30))
    spec = LmuSpec(
        order=int(order),
        theta=float(rng.uniform(3, 60)),
        units=int(units),
        input_size=int(channels),
        neuron=Neuron("relu"),
    )
    x = rng.uniform(-1, 1, (11, inputs, channels)) * (rng.random((11, inputs, 1)) < 0.4)
    x[:, : rng.integers(inputs)] = 0
    x[:, -1] = 1
    graph = build(spec, seed=seed)
    options = Options(
        neuron="relu",
        max_rate=float(rng.choice([100, 900, 3000])),
        settle_steps=int(rng.integers(40)),
        steps_per_input=int(rng.integers(1, 4)),
    )
    model = convert(Model(graph, activity=measure_activity(graph, x)), options)
    with target("reference").deploy(model, int(inputs)) as deployment:
        run = deployment.run(x, raster=True)
    with target("reference").deploy(model, int(inputs), engine="stock") as deployment:
        stock = deployment.run(x, raster=True)
    for got, want in zip(run.rasters, stock.rasters, strict=True):
        np.testing.assert_array_equal(got["lmu.h"], want["lmu.h"])
    assert stock.spikes["lmu.h"].sum() > 0


def test_a_tie_between_outputs_runs_again_where_it_decides():
    model, x = small_lmu()
    twice = {p.name: p for p in model.graph.projections}["readout_weights"]
    weights, bias = twice.weights.copy(), model.graph["readout"].bias.copy()
    weights[1], bias[1] = weights[0], bias[0]
    weights[2], bias[2] = 0.0, -1e6
    changed = Graph(
        tuple(
            Population(p.name, p.size, p.neuron, p.gain, bias, p.scale)
            if p.name == "readout"
            else p
            for p in model.graph.populations
        ),
        tuple(
            Projection(p.pre, p.post, weights, p.tau, p.delay, p.name) if p is twice else p
            for p in model.graph.projections
        ),
        model.graph.input,
        model.graph.output,
    )
    for task, reruns in (("classification", len(x)), ("regression", 0)):
        tied = Model(changed, model.timing, task, model.activity)
        with target("reference").deploy(tied, x.shape[1]) as deployment:
            assert deployment.run(x).reruns == reruns


def traced(run):
    """What ``run`` returns, and the bytes that were allocated at once while it ran."""
    tracemalloc.start()
    try:
        return run(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", TARGETS)
def test_memory_bounds_a_batch(name):
    """Half the memory, half the samples; results stay; and the memory is not exceeded."""
    model, x = small_lmu()
    x = np.random.default_rng(0).uniform(size=(128, 12, 1))
    with target(name).deploy(model, 12) as deployment:
        whole = deployment.run(x)
        assert deployment.batch_size == 128
    with target(name).deploy(model, 12, memory_limit=1) as deployment:
        assert deployment.batch_size == 1
    limit = 1 << 20
    with target(name).deploy(model, 12, memory_limit=limit) as deployment:
        size = deployment.batch_size
        assert 8 <= size < 128
        deployment.run(x[:1])
        part, peak = traced(lambda: deployment.run(x[:size]))
        rasters, peak_of_rasters = traced(lambda: deployment.run(x[:size], raster=True).rasters)
    # Code and small objects come on top of arrays; rasters in one piece would take 7 MB.
    assert peak < limit + (1 << 19)
    assert peak_of_rasters < limit + (1 << 20)
    np.testing.assert_array_equal(part.spikes["lmu.h"], whole.spikes["lmu.h"][:size])
    for i, raster in enumerate(rasters):
        assert set(raster["lmu.h"][:, 1]) == set(np.flatnonzero(part.spikes["lmu.h"][i]))
    np.testing.assert_allclose(part.outputs, whole.outputs[:size], atol=1e-12)

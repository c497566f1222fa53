"""NengoDL's target: operators of our own, and what a minibatch takes."""

from dataclasses import replace

import numpy as np
import pytest

from spiking_lmu.backends import registry
from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.conversion import Options, convert, measure_activity
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

FOUND = {found.name: found for found in registry.find_targets()}["nengo-dl"]
if FOUND.unusable:
    pytest.skip(FOUND.unusable, allow_module_level=True)
TARGET = FOUND.target


def run(model, x, *, raster=False, **options):
    with TARGET.deploy(model, x.shape[1], **options) as deployment:
        return deployment.run(x, raster=raster)


@pytest.mark.parametrize("timing", [Timing(), Timing(1, 4), Timing(3), Timing(2, 5)], ids=str)
def test_held_values_are_those_of_the_definition(timing):
    """Each of two recurrent cells holds its memory and its hidden layer."""
    spec = LmuSpec(order=3, theta=6.0, units=4, output_size=2, cell="recurrent", layers=2)
    model = Model(build(spec, seed=1), timing)
    x = np.random.default_rng(0).uniform(0, 1, (2, 5, 1))
    expected = run_reference(model.graph, x, timing)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(run(model, x, batch_size=2).outputs, expected, atol=1e-5)


@pytest.mark.parametrize("neuron", ["relu", "lif"])
def test_counted_spikes_are_those_in_the_trains(neuron, monkeypatch):
    """Counted in the graph, and summed from trains of the neurons' own outputs."""
    model, x = small_lmu(neuron)
    trains = {}
    with TARGET.deploy(model, x.shape[1], batch_size=4) as deployment:
        counted = deployment.run(x)
        minibatch = deployment._recorder(4)
        simulate = minibatch._simulator.predict_on_batch
        monkeypatch.setattr(
            minibatch._simulator,
            "predict_on_batch",
            lambda fed: trains.setdefault("all", simulate(fed)),
        )
        recorded = deployment.run(x, raster=True)
        train = trains["all"][minibatch._built.spikes["lmu.h"]]
    unit = 1 / model.graph["lmu.h"].spike_size(model.timing.dt)
    expected = np.rint(train.sum(axis=1, dtype=float) * unit)
    assert expected.sum() > 0
    np.testing.assert_array_equal(counted.spikes["lmu.h"], expected)
    np.testing.assert_array_equal(recorded.spikes["lmu.h"], expected)
    np.testing.assert_array_equal(recorded.outputs, counted.outputs)


def test_several_spikes_in_one_step_count_each():
    """A current of 2500 Hz at steps of 1 ms: two and three spikes a step, in turn."""
    neurons = Population("h", 1, Neuron("spiking_relu"), bias=np.array([2500.0]))
    graph = Graph(
        (Population("x", 1), neurons, Population("out", 1)),
        (Projection("x", "h", np.zeros((1, 1))), Projection("h", "out", np.ones((1, 1)))),
        "x",
        "out",
    )
    x = np.zeros((1, 8, 1))
    model = Model(graph, activity=measure_activity(graph, x))
    assert run(model, x, batch_size=1).spikes["h"].tolist() == [[20]]


def test_trains_are_kept_only_for_a_raster():
    """What the simulator hands over without one does not grow with steps times neurons."""
    model, x = small_lmu()
    with TARGET.deploy(model, x.shape[1], batch_size=2) as deployment:
        shapes = [
            minibatch._simulator.predict_on_batch(n_steps=30)[
                minibatch._built.spikes["lmu.h"]
            ].shape
            for minibatch in (deployment._counting, deployment._recorder(2))
        ]
    assert shapes == [(2, 1, 20), (2, 30, 20)]


def test_memory_decides_the_minibatch_and_nothing_else():
    model, x = small_lmu()
    batches, outputs, spikes = [], [], []
    for limit in (None, 1 << 20, 1):
        with TARGET.deploy(model, x.shape[1], memory_limit=limit) as deployment:
            batches.append(deployment.batch_size)
            result = deployment.run(x)
        outputs.append(result.outputs)
        spikes.append(result.spikes["lmu.h"])
    assert batches[0] == 256
    assert batches[0] > batches[1] > batches[2] == 1
    for other in (1, 2):
        np.testing.assert_allclose(outputs[other], outputs[0], atol=1e-5)
        np.testing.assert_array_equal(spikes[other], spikes[0])


def test_longer_samples_make_smaller_minibatches_of_trains():
    from spiking_lmu.targets.nengo_dl.deployment import bytes_per_sample

    model, _ = small_lmu()
    neurons = sum(p.size for p in model.graph.spiking)
    longer = replace(model, timing=Timing(1, model.timing.settle_steps + 100))
    added = [
        bytes_per_sample(m, 12, True) - bytes_per_sample(m, 12, False) for m in (model, longer)
    ]
    # at the very least one float32 a neuron and step
    assert added[1] - added[0] >= 4 * 100 * neurons


def test_rasters_of_more_samples_than_before():
    """The simulator that records grows with what is asked of it."""
    model, x = small_lmu()
    with TARGET.deploy(model, x.shape[1], batch_size=3) as deployment:
        one = deployment.run(x[:1], raster=True)
        all_of_them = deployment.run(x, raster=True)
        counted = deployment.run(x)
    np.testing.assert_array_equal(one.rasters[0]["lmu.h"], all_of_them.rasters[0]["lmu.h"])
    assert len(all_of_them.rasters) == 4
    np.testing.assert_array_equal(all_of_them.spikes["lmu.h"], counted.spikes["lmu.h"])


def test_has_nothing_to_verify_against():
    model, x = small_lmu()
    with TARGET.deploy(model, x.shape[1], batch_size=4) as deployment:
        assert not deployment.verifies
        deployment.verify(x, deployment.run(x))


def test_recurrent_spiking_cell_follows_its_rate_model():
    """Feedback through held and filtered spikes."""
    rng = np.random.default_rng(2)
    graph = build(LmuSpec(order=4, theta=8.0, units=12, output_size=2, cell="recurrent"), 3)
    x = rng.uniform(0.0, 1.0, (3, 6, 1))
    rate = Model(graph, activity=measure_activity(graph, x))
    model = convert(rate, Options(neuron="relu", max_rate=1000.0, steps_per_input=40))
    got, expected = run(model, x, batch_size=3), run_reference(model.graph, x, model.timing)
    np.testing.assert_allclose(got.outputs, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.slow
def test_many_populations_are_planned_without_looking_ahead(monkeypatch):
    """NengoDL's own planner takes minutes for hundreds of operators; the result is the same."""
    import nengo_dl

    def looked_ahead(*args, **kwargs):
        raise AssertionError("the planner that looks ahead")

    monkeypatch.setattr(nengo_dl.graph_optimizer, "tree_planner", looked_ahead)
    rng = np.random.default_rng(0)
    several = [Population(f"h{i}", 3, Neuron("relu"), bias=np.ones(3)) for i in range(30)]
    links = [Projection("x", p.name, rng.normal(size=(3, 2))) for p in several]
    links += [Projection(p.name, "y", rng.normal(size=(2, 3))) for p in several]
    graph = Graph((Population("x", 2), *several, Population("y", 2)), tuple(links), "x", "y")
    x = rng.normal(size=(2, 3, 2))
    expected = run_reference(graph, x)
    np.testing.assert_allclose(run(Model(graph), x, batch_size=2).outputs, expected, atol=1e-4)


@pytest.mark.slow
def test_samples_of_many_lengths_bring_no_advice(caplog):
    """TensorFlow warns where a function is traced anew five times."""
    model = Model(build(LmuSpec(order=2, theta=4.0, units=2, output_size=2), seed=1), Timing())
    for inputs in range(2, 9):
        run(model, np.zeros((1, inputs, 1)))
    assert not [line for line in caplog.records if "retracing" in line.getMessage()]


def test_a_gpu_multiplies_with_every_bit_while_it_runs_and_as_before_afterwards(monkeypatch):
    from tensorflow.config import experimental

    model, x = small_lmu("lif")
    seen = []
    with TARGET.deploy(model, x.shape[1], batch_size=4) as deployment:
        simulator = deployment._recorder(4)._simulator
        simulate = simulator.predict_on_batch

        def watched(fed):
            seen.append(experimental.tensor_float_32_execution_enabled())
            return simulate(fed)

        monkeypatch.setattr(simulator, "predict_on_batch", watched)
        before = experimental.tensor_float_32_execution_enabled()
        deployment.run(x, raster=True)
    assert (before, seen) == (True, [False])
    assert experimental.tensor_float_32_execution_enabled()

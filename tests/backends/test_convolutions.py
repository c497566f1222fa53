"""Convolutions on all targets: counted as nengo-loihi builds them, spike for spike as upstream."""

import numpy as np
import pytest

from spiking_lmu.backends.registry import get_target
from spiking_lmu.conversion import Options, convert
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import AveragePool, Convolution, Dense
from spiking_lmu.targets.loihi.convolution import ConvolutionSynapses
from spiking_lmu.targets.loihi.layout import lay_out

from ..helpers.chip_models import SMALL, convolutional_model, disagreement, limits
from ..helpers.fresh_python import needs

loihi, nengo_dl = needs("nengo-loihi"), needs("nengo-dl")


@loihi
@pytest.mark.parametrize("seed", range(12))
def test_counted_as_nengo_loihi_builds_it(seed):
    with limits(SMALL):
        assert disagreement(convolutional_model(seed)) == ""


def test_the_random_models_have_convolutions_in_several_blocks():
    with limits(SMALL):
        uses = [lay_out(convolutional_model(seed)) for seed in range(12)]
    kinds = [type(s) for use in uses for found in use.synapses.values() for s in found]
    assert kinds.count(ConvolutionSynapses) > 6
    divided = [len(use.of(name)) for use in uses for name in use.synapses]
    assert sum(n > 1 for n in divided) > 6


@loihi
@pytest.mark.parametrize("seed", [0, 1, 4, 9])
def test_same_spikes_as_nengo_loihi(seed):
    model, x = convolutional_model(seed), np.zeros((2, 20, 1))
    runs = []
    with limits(SMALL):
        for engine in ("stock", "batched"):
            with get_target("loihi").deploy(model, 20, engine=engine) as deployment:
                runs.append(deployment.run(x))
    stock, batched = runs
    np.testing.assert_allclose(batched.outputs, stock.outputs, rtol=1e-12, atol=1e-12)
    for name, spikes in stock.spikes.items():
        np.testing.assert_array_equal(batched.spikes[name], spikes)
        assert spikes.sum() > 0 or seed != 0


@pytest.fixture(scope="module")
def images():
    """conv → pool → grouped conv → dense, converted; and inputs."""
    rng = np.random.default_rng(3)
    first = Convolution((6, 6, 1), rng.normal(size=(3, 3, 1, 4)), 1, "same")
    pool = AveragePool(first.output_shape, (2, 2))
    second = Convolution(pool.output_shape, rng.normal(size=(2, 2, 2, 6)), groups=2)
    populations = (
        Population("x", 36),
        Population("first", first.shape[0], Neuron("relu")),
        Population("pool", pool.shape[0]),
        Population("second", second.shape[0], Neuron("relu"), bias=np.full(second.shape[0], 0.1)),
        Population("out", 3),
    )
    projections = (
        Projection("x", "first", first),
        Projection("first", "pool", pool),
        Projection("pool", "second", second),
        Projection("second", "out", Dense(rng.normal(size=(3, second.shape[0])))),
    )
    model = Model(Graph(populations, projections, "x", "out"))
    x = rng.uniform(size=(4, 1, 36))
    options = Options(max_rate=250.0, steps_per_input=30, settle_steps=0)
    return convert(model, options, training_inputs=x), x


def test_an_average_between_neurons_is_folded_into_the_convolution_behind_it(images):
    model, _ = images
    assert "pool" not in {p.name for p in model.graph.populations}
    (into,) = model.graph.incoming("second")
    assert into.pre == "first"
    assert into.transform.kernel.shape == (4, 4, 2, 6)
    assert into.transform.windows.strides == (2, 2)


def test_reference_engines_agree_with_the_definition(images):
    model, x = images
    want = run_reference(model.graph, x, model.timing)
    for engine in ("stock", "batched"):
        with get_target("reference").deploy(model, 1, engine=engine) as deployment:
            run = deployment.run(x)
        np.testing.assert_allclose(run.outputs, want, atol=1e-9)


@nengo_dl
def test_nengo_dl_agrees_with_the_definition(images):
    model, x = images
    want = run_reference(model.graph, x, model.timing)
    with get_target("nengo-dl").deploy(model, 1) as deployment:
        outputs = deployment.run(x).outputs
    # In single precision a spike may come a step sooner or later.
    assert np.abs(outputs - want).mean() < 0.02 * np.abs(want).max()


@loihi
def test_loihi_engines_agree(images):
    model, x = images
    runs = []
    for engine in ("stock", "batched"):
        with get_target("loihi").deploy(model, 1, engine=engine) as deployment:
            runs.append(deployment.run(x[:2]))
    for name, spikes in runs[0].spikes.items():
        np.testing.assert_array_equal(runs[1].spikes[name], spikes)
        assert spikes.sum() > 0


@loihi
@pytest.mark.parametrize("engine", ["stock", "batched"])
def test_a_weight_for_each_neuron_on_the_way_to_the_host(engine):
    """nengo-loihi itself adds all neurons up where a connection has one weight a neuron."""
    neurons = Population("n", 3, Neuron("spiking_relu"), bias=np.array([100.0, 200.0, 500.0]))
    into = Projection("x", "n", np.zeros((3, 1)))
    weights = np.array([1.0, -2.0, 0.5])
    out = Projection("n", "out", weights, name="weighed")
    graph = Graph((Population("x", 1), neurons, Population("out", 3)), (into, out), "x", "out")
    still = Activity(1.0, 1.0, 1.0, 1.0)
    model = Model(graph, Timing(100), activity={"n": still})
    with get_target("loihi").deploy(model, 1, engine=engine) as deployment:
        run = deployment.run(np.zeros((1, 1, 1)))
    # Spikes are 1 / dt high, and the first steps are the chip's delay.
    np.testing.assert_allclose(run.outputs[0].sum(axis=0) * 1e-3, weights * run.spikes["n"][0])
    assert (run.spikes["n"][0] > 5).all()

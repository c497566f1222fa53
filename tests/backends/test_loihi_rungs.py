"""The rungs between ideal neurons and the Loihi emulator."""

from dataclasses import replace

import numpy as np
import pytest

from spiking_lmu.backends import registry
from spiking_lmu.backends.contract import driven_neurons, small_lmu
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.timing import Timing

from ..helpers.chip_models import two


@pytest.fixture(scope="module")
def target():
    found = {found.name: found for found in registry.find_targets()}["loihi"]
    if found.unusable:
        pytest.skip(found.unusable)
    return found.target


def ran(target, model, x, **options):
    with target.deploy(model, x.shape[1], **options) as deployment:
        return deployment.run(x)


@pytest.mark.parametrize(("neuron", "cell"), [("relu", "feedforward"), ("lif", "recurrent")])
def test_real_numbers_have_the_spikes_of_simreal(target, neuron, cell):
    model, x = small_lmu(neuron, cell)
    mine = ran(target, model, x, arithmetic="real")
    theirs = ran(target, model, x, arithmetic="real", engine="stock")
    assert mine.spikes["lmu.h"].sum() > 100
    for name, spikes in theirs.spikes.items():
        np.testing.assert_array_equal(mine.spikes[name], spikes)
    np.testing.assert_allclose(mine.outputs, theirs.outputs, atol=1e-5)


def test_rungs_lead_to_the_target_one_by_one(target):
    model, x = small_lmu()
    runs = []
    for rung in target.rungs(model, x.shape[1], seed=0):
        assert 0 < len(rung.name) <= 20
        assert rung.change
        with rung.deploy() as deployment:
            assert not deployment.verifies
            assert deployment.batch_size > 1
            assert deployment.notes == ("engine: batched",)
            run = deployment.run(x, raster=True)
            deployment.verify(x, run)
            assert deployment._engine("batched").run(x, False).near is None
        recorded = [len(raster["lmu.h"]) for raster in run.rasters]
        assert recorded == run.spikes["lmu.h"].sum(axis=1).tolist()
        runs.append(run)
    real, rounded = runs
    whole = ran(target, model, x)
    assert (real.spikes["lmu.h"] != rounded.spikes["lmu.h"]).any()
    # In a network as small as this the rest of the integers makes no difference to a spike.
    np.testing.assert_array_equal(rounded.spikes["lmu.h"], whole.spikes["lmu.h"])


def test_rungs_run_on_the_engine_that_is_asked_for(target):
    """Only rounded weights have no simulator of upstream's."""
    model, x = small_lmu()
    engines = {}
    for rung in target.rungs(model, x.shape[1], engine="stock", memory_limit=1 << 20):
        with rung.deploy() as deployment:
            engines[rung.name] = deployment.notes
    assert engines == {
        "chip dynamics": ("engine: stock",),
        "quantised weights": ("engine: batched",),
    }


@pytest.mark.parametrize(("arithmetic", "names"), [("real", []), ("rounded", ["chip dynamics"])])
def test_no_rung_lies_behind_the_target(target, arithmetic, names):
    model, x = small_lmu()
    rungs = target.rungs(model, x.shape[1], arithmetic=arithmetic)
    assert [rung.name for rung in rungs] == names


def test_a_single_large_weight_shows_on_the_rung_of_weights(target):
    """It leaves 2/255 of itself as the unit of all others, and theirs come out a fifth too small."""
    weights = np.random.default_rng(0).uniform(0.09, 0.11, (8, 20))
    weights[0, 0] = 10.0
    model = replace(two(weights), timing=Timing(1000))
    real, rounded, whole = (
        ran(target, model, np.zeros((1, 1, 1)), arithmetic=name).spikes["b"][0, 1:]
        for name in ("real", "rounded", "integers")
    )
    unit = 10.0 / 127.5
    lost = np.round(weights[1:] / unit).sum() * unit / weights[1:].sum()
    assert 0.75 < lost < 0.85
    np.testing.assert_allclose(rounded / real, lost, rtol=0.1)
    np.testing.assert_allclose(rounded, whole, rtol=0.05)


@pytest.mark.parametrize("kind", ["spiking_relu", "lif"])
def test_neurons_that_only_a_bias_drives_fire_at_their_response(target, kind):
    """Chip dynamics without synapses are the target's cells: whole steps a spike."""
    current = np.linspace(20.3, 700.7, 12) / (1 if kind == "spiking_relu" else 100)
    steps = 600
    model = driven_neurons(current, kind, steps)
    (counts,) = ran(target, model, np.zeros((1, 1, 1)), arithmetic="real").spikes["neurons"]
    neuron = model.graph["neurons"].neuron
    expected = target.cells.response(neuron, current, model.timing.dt) * steps * model.timing.dt
    assert (np.abs(counts - expected) <= 1).all()
    assert counts.max() >= 100
    step = target.cells.stepper(neuron, current.shape, model.timing.dt)
    np.testing.assert_array_equal(counts, sum(step(current) for _ in range(steps)))


def test_refuses_unknown_arithmetic_and_rounding_on_the_stock_engine(target):
    model, x = small_lmu()
    with pytest.raises(TargetError, match="'precise'"):
        target.deploy(model, x.shape[1], arithmetic="precise")
    with pytest.raises(TargetError, match="stock"):
        target.deploy(model, x.shape[1], arithmetic="rounded", engine="stock")

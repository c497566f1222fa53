"""The contract over every target that comes with the package, and what is theirs alone."""

import importlib
from importlib import import_module
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from spiking_lmu.backends import registry, target
from spiking_lmu.backends.contract import TargetContract, small_lmu
from spiking_lmu.backends.network import Presenter, build_network
from spiking_lmu.conversion import Options, convert
from spiking_lmu.errors import TargetError
from spiking_lmu.files.zoo import load_model
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing


def builtin(name):
    found = {found.name: found for found in registry.find_targets()}[name]
    if found.unusable:
        pytest.skip(found.unusable)
    return found.target


class TwoEngines(TargetContract):
    """What the targets with a batched engine have in common."""

    @pytest.mark.parametrize("neuron", ["relu", "lif"])
    def test_batched_engine_is_the_stock_one(self, neuron):
        """Every neuron's spikes equal, outputs to rounding, for every sample."""
        model, x = small_lmu(neuron)
        runs = []
        for engine in ("batched", "stock"):
            with self.target.deploy(model, x.shape[1], engine=engine) as deployment:
                runs.append(deployment.run(x, raster=True))
                assert deployment.notes == (f"engine: {engine}",)
        for mine, theirs in zip(runs[0].rasters, runs[1].rasters, strict=True):
            np.testing.assert_array_equal(mine["lmu.h"], theirs["lmu.h"])
        np.testing.assert_array_equal(runs[0].spikes["lmu.h"], runs[1].spikes["lmu.h"])
        np.testing.assert_allclose(runs[0].outputs, runs[1].outputs, atol=1e-9)

    def test_verification_notices_a_difference(self, monkeypatch):
        model, x = small_lmu()
        engine = import_module("..engines", type(self.target).__module__).StockEngine
        real = engine.run

        def wrong(self, x, raster):
            result = real(self, x, raster)
            result.totals["lmu.h"][0, 3] += 1
            return result

        with self.target.deploy(model, x.shape[1]) as deployment:
            run = deployment.run(x)
            assert deployment.verifies
            deployment.verify(x[:2], run.take([0, 1]))
            monkeypatch.setattr(engine, "run", wrong)
            with pytest.raises(TargetError, match="another result than the stock engine"):
                deployment.verify(x[1:2], run.take([1]))

    def test_the_stock_engine_has_nothing_to_verify(self, monkeypatch):
        model, x = small_lmu()
        with self.target.deploy(model, x.shape[1], engine="stock") as deployment:
            assert not deployment.verifies
            run = deployment.run(x[:1])
            monkeypatch.setattr(type(deployment), "_engine", None)
            deployment.verify(x[:1], run)

    def test_unknown_engine(self):
        model, x = small_lmu()
        with pytest.raises(TargetError, match="auto, batched, stock"):
            self.target.deploy(model, x.shape[1], engine="steam")


class TestReference(TwoEngines):
    target = builtin("reference")

    def test_stacked_and_recurrent_cells_on_both_engines(self):
        for cell in ("feedforward", "recurrent"):
            model, x = small_lmu(cell=cell)
            with self.target.deploy(model, x.shape[1]) as deployment:
                deployment.verify(x, deployment.run(x))

    def test_spikes_are_those_of_the_definition(self):
        """Nengo and the NumPy definition agree in every spike and to 1e-9 in the output."""
        for neuron in ("relu", "lif"):
            model, x = small_lmu(neuron)
            counts = np.zeros((len(x), 20))

            def count(step, values, totals, model=model, counts=counts):
                unit = model.graph["lmu.h"]
                counts += np.rint(values["lmu.h"] / unit.spike_size(model.timing.dt))

            outputs = run_reference(model.graph, x, model.timing, observe=count)
            run = self.deploy_and_run(model, x)
            np.testing.assert_array_equal(run.spikes["lmu.h"], counts)
            np.testing.assert_allclose(run.outputs, outputs, atol=1e-9)


@pytest.mark.slow
class TestNengoDl(TargetContract):
    target = builtin("nengo-dl")
    # A fixed minibatch, so that a short batch is filled up in these tests.
    options = {"batch_size": 3}  # noqa: RUF012

    def test_unknown_device(self):
        model, x = small_lmu()
        with pytest.raises(TargetError, match="TensorFlow sees"):
            self.target.deploy(model, x.shape[1], device="/gpu:7")

    def test_rate_network_gives_the_same_logits(self):
        """A trained network in NengoDL and its graph compute the same, over time."""
        model = Model(build(LmuSpec(order=6, theta=15.0, units=10)), Timing(2, 3))
        x = np.random.default_rng(0).uniform(0, 1, (3, 15, 1))
        expected = run_reference(model.graph, x, model.timing)
        np.testing.assert_allclose(self.deploy_and_run(model, x).outputs, expected, atol=1e-5)


class TestLoihi(TwoEngines):
    target = builtin("loihi")
    # The chip's neurons forget what is left over at a spike: the interval is rounded up to
    # whole steps, which at 200 Hz turns 5 ms into 6 ms.
    relative = 0.18

    def test_refuses_rate_neurons(self):
        rate = Model(build(LmuSpec(order=4, units=5)))
        assert "relu neurons" in str(self.target.check(rate)[0])
        with pytest.raises(TargetError, match="relu neurons"):
            self.target.deploy(rate, 3)

    def test_without_quantisation_nothing_is_verified(self):
        """Both engines add in float32, each in its order."""
        model, x = small_lmu()
        with self.target.deploy(model, x.shape[1], arithmetic="real") as deployment:
            assert deployment.notes == ("engine: batched",)
            assert not deployment.verifies

    def test_says_what_ran_on_the_chip(self):
        model, x = small_lmu()
        with self.target.deploy(model, x.shape[1]) as deployment:
            assert deployment.placement["lmu.h"] == "chip emulator"
            assert deployment.placement["lmu.m"] == "host"


def test_presenter_holds_each_input_and_then_the_last():
    presenter = Presenter(Timing(2, 1), 2, 1)
    presenter.sample = np.array([[3.0], [4.0]])
    shown = [float(presenter(0.001 * step)[0]) for step in range(1, 8)]
    assert shown == [3, 3, 4, 4, 4, 4, 4]


def test_hold_keeps_the_memory_while_the_readout_settles():
    """In Nengo as in the definition the memory stays where it was at the last input."""
    from spiking_lmu.compat import import_nengo

    nengo = import_nengo()
    graph = build(LmuSpec(order=5, theta=10.0, units=3))
    timing, x = Timing(2, 6), np.random.default_rng(0).uniform(0, 1, (1, 7, 1))
    presenter = Presenter(timing, 7, 1)
    presenter.sample = x[0]
    built = build_network(graph, timing, 7, input_output=presenter)
    with built.network:
        probe = nengo.Probe(built.nodes["lmu.m"])
    with nengo.Simulator(built.network, progress_bar=False) as simulator:
        simulator.run_steps(timing.total_steps(7), progress_bar=False)
    seen = []
    run_reference(
        graph, x, timing, observe=lambda step, values, totals: seen.append(values["lmu.m"][0])
    )
    np.testing.assert_allclose(simulator.data[probe], seen, atol=1e-12)
    np.testing.assert_array_equal(seen[-7], seen[-1])


def entry(name, value):
    return EntryPoint(name, value, registry.GROUP)


def test_a_broken_target_stops_no_other(monkeypatch):
    broken = entry("broken", "spiking_lmu.no_such_module:TARGET")
    real = importlib.import_module("importlib.metadata").entry_points(group=registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: (broken, *real))
    found = {found.name: found for found in registry.find_targets()}
    assert "no_such_module" in found["broken"].unusable
    assert found["reference"].unusable == ""
    with pytest.raises(TargetError, match="no_such_module"):
        registry.get_target("broken")


def test_unknown_and_missing_targets(monkeypatch):
    with pytest.raises(TargetError, match="one of reference, nengo-dl, loihi"):
        registry.get_target("spinnaker")
    monkeypatch.setattr(target, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match=r"pip install 'spiking-lmu\[loihi\]'"):
        registry.get_target("loihi")


def test_pairs_of_lif_neurons_are_built_without_a_warning():
    """Nengo warns about rates that their gains never reach; here a warning is an error."""
    model = load_model("psmnist-rec-tanh")
    spiking = convert(model, Options(neuron="lif", steps_per_input=1, settle_steps=0))
    with registry.get_target("reference").deploy(spiking, 1) as deployment:
        assert deployment.run(np.zeros((1, 1, 1))).outputs.shape == (1, 1, 10)

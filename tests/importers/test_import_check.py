"""An import compares itself with NengoDL, and says which population differs."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from spiking_lmu.errors import ImportNetworkError, ImportNetworkWarning
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing
from spiking_lmu.importers import from_nengo_dl
from spiking_lmu.importers.nengo_dl import importer

from ..helpers import networks, parameter_networks


def spoil(monkeypatch, name):
    """Let every import get one population wrong."""
    build = importer.build_graph

    def wrong(*args, **options):
        graph = build(*args, **options)
        return graph.with_populations(
            [
                p if p.name != name else type(p)(p.name, p.size, p.neuron, p.gain, p.bias + 0.1)
                for p in graph.populations
            ]
        )

    monkeypatch.setattr(importer, "build_graph", wrong)


def test_the_first_population_that_differs_is_named(monkeypatch, tmp_path):
    network = networks.lmu(units=4, order=3, theta=6.0, cells=2)
    with networks.simulate(network, minibatch_size=2) as simulator:
        simulator.save_params(tmp_path / "params")
        spoil(monkeypatch, "lmu.h")
        probes, seed = list(network.all_probes), network.seed
        with pytest.raises(ImportNetworkError, match=r"population lmu\.h of the imported graph"):
            from_nengo_dl(network, simulator)
        assert (list(network.all_probes), network.seed) == (probes, seed)
        assert from_nengo_dl(network, simulator, check=False)["lmu.h"].bias.any()
    with pytest.raises(ImportNetworkError, match=r"lmu\.h .* away from NengoDL's"):
        from_nengo_dl(network, tmp_path / "params.npz")


def test_a_simulator_keeps_its_state_and_the_check_starts_from_rest():
    network = networks.lmu(units=4, order=3, theta=6.0)
    network.config[type(network)].stateful = True
    with networks.simulate(network, minibatch_size=2) as simulator:
        x = np.random.default_rng(0).normal(size=(2, 7, 1))
        simulator.run_steps(7, data={network.all_nodes[0]: x}, progress_bar=False)
        before = [v.numpy() for v in simulator.tensor_graph.saved_state.values()]
        assert any(np.abs(value).max() > 0.1 for value in before[:-1])
        from_nengo_dl(network, simulator)
        for old, variable in zip(before, simulator.tensor_graph.saved_state.values(), strict=True):
            np.testing.assert_array_equal(old, variable.numpy())
        assert simulator.n_steps == 7


def test_a_simulator_can_go_on_training_after_an_import():
    network = filtered_network()
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    y = np.random.default_rng(1).normal(size=(2, 5, 3))
    with networks.simulate(network, minibatch_size=2) as simulator:
        first = from_nengo_dl(network, simulator)
        simulator.compile(optimizer="sgd", loss="mse")
        simulator.fit(x, y, epochs=2, verbose=0)
        second = from_nengo_dl(network, simulator)
        want = simulator.predict(x, verbose=0)[network.probe]
        read_out = next(c for c in network.all_connections if c.post_obj is network.out)
        weights = {p.name: p.weights for p in second.projections}["h_to_out"]
        np.testing.assert_array_equal(simulator.data[read_out].weights, weights)
    np.testing.assert_allclose(run_reference(second, x), want, atol=1e-6)
    assert np.abs(run_reference(first, x) - want).max() > 1e-5


def filtered_network(output_synapse=0.02):
    """Lowpass synapses in seconds: what they do depends on the simulator's dt."""
    from spiking_lmu.compat import import_nengo, import_nengo_dl

    nengo_dl, nengo = import_nengo_dl(), import_nengo()
    with nengo.Network(seed=0) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False)
        inp = nengo.Node(np.zeros(2))
        h = nengo.Ensemble(
            6, 1, neuron_type=nengo.RectifiedLinear(), gain=np.ones(6), bias=np.zeros(6), label="h"
        )
        glorot = nengo_dl.dists.Glorot()
        nengo.Connection(inp, h.neurons, transform=glorot, synapse=0.05)
        nengo.Connection(h.neurons, h.neurons, transform=glorot, synapse=0.01)
        network.out = nengo.Node(size_in=3)
        nengo.Connection(h.neurons, network.out, transform=glorot, synapse=output_synapse)
        network.probe = nengo.Probe(network.out)
    return network


def test_dt_is_the_simulators(tmp_path):
    network = filtered_network()
    x = np.random.default_rng(0).normal(size=(2, 9, 2))
    with networks.simulate(network, dt=0.01, minibatch_size=2) as simulator:
        graph = from_nengo_dl(network, simulator)
        want = simulator.predict(x, verbose=0)[network.probe]
        simulator.save_params(tmp_path / "params")
        with pytest.raises(ImportNetworkError, match=r"dt: got 0\.002 s, expected .* 0\.01 s"):
            from_nengo_dl(network, simulator, dt=0.002)
    np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-6)
    assert Model(graph).timing == Timing(dt=0.01)
    again = from_nengo_dl(network, tmp_path / "params.npz", dt=0.01)
    np.testing.assert_allclose(run_reference(again, x), want, atol=1e-6)
    other = from_nengo_dl(network, tmp_path / "params.npz")
    assert np.abs(run_reference(other, x) - want).max() > 0.1 * np.abs(want).max()


def test_filters_move_once_a_presentation():
    """However long inputs are shown, the end of each presentation is what NengoDL gives."""
    network = filtered_network()
    x = np.random.default_rng(1).normal(size=(2, 9, 2))
    with networks.simulate(network, minibatch_size=2) as simulator:
        graph = from_nengo_dl(network, simulator)
        want = simulator.predict(x, verbose=0)[network.probe]
    for timing in (Timing(), Timing(5, 7), Timing(20, 3, dt=0.004)):
        got = run_reference(graph, x, timing)[:, timing.presentation_ends(9)]
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_a_converters_scale_is_warned_of(tmp_path):
    one, hundred = (parameter_networks.converted(scale=s) for s in (1.0, 100.0))
    with networks.simulate(one.net) as simulator:
        rng = np.random.default_rng(0)
        for variable in simulator.keras_model.trainable_weights:
            variable.assign(variable.numpy() * rng.uniform(0.8, 1.2, variable.shape))
        simulator.save_params(tmp_path / "one")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_nengo_dl(one, tmp_path / "one.npz")
    with pytest.warns(ImportNetworkWarning) as caught:
        from_nengo_dl(hundred, tmp_path / "one.npz")
    told = " ".join(str(w.message) for w in caught)
    assert "scale_firing_rates (hidden 100), but not their biases" in told
    assert re.search(
        r"probably saved with scale_firing_rates=[01]\.?\d? where the network has 100", told
    )


def test_a_converter_needs_no_hint():
    converter = parameter_networks.converted(scale=2.0)
    node = converter.inputs[converter.model.inputs[0]]
    probe = converter.outputs[converter.model.outputs[0]]
    x = np.random.default_rng(0).normal(size=(3, 1, node.size_out))
    with networks.simulate(converter.net, minibatch_size=3) as simulator:
        want = simulator.predict({node: x}, verbose=0)[probe]
        for network in (converter, converter.net):
            graph = from_nengo_dl(network, simulator)
            np.testing.assert_allclose(run_reference(graph, x), want, atol=1e-5)

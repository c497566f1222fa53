"""A graph imported from NengoDL computes what NengoDL computes."""

from __future__ import annotations

import contextlib
import functools
from types import SimpleNamespace

import numpy as np
import pytest

from spiking_lmu.errors import ImportNetworkError
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.importers import from_nengo_dl

from ..helpers import networks

#: Builders, with options: spikes where NengoDL's own are to be met one by one.
BUILDERS = {
    "lmu": (networks.lmu, {}),
    "two_cells": (
        functools.partial(networks.lmu, units=5, order=4, theta=8.0, input_d=2, cells=2),
        {},
    ),
    "layers": (networks.layers, {"spiking": True}),
    "neurons": (networks.neurons, {"input": "stimulus", "spiking": True}),
    "nef": (networks.nef, {}),
}
TRAINED = ("lmu", "layers")


def disturb(simulator, seed, amount=0.1):
    """Move every trainable variable, as training would."""
    rng = np.random.default_rng(seed)
    for variable in simulator.keras_model.trainable_weights:
        variable.assign(variable.numpy() + amount * rng.normal(size=variable.shape))


def train(simulator, x, probe, seed):
    """Two steps of gradient descent towards random targets."""
    import tensorflow as tf

    size = probe.size_in
    targets = np.random.default_rng(seed).normal(size=(*x.shape[:2], size))
    simulator.compile(optimizer=tf.keras.optimizers.legacy.SGD(0.05), loss={probe: "mse"})
    before = [w.numpy() for w in simulator.keras_model.trainable_weights]
    simulator.fit(x, {probe: targets}, epochs=2, verbose=0)
    after = [w.numpy() for w in simulator.keras_model.trainable_weights]
    assert any(np.abs(b - a).max() > 1e-4 for b, a in zip(before, after, strict=True))


def make_case(name, folder, stack):
    """A trained network: its simulator, its data, what it puts out, its saved parameters."""
    build, options = BUILDERS[name]
    network = build()
    simulator = stack.enter_context(networks.simulate(network, minibatch_size=3))
    size = network.all_nodes[0].size_out
    x = np.random.default_rng(5).normal(size=(3, 25, size))
    data = {network.all_nodes[0]: x}
    if name == "neurons":
        data[network.offset] = np.tile(network.offset.output, (3, 25, 1))
    disturb(simulator, seed=6, amount=0.001 if name == "nef" else 0.1)
    if name in TRAINED:
        train(simulator, x, network.probe, seed=7)
    y = simulator.predict(data, verbose=0)[network.probe]
    path = folder / name
    simulator.save_params(path)
    graph = from_nengo_dl(network, simulator, **options)
    return SimpleNamespace(
        network=network, simulator=simulator, x=x, y=y, path=path, graph=graph, options=options
    )


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Makes a case by name, each once; closes the simulators at the end."""
    folder = tmp_path_factory.mktemp("params")
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda name: make_case(name, folder, stack))


@pytest.fixture(params=BUILDERS)
def trained(request, case):
    return case(request.param)


def test_graph_of_live_simulator_gives_its_outputs(trained):
    assert 0.1 < np.abs(trained.y).max() < 50
    np.testing.assert_allclose(run_reference(trained.graph, trained.x), trained.y, atol=1e-5)


def test_graph_of_saved_parameters_is_the_same(trained):
    graph = from_nengo_dl(trained.network, trained.path, **trained.options)
    assert [p.name for p in graph.populations] == [p.name for p in trained.graph.populations]
    np.testing.assert_allclose(run_reference(graph, trained.x), trained.y, atol=1e-5)


def test_import_from_a_file_leaves_the_live_simulator_alone(case):
    layers = case("layers")
    functions = [getattr(node, "tensor_func", None) for node in layers.network.all_nodes]
    before = layers.simulator.keras_model.get_weights()
    zeros = [np.zeros_like(array) for array in before]
    assert not from_nengo_dl(layers.network, zeros)["readout"].bias.any()
    assert functions == [getattr(node, "tensor_func", None) for node in layers.network.all_nodes]
    for old, new in zip(before, layers.simulator.keras_model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert from_nengo_dl(layers.network, layers.simulator)["readout"].bias.any()


def test_names_and_delays_of_the_lmu(case):
    graph = case("lmu").graph
    assert {p.name: (p.size, p.neuron.kind) for p in graph.populations} == {
        "input": (1, "linear"),
        "lmu.x": (1, "linear"),
        "lmu.u": (1, "linear"),
        "lmu.m": (8, "linear"),
        "lmu.h": (12, "tanh"),
        "readout": (3, "linear"),
    }
    links = {p.name: (p.delay, p.trainable) for p in graph.projections}
    assert links == {
        "input_to_x": (0, False),
        "lmu.x_to_u": (0, True),
        "lmu.u_to_m": (0, False),
        "lmu.m_to_m": (1, False),
        "lmu.x_to_h": (0, True),
        "lmu.h_to_h": (1, True),
        "lmu.m_to_h": (0, True),
        "lmu.h_to_readout": (0, True),
    }
    assert (graph.input, graph.output) == ("input", "readout")


def test_memory_is_the_legendre_memory(case):
    from spiking_lmu.graph.lmu import memory_matrices

    links = {p.name: p.weights for p in case("lmu").graph.projections}
    a, b = memory_matrices(8, 20.0)
    np.testing.assert_allclose(links["lmu.m_to_m"], a, atol=1e-7)
    np.testing.assert_allclose(links["lmu.u_to_m"], b, atol=1e-7)


def test_second_cell_has_its_own_name(case):
    names = {p.name for p in case("two_cells").graph.populations}
    assert {"lmu.h", "lmu2.h", "lmu2.m"} <= names


def test_network_without_history_imports_from_the_same_file(case):
    lmu = case("lmu")
    network = networks.lmu(keep_history=False)
    graph = from_nengo_dl(network, f"{lmu.path}.npz")
    out = run_reference(graph, lmu.x)
    np.testing.assert_allclose(out[:, -1:], lmu.y[:, -1:], atol=1e-5)


def test_layers_without_effect_are_folded(case):
    graph = case("layers").graph
    assert [(p.name, p.neuron.kind) for p in graph.populations] == [
        ("input", "linear"),
        ("dense1", "tanh"),
        ("hidden", "relu"),
        ("activation1", "sigmoid"),
        ("readout", "linear"),
        ("lif1", "lif"),
    ]
    # The bias of the folded Dense layer arrives at the neurons times their gain.
    assert np.ptp(graph["lif1"].bias) > 0.01


def test_what_only_watches_is_left_out(case):
    names = {p.name for p in case("neurons").graph.populations}
    assert "out" in names
    assert "lost" not in names


def test_constants_of_neurons_are_kept(case):
    graph = case("neurons").graph
    assert graph["sigmoid"].neuron.amplitude == pytest.approx(2.0)
    assert graph["tanh"].neuron.amplitude == pytest.approx(0.5)
    assert graph["soft"].neuron.sigma == pytest.approx(0.3)
    assert (graph["lif"].neuron.tau_rc, graph["lif"].neuron.tau_ref) == (0.03, 0.004)
    assert graph["offset"].bias.tolist() == [0.5, -1.0]
    assert {p.tau for p in graph.projections if p.tau} == {0.004, 0.01}


def test_output_can_be_an_object_a_probe_or_a_name(case):
    neurons = case("neurons")
    for output in ("relu", neurons.network.relu.neurons):
        graph = from_nengo_dl(
            neurons.network, neurons.simulator, input=neurons.network.stimulus, output=output
        )
        assert graph.output == "relu"
    layers = case("layers")
    for output in (layers.network.probe, "out", None):
        graph = from_nengo_dl(layers.network, layers.simulator, output=output, spiking=True)
        np.testing.assert_array_equal(
            run_reference(graph, layers.x), run_reference(layers.graph, layers.x)
        )


def test_a_filtered_probe_is_the_output_where_it_is_named(case):
    layers = case("layers")
    graph = from_nengo_dl(layers.network, layers.simulator, output="filtered", spiking=True)
    filtered = next(p for p in layers.network.all_probes if p.label == "filtered")
    want = layers.simulator.predict({layers.network.all_nodes[0]: layers.x}, verbose=0)[filtered]
    np.testing.assert_allclose(run_reference(graph, layers.x), want, atol=1e-5)


def test_ambiguous_or_wrong_ends_are_refused(case):
    neurons = case("neurons")
    network, simulator = neurons.network, neurons.simulator
    with pytest.raises(ImportNetworkError, match="2 Nodes that could be it: stimulus, offset"):
        from_nengo_dl(network, simulator)
    with pytest.raises(
        ImportNetworkError, match=r"no Node named 'stimuls' .*one of: stimulus, offset"
    ):
        from_nengo_dl(network, simulator, input="stimuls")
    with pytest.raises(ImportNetworkError, match=r"out .give a Node without incoming"):
        from_nengo_dl(network, simulator, input="out")
    with pytest.raises(ImportNetworkError, match="no probe or object named"):
        from_nengo_dl(network, simulator, input="stimulus", output="readout")
    with pytest.raises(ImportNetworkError, match="an object outside the network"):
        from_nengo_dl(network, simulator, input="stimulus", output=case("lmu").network.probe)
    with pytest.raises(ImportNetworkError, match="does not lead to the output"):
        from_nengo_dl(network, simulator, input="offset", output="spikes")
    with pytest.raises(ImportNetworkError, match="decoded output needs a probe"):
        from_nengo_dl(network, simulator, input="stimulus", output=network.relu)


def test_wrong_simulators_are_refused(case):
    lmu = case("lmu")
    other = networks.lmu(units=2, order=2)
    with pytest.raises(ImportNetworkError, match="a simulator of another network"):
        from_nengo_dl(other, lmu.simulator)
    with networks.simulate(other) as closed:
        pass
    with pytest.raises(ImportNetworkError, match="closed"):
        from_nengo_dl(other, closed)
    with pytest.raises(ImportNetworkError, match=r"got Network.*list of arrays"):
        from_nengo_dl(lmu.network, other)
    with pytest.raises(ImportNetworkError, match=r"expected a nengo\.Network"):
        from_nengo_dl(lmu.simulator, lmu.network)

"""Parameters by name in NengoDL: what NengoDL's own simulators and files hold."""

from __future__ import annotations

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo
from spiking_lmu.importers import from_nengo_dl, parameters
from spiking_lmu.importers.parameters.naming import NetworkNames

from ..helpers import networks, parameter_networks
from ..helpers.parameter_simulators import numbered, numbered_layers, saved, small_lmu


@pytest.fixture(scope="module")
def lmu(tmp_path_factory):
    with small_lmu(tmp_path_factory.mktemp("lmu")) as found:
        yield found


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    with numbered_layers(tmp_path_factory.mktemp("three")) as found:
        yield found


def test_the_lmus_weights_have_names_and_are_nengo_dls(lmu):
    network, simulator, _ = lmu
    found = parameters.from_simulator(simulator)
    assert set(found) == {
        "lmu.x_to_u",
        "lmu.x_to_h",
        "lmu.h_to_h",
        "lmu.m_to_h",
        "lmu.m_to_m",
        "lmu.u_to_m",
        "readout",
    }
    (cell,) = network.networks
    by_ends = {(c.pre_obj, c.post_obj): c for c in network.all_connections}
    for name, pre, post in [
        ("lmu.h_to_h", cell.h, cell.h),
        ("lmu.m_to_h", cell.m, cell.h),
        ("lmu.m_to_m", cell.m, cell.m),
        ("readout", cell.h, network.probe.target),
    ]:
        weights = simulator.data[by_ends[pre, post]].weights
        np.testing.assert_array_equal(found[name].value, weights)
        assert not found[name].value.flags.writeable
    assert found["lmu.h_to_h"].connects == "lmu.h → lmu.h"
    assert [n for n, p in found.items() if not p.trainable] == ["lmu.m_to_m", "lmu.u_to_m"]


def test_a_label_names_the_cell_and_probes_do_not_rename_the_readout():
    nengo = import_nengo()
    with nengo.Network(seed=0) as network:
        source = nengo.Node(np.zeros(1))
        cell = networks.lmu_cell_class()(3, 2, 4.0, 1, label="my cell")
        nengo.Connection(source, cell.x, synapse=None)
        out = nengo.Node(size_in=2)
        nengo.Connection(cell.h, out, transform=np.ones((2, 3)), synapse=None)
        nengo.Connection(nengo.Node([1.0]), out, transform=np.ones((2, 1)), synapse=None)
        nengo.Probe(out)
        nengo.Probe(cell.m)
        nengo.Probe(cell.h)
    names = NetworkNames(network)
    found = {names.connection(c) for c in network.all_connections}
    assert {"my_cell.h_to_h", "my_cell.m_to_h", "readout"} <= found


def test_names_are_those_of_the_imported_graph(lmu):
    network, simulator, _ = lmu
    graph = from_nengo_dl(network, simulator)
    imported = parameters.from_graph(graph)
    for name, parameter in parameters.from_simulator(simulator).items():
        np.testing.assert_array_equal(imported[name].value, parameter.value)
        assert imported[name].trainable == parameter.trainable
    assert set(imported) - set(parameters.from_simulator(simulator)) == {
        "lmu.h.bias",
        "lmu.h.gain",
    }


def test_the_file_of_784_pixels(tmp_path):
    network = parameter_networks.pixels()
    with networks.simulate(network) as simulator:
        values = numbered(simulator)
        file = saved(simulator, tmp_path / "pixels")
        found = parameters.from_simulator(simulator)
        # NengoDL's own word for the first array: the biases of the neurons
        biases = simulator.data[network.all_ensembles[0]].bias
    assert {key: array.shape for key, array in file.items()} == {
        "arr_0": (3136,),
        "arr_1": (1, 4),
        "arr_2": (4,),
        "arr_3": (3136, 4),
        "arr_4": (4,),
    }
    names = ["lif1.bias", "dense1.kernel", "dense1.bias", "readout.kernel", "readout.bias"]
    for key, name in zip(file, names, strict=True):
        assert str(found[name].place) == key
        np.testing.assert_array_equal(file[key], values[name])
    np.testing.assert_array_equal(file["arr_0"], biases)
    assert found["lif1.bias"].description.startswith(
        "one input weight for each of the 3,136 LIF neurons"
    )
    for name in names[1:3]:
        assert "applied to each of the 784 positions" in found[name].description
    assert "positions" not in found["readout.kernel"].description
    assert found["lif1.gain"].place is None


def test_seven_biases_are_split_by_layer(three):
    network, simulator, values, file, _ = three
    found = parameters.from_simulator(simulator)
    assert file["arr_0"].shape == (7,)
    rows = []
    for number, ensemble in enumerate(network.layer_list, 1):
        parameter = found[f"lif{number}.bias"]
        ((start, stop),) = parameter.place.rows
        rows.append((start, stop))
        np.testing.assert_array_equal(file["arr_0"][start:stop], simulator.data[ensemble].bias)
        np.testing.assert_array_equal(file["arr_0"][start:stop], values[f"lif{number}.bias"])
    assert [stop - start for start, stop in rows] == [2, 2, 3]
    # NengoDL orders them for its execution: the third layer comes first.
    assert rows == [(3, 5), (5, 7), (0, 3)]


BUILDERS = [
    networks.layers,
    networks.neurons,
    networks.nef,
    networks.refused,
    parameter_networks.learning,
    lambda: parameter_networks.converted().net,
]


@pytest.mark.parametrize("build", BUILDERS)
def test_every_number_in_the_file_has_one_name(build, tmp_path):
    network = build()
    with networks.simulate(network, minibatch_size=2) as simulator:
        values = numbered(simulator)
        file = saved(simulator, tmp_path / "params")
        found = parameters.from_simulator(simulator)
        for connection in network.all_connections:
            # what NengoDL says of a connection is somewhere under one name
            weights = simulator.data[connection].weights if connection.has_weights else None
            if isinstance(weights, np.ndarray) and weights.size > 1:
                assert any(
                    np.array_equal(p.value.reshape(-1)[: weights.size], weights.reshape(-1))
                    for p in found.values()
                ), connection
    numbers = np.concatenate([array.ravel() for array in file.values()])
    assert sorted(numbers) == list(range(1, numbers.size + 1))
    for name, value in values.items():
        place = found[name].place
        np.testing.assert_array_equal(place.take(file[f"arr_{place.array}"], value.shape), value)


def test_a_converters_names_do_not_depend_on_earlier_layers():
    names = []
    for _ in range(2):  # Keras counts on: dense, dense_1, and so on
        network = parameter_networks.converted().net
        found = NetworkNames(network)
        names.append([found.connection(c) for c in network.all_connections])
        assert [found.part(e) for e in network.all_ensembles] == ["conv2d1", "hidden"]
    assert names[0] == names[1]
    assert "input_to_conv2d1" in names[0]

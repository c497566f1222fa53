"""Parameters by name in NengoDL: what NengoDL's own simulators and files hold."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from spiking_lmu import artifact
from spiking_lmu.errors import FileError, ImportNetworkError, MissingExtraError, SpecError
from spiking_lmu.model import Model

try:
    from spiking_lmu.compat import import_nengo_dl

    import_nengo_dl()
except MissingExtraError:
    pytest.skip("NengoDL is not installed", allow_module_level=True)

from spiking_lmu import parameters
from spiking_lmu.cli import main
from spiking_lmu.importers import from_nengo_dl
from spiking_lmu.parameters.layout import contents
from spiking_lmu.parameters.mismatch import explain
from spiking_lmu.parameters.naming import NetworkNames
from spiking_lmu.parameters.source import open_source
from tests import networks, parameter_networks


def numbered(simulator):
    """Give every number in the simulator's variables another value, by name; return them."""
    values, start = {}, 1
    for name, parameter in parameters.from_simulator(simulator).items():
        if parameter.place is not None:
            size = parameter.value.size
            values[name] = np.arange(start, start + size, dtype="<f4").reshape(
                parameter.value.shape
            )
            start += size
    parameters.assign(simulator, values)
    return values


def saved(simulator, path):
    """The arrays of a file that NengoDL writes, by its own keys."""
    simulator.save_params(path)
    with np.load(f"{path}.npz") as file:
        return dict(file)


def saved_arrays(path):
    with np.load(path) as file:
        return list(file.values())


@pytest.fixture(scope="module")
def lmu(tmp_path_factory):
    """The LMU of NengoDL's example, small; an open simulator of it and its file."""
    network = networks.lmu(units=5, order=4, theta=6.0)
    path = tmp_path_factory.mktemp("lmu") / "params"
    with networks.simulate(network, minibatch_size=2) as simulator:
        simulator.save_params(path)
        yield network, simulator, path.with_suffix(".npz")


def test_the_lmus_weights_have_names_and_are_nengo_dls(lmu):
    network, simulator, _ = lmu
    found = parameters.from_simulator(simulator)
    assert set(found) == {
        "lmu.x_to_u", "lmu.x_to_h", "lmu.h_to_h", "lmu.m_to_h", "lmu.m_to_m", "lmu.u_to_m",
        "readout",
    }  # fmt: skip
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
    nengo = pytest.importorskip("nengo")
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
        "lmu.h.bias", "lmu.h.gain",
    }  # fmt: skip


def test_the_file_of_784_pixels(tmp_path):
    network = parameter_networks.pixels()
    with networks.simulate(network) as simulator:
        values = numbered(simulator)
        file = saved(simulator, tmp_path / "pixels")
        found = parameters.from_simulator(simulator)
        # NengoDL's own word for the first array: the biases of the neurons
        biases = simulator.data[network.all_ensembles[0]].bias
    assert {key: array.shape for key, array in file.items()} == {
        "arr_0": (3136,), "arr_1": (1, 4), "arr_2": (4,), "arr_3": (3136, 4), "arr_4": (4,),
    }  # fmt: skip
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


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The network of three neuron layers, numbered; an open simulator, values and file."""
    network = parameter_networks.three_layers()
    folder = tmp_path_factory.mktemp("three")
    with networks.simulate(network) as simulator:
        values = numbered(simulator)
        file = saved(simulator, folder / "params")
        simulator.save_params(folder / "state", include_state=True)
        yield network, simulator, values, file, folder


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


def test_another_scale_of_the_converter_is_noticed(tmp_path):
    network = parameter_networks.converted(scale=5.0).net
    with networks.simulate(network) as simulator:
        file = saved(simulator, tmp_path / "five")
    np.testing.assert_allclose(file["arr_3"], [0.5, -1.0, 1.5, 2.5], rtol=1e-6)
    path = tmp_path / "five.npz"
    (note,) = open_source(path, network).notes
    assert "scale_firing_rates (hidden 5)" in note
    *_, note = open_source(path, parameter_networks.converted(scale=20.0).net).notes
    assert "hidden.bias is 0.25 times" in note
    assert "saved with scale_firing_rates=5 where the network has 20" in note


def test_values_come_back_bit_for_bit(three, tmp_path):
    network, simulator, _, file, folder = three
    rng = np.random.default_rng(0)
    exact = {
        name: rng.normal(size=p.value.shape).astype("<f4")
        for name, p in parameters.from_simulator(simulator).items()
        if p.place is not None
    }
    parameters.assign(simulator, exact)
    parameters.save(parameters.from_simulator(simulator), tmp_path / "named.npz")
    read = parameters.load(tmp_path / "named.npz")
    parameters.assign(simulator, {name: np.zeros(v.shape) for name, v in exact.items()})
    assert not any(w.numpy().any() for w in simulator.keras_model.weights)
    parameters.assign(simulator, read)  # gains are in there too, and are the network's
    for name, parameter in parameters.from_simulator(simulator).items():
        assert parameter.value.dtype == read[name].value.dtype == np.float32
        if parameter.place is not None:
            assert parameter.value.tobytes() == exact[name].tobytes()
    # a file that NengoDL loads, whole and in part
    parameters.save_params(network, exact, tmp_path / "whole.npz")
    simulator.load_params(tmp_path / "whole")
    assert all(
        np.array_equal(exact[name], p.value)
        for name, p in parameters.from_simulator(simulator).items()
        if p.place is not None
    )
    part = {"lif2.bias": np.array([7.5, -8.5])}
    parameters.save_params(network, part, tmp_path / "part", base=folder / "params.npz")
    with np.load(tmp_path / "part.npz") as changed:
        assert changed["arr_0"].tolist() == [*file["arr_0"][:5], 7.5, -8.5]
        for key in list(file)[1:]:
            np.testing.assert_array_equal(changed[key], file[key])
    with pytest.raises(SpecError, match=r"no value for .*\(10 of 11\)"):
        parameters.save_params(network, part, tmp_path / "never")
    assert not (tmp_path / "never.npz").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lif9.bias": np.ones(2)}, r"the name 'lif9\.bias', expected .* such as lif"),
        ({"lif1.bias": np.ones(3)}, r"shape \(3,\), expected shape \(2,\)"),
        ({"dense3.kernel": np.ones((3, 2))}, "transposed it fits"),
        ({"lif1.bias": [np.nan, 1.0]}, "1 numbers that are NaN"),
        ({"lif1.bias": ["a", "b"]}, "real numbers"),
        ({"lif1.gain": np.ones(2)}, "a new value for a constant"),
    ],
)
def test_values_that_do_not_fit_change_nothing(three, values, message):
    _, simulator, _, _, _ = three
    before = [w.numpy() for w in simulator.keras_model.weights]
    with pytest.raises(SpecError, match=message):
        parameters.assign(simulator, {"lif2.bias": np.zeros(2), **values})
    for old, variable in zip(before, simulator.keras_model.weights, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_files_of_other_networks_are_explained(three, lmu):
    network, simulator, _, file, folder = three
    other = parameter_networks.three_layers((1, 2, 5))
    with pytest.raises(FileError) as caught:
        parameters.from_file(other, folder / "params.npz")
    told = str(caught.value)
    assert "params.npz: arr_0 (lif3.bias, lif1.bias, lif2.bias): got shape (7,)" in told
    assert "expected shape (9,)" in told
    assert "another number of units or inputs: 7 where the network has 9, 3 where" in told
    with pytest.raises(FileError, match="include_state=False"):
        parameters.from_file(network, folder / "state.npz")
    # the same explanation without building more simulators
    arrays, expected = [array.shape for array in file.values()], contents(simulator)

    def why(shapes, expected=expected):
        found = explain(shapes, expected, 2)
        return found.position, f"{found.got} {found.expected} {found.fix}"

    assert explain(arrays, expected, 2) is None
    assert (
        "nothing in the network fits arr_8 (4,): probably a layer or a bias"
        in (why(arrays, expected[:-1])[1])
    )
    assert "nothing in the file fits readout.bias (4,)" in why(arrays[:-1])[1]
    swapped = [arrays[0], arrays[2], arrays[1], *arrays[3:]]
    assert why(swapped)[0] == 1
    assert "the same shapes in another order" in why(swapped)[1]
    position, told = why([*arrays[:7], (4, 3), (4,)])
    assert (position, expected[position].label) == (7, "readout.kernel")
    assert "(4, 3) shape (3, 4) the same shape the other way round: probably trans" in told
    assert "a file of another network" in why([a.shape for a in saved_arrays(lmu[2])])[1]


def test_a_minibatch_of_another_size_is_explained(tmp_path):
    network = parameter_networks.learning()
    with networks.simulate(network, minibatch_size=3) as simulator:
        simulator.save_params(tmp_path / "three")
    with pytest.raises(FileError, match=r"\(pre_to_post\).*saved with minibatch_size=3"):
        parameters.from_file(network, tmp_path / "three.npz")


def test_a_closed_simulator_is_refused():
    with networks.simulate(networks.lmu(units=2, order=2, theta=3.0)) as simulator:
        pass
    with pytest.raises(ImportNetworkError, match="a closed one"):
        parameters.from_simulator(simulator)


@pytest.fixture
def folder(lmu, tmp_path, monkeypatch):
    """A working folder with the LMU's file and a module that makes its network."""
    (tmp_path / "mine.py").write_text(
        "from tests import networks\n"
        "def small():\n    return networks.lmu(units=5, order=4, theta=6.0)\n"
        "def nothing():\n    return 1\n"
    )
    (tmp_path / "params.npz").write_bytes(lmu[2].read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    yield tmp_path
    sys.modules.pop("mine", None)


def test_inspect_names_the_arrays(folder, lmu, capsys):
    assert main(["inspect", "params.npz", "--network", "mine:small"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"arr_\d .*\(5, 4\) .*lmu\.m_to_h", shown)
    assert re.search(r"lmu\.m_to_m .*lmu\.m → lmu\.m .*fixed", shown)
    assert main(["inspect", "params.npz", "--network", "mine:small", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in told["parameters"]}
    live = parameters.from_simulator(lmu[1])
    assert set(rows) == set(live)
    weights = live["lmu.m_to_h"].value.astype(float)
    row = rows["lmu.m_to_h"]
    assert (row["from"], row["to"], row["shape"]) == ("lmu.m", "lmu.h", [5, 4])
    assert row["smallest"] == weights.min()
    assert row["std"] == pytest.approx(weights.std(), rel=1e-12)
    assert sum(row["histogram"]) == 20
    assert row["not_finite"] == 0


def test_export_and_apply_round_trip(folder, lmu, capsys):
    network = ["--network", "mine:small"]
    assert main(["export", "params.npz", *network, "-o", "w.npz", "--csv", "sheets"]) == 0
    assert main(["apply", "w.npz", *network, "-o", "again.npz"]) == 0
    with np.load("params.npz") as one, np.load("again.npz") as other:
        assert one.files == other.files
        assert all(one[key].tobytes() == other[key].tobytes() for key in one.files)
    # and into the model that was imported from the same network
    artifact.save(Model(from_nengo_dl(lmu[0], lmu[1])), "model.slmu")
    assert main(["apply", "w.npz", "--to", "model.slmu", "-o", "same.slmu"]) == 0
    assert (folder / "same.slmu").read_bytes() == (folder / "model.slmu").read_bytes()
    assert "7 parameters" in capsys.readouterr().out


BAD = {
    "no names": (["export", "params.npz", "-o", "w.npz"], "--network"),
    "nowhere to write": (["export", "params.npz"], "nowhere to write"),
    "another ending": (
        ["export", "params.npz", "--network", "mine:small", "-o", "w.txt"],
        "ends in .npz",
    ),
    "no network": (["inspect", "params.npz", "--network", "mine:nothing"], "returns int"),
    "not an export": (["apply", "params.npz", "--to", "x", "-o", "y"], "without parameters.json"),
    "a folder": (["inspect", "sub.npz"], "a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line(folder, capsys, case):
    arguments, message = BAD[case]
    (folder / "sub.npz").mkdir()
    before = sorted(folder.iterdir())
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert [p for p in sorted(folder.iterdir()) if p.name != "__pycache__"] == before

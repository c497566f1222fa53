"""Values for named parameters: taken bit for bit, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from spiking_lmu.errors import FileError, ImportNetworkError, SpecError
from spiking_lmu.importers import parameters
from spiking_lmu.importers.parameters.layout import contents
from spiking_lmu.importers.parameters.mismatch import explain
from spiking_lmu.importers.parameters.source import open_source

from ..helpers import networks, parameter_networks
from ..helpers.parameter_simulators import numbered_layers, saved, saved_arrays, small_lmu


@pytest.fixture(scope="module")
def lmu(tmp_path_factory):
    with small_lmu(tmp_path_factory.mktemp("lmu")) as found:
        yield found


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    with numbered_layers(tmp_path_factory.mktemp("three")) as found:
        yield found


def test_another_scale_of_the_converter_is_noticed(tmp_path):
    network = parameter_networks.converted(scale=5.0).net
    with networks.simulate(network) as simulator:
        file = saved(simulator, tmp_path / "five")
    np.testing.assert_allclose(file["arr_3"], [0.5, -1.0, 1.5, 2.5], rtol=1e-6)
    path = tmp_path / "five.npz"
    (note,) = open_source(path, network).notes
    assert "scale_firing_rates (hidden 5)" in note
    *_, note = open_source(path, parameter_networks.converted(scale=20.0).net).notes
    assert "hidden.bias is about 0.25 times" in note
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

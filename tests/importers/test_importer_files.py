"""Parameter files that are damaged, hostile or of another network."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from spiking_lmu.errors import FileError
from spiking_lmu.importers import from_nengo_dl
from spiking_lmu.importers.nengo_dl import save_params as parameters

from ..helpers import networks


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network, the path of its parameters, and the arrays in there."""
    network = networks.lmu(units=3, order=2, theta=4.0)
    path = tmp_path_factory.mktemp("saved") / "params"
    with networks.simulate(network) as simulator:
        simulator.save_params(path)
        simulator.save_params(f"{path}_state", include_state=True)
        arrays = simulator.keras_model.get_weights()
    return network, path.with_suffix(".npz"), arrays


def npy(array, allow_pickle=False):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=allow_pickle)
    return buffer.getvalue()


def write(path, entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_the_file_itself_is_read(saved):
    _, path, arrays = saved
    for name in (path, path.with_suffix(""), str(path)):
        read = parameters.read_params(name)
        assert len(read) == len(arrays)
        for one, other in zip(read, arrays, strict=True):
            np.testing.assert_array_equal(one, other)


def test_missing_file_and_folder(saved, tmp_path):
    with pytest.raises(FileError, match="nothing there"):
        from_nengo_dl(saved[0], tmp_path / "absent")
    with pytest.raises(FileError, match="a folder"):
        from_nengo_dl(saved[0], tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -30])
def test_truncated_file(saved, tmp_path, keep):
    broken = tmp_path / "cut.npz"
    broken.write_bytes(saved[1].read_bytes()[:keep])
    with pytest.raises(FileError, match=r"cut\.npz"):
        from_nengo_dl(saved[0], broken)


def test_flipped_bytes_never_escape_the_error_family(saved, tmp_path):
    data = bytearray(saved[1].read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        broken = tmp_path / "flipped.npz"
        broken.write_bytes(damaged)
        try:
            parameters.read_params(broken)
        except FileError:
            refused += 1
    assert refused > 100


def test_pickled_objects_are_never_loaded(saved, tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    objects = npy(np.array([Trap()], dtype=object), allow_pickle=True)
    path = write(tmp_path / "trap.npz", {"arr_0.npy": objects})
    with pytest.raises(
        FileError, match=r"dtype object, which only a pickle could fill in 'arr_0\.npy'"
    ):
        from_nengo_dl(saved[0], path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"arr_1.npy": npy([1.0])}, r"the entry 'arr_1\.npy'"),
        ({"arr_0.npy": npy([1.0]), "../evil": b""}, r"the entry '\.\./evil'"),
        ({"arr_0.npy": npy(["text"])}, "of dtype <U4 in"),
        ({"arr_0.npy": npy([1j])}, "of dtype <c16"),
        ({"arr_0.npy": b"not an array"}, "no NPY array in"),
        ({"arr_0.npy": npy(np.zeros(9))[:-8]}, "an NPY header for 72 bytes"),
        (
            {"arr_0.npy": npy(np.zeros(9)).replace(b"(9,), }        ", b"(9999999999,), }")},
            "an NPY header for 79,999,999,992 bytes",
        ),
    ],
)
def test_strange_entries(saved, tmp_path, entries, message):
    with pytest.raises(FileError, match=message):
        from_nengo_dl(saved[0], write(tmp_path / "strange.npz", entries))


def test_other_compression_is_refused(saved, tmp_path):
    path = write(tmp_path / "odd.npz", {"arr_0.npy": npy([1.0])}, zipfile.ZIP_LZMA)
    with pytest.raises(FileError, match="compression method 14"):
        from_nengo_dl(saved[0], path)


def test_a_bomb_is_refused(saved, tmp_path):
    zeros = npy(np.zeros(9 << 20))
    with pytest.raises(FileError, match="75,497,600 bytes of entries in a file of"):
        from_nengo_dl(saved[0], write(tmp_path / "big.npz", {"arr_0.npy": zeros}))


def test_parameters_of_another_network_are_named(saved):
    network, path, arrays = saved
    with pytest.raises(FileError, match=rf"got {len(arrays) - 1} arrays, expected {len(arrays)}"):
        from_nengo_dl(network, arrays[:-1])
    with pytest.raises(FileError, match="include_state=False"):
        from_nengo_dl(network, f"{path.with_suffix('')}_state")
    last = len(arrays) - 1
    wrong = [*arrays[:-1], np.zeros((7, 7))]
    shape = str(arrays[-1].shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(
        FileError, match=rf"arr_{last} .*got shape \(7, 7\), expected shape {shape}"
    ):
        from_nengo_dl(network, wrong)
    with pytest.raises(FileError, match=r"arr_0 .*NaN or infinity"):
        from_nengo_dl(network, [np.full_like(arrays[0], np.inf), *arrays[1:]])
    with pytest.raises(FileError, match=r"arr_0 .*dtype object"):
        from_nengo_dl(network, [np.array([None]), *arrays[1:]])
    with pytest.raises(FileError, match=r"arr_0 .*an array of numbers"):
        from_nengo_dl(network, [[[1.0], [1.0, 2.0]], *arrays[1:]])
    other = networks.lmu(units=4, order=2, theta=4.0)
    with pytest.raises(FileError, match="use the network that the file was saved from"):
        from_nengo_dl(other, path)

"""The strict IDX reader: round trips, and everything that is not one of the files."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.datasets import idx
from spiking_lmu.datasets import mnist_files as sources
from spiking_lmu.datasets.idx import IdxFile, check_idx, read_idx
from spiking_lmu.errors import DatasetError, FileError, SpikingLmuError

from ..helpers.dataset_files import described, one_line, write_files

no_deadline = settings(deadline=None)  # a busy machine is no failure


@st.composite
def arrays(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    size = int(np.prod(shape))
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8).reshape(shape)


@no_deadline
@given(arrays())
def test_idx_round_trip(array):
    file, data = described("a", array)
    assert file.length == len(data)
    values = idx.values(check_idx(data, file, "a"), file)
    assert values.dtype == np.uint8
    assert np.array_equal(values, array)


@no_deadline
@given(arrays(), st.data())
def test_truncated_idx_is_refused(array, draw):
    file, data = described("a", array)
    with pytest.raises(FileError):
        check_idx(data[: draw.draw(st.integers(0, len(data) - 1))], file, "a")


@no_deadline
@given(arrays(), st.binary(min_size=1, max_size=9))
def test_extra_bytes_are_refused(array, extra):
    file, data = described("a", array)
    with pytest.raises(FileError, match="more bytes"):
        check_idx(data + extra, file, "a")


@no_deadline
@given(arrays(), st.data())
def test_a_wrong_byte_is_refused(array, draw):
    file, data = described("a", array)
    place = draw.draw(st.integers(0, len(data) - 1))
    damaged = bytearray(data)
    damaged[place] ^= draw.draw(st.integers(1, 255))
    in_header = place < 4 + 4 * array.ndim
    with pytest.raises(FileError if in_header else DatasetError) as error:
        check_idx(bytes(damaged), file, "a")
    assert ("header" if in_header else "MD5") in one_line(error)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a", "a.gz"]))
def test_no_file_content_gets_past_the_error_family(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("hostile") / name
    path.write_bytes(content)
    with pytest.raises(SpikingLmuError):
        read_idx(path, IdxFile("a", (3, 4), "0" * 32))


@pytest.mark.parametrize("zipped", [False, True])
def test_read_idx_plain_and_zipped(tmp_path, zipped):
    file, data = described("a", np.arange(12).reshape(3, 4))
    write_files(tmp_path, {"a": data}, zipped=zipped)
    assert read_idx(sources._path(tmp_path, file), file) == data


def test_gzip_bomb_is_read_only_one_byte_too_far(tmp_path, monkeypatch):
    file, data = described("a", np.zeros((3, 4)))
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(data + bytes(50_000_000)))
    asked = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n=-1: asked.append(n) or read(self, n))
    with pytest.raises(FileError, match="more bytes"):
        read_idx(path, file)
    assert asked == [file.length + 1]


def test_cut_and_damaged_gzip_are_refused(tmp_path):
    file, data = described("a", np.arange(200, dtype=np.uint8))
    whole = gzip.compress(data)
    for content in (whole[:-9], whole[:12] + b"\xff" * 20 + whole[32:], whole[:-8] + bytes(8)):
        (tmp_path / "a.gz").write_bytes(content)
        with pytest.raises(FileError) as error:
            read_idx(tmp_path / "a.gz", file)
        one_line(error)


def test_missing_file_and_folder_in_its_place(tmp_path):
    file, _ = described("a", np.zeros(3))
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "a", tmp_path / "b"):
        with pytest.raises(FileError, match="no such file"):
            read_idx(path, file)

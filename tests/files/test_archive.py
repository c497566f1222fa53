"""The reader of files that nobody vouches for: everything that is no plain array is refused."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from spiking_lmu.errors import LONGEST, FileError, one_line
from spiking_lmu.files import archive
from spiking_lmu.files.archive import Refused, Wanted, open_archive, parse_json, parse_npy

WANTED = Wanted("a file", "numbers", "write it again")
DTYPES = st.sampled_from(["<f2", "<f4", "<f8", ">f8", "|i1", "<i2", ">i4", "<i8", "<u2", "|u1"])


def npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An NPY file with any header."""
    length = struct.pack("<H" if version[0] == 1 else "<L", len(header))
    return b"\x93NUMPY" + version + length + header.encode("latin-1") + body


def header(descr: str = "'<f8'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@given(
    st_numpy.arrays(DTYPES, st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0)),
    st.booleans(),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
@settings(deadline=None)
def test_arrays_are_read_as_numpy_reads_them(array, fortran, version):
    if fortran:
        array = np.asfortranarray(array)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version, allow_pickle=False)
    read = parse_npy(buffer.getvalue())
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()
    assert not read.flags.writeable
    again = parse_npy(archive.npy(array))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype.newbyteorder("<")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no NPY array"),
        (b"\x93NUMPY\x01\x00", "no NPY array"),
        (npy("(" * 500), "header that is not"),
        (npy("[" * 500 + "]" * 500), "header that is not"),
        (npy("-" * 1900 + "1"), "header that is not"),
        (npy("9" * 1900), "header that is not"),
        (npy(" " * 60_000), "header of 60,000 bytes"),
        (npy(header(), bytes(16), b"\x09\x00"), r"format 9\.0"),
        (npy(header("'|O'"), bytes(16)), "pickle"),
        (npy(header("'O8'"), bytes(16)), "dtype O8"),
        (npy(header("'<c16'"), bytes(32)), "dtype <c16"),
        (npy(header("'<U4'"), bytes(32)), "dtype <U4"),
        (npy(header("'<f16'"), bytes(32)), "dtype <f16"),
        (npy(header("'|V8'"), bytes(16)), "dtype"),
        (npy(header("[('a', '<f8')]"), bytes(16)), "header that is not"),
        (npy(header(shape="(3,)"), bytes(16)), "for 24 bytes and 16 bytes"),
        (npy(header(shape="(1,)"), bytes(16)), "for 8 bytes and 16 bytes"),
        (npy(header(shape="(-2,)"), bytes(16)), "header that is not"),
        (npy(header(shape="(2,,)"), bytes(16)), "shape"),
        (npy(header(shape="(1, 1, 1, 1, 1, 1, 1, 1, 2)"), bytes(16)), "shape"),
        (npy(header(shape=f"({10**14}, {10**14})"), bytes(16)), "bytes"),
        (npy(header(order="True, 'shape': (2,)"), bytes(16)), "header that is not"),
        (npy(header(order="__import__('os')"), bytes(16)), "header that is not"),
        (npy("{'shape': (2,), 'shape': (2,), 'descr': '<f8'}", bytes(16)), "header that is not"),
    ],
)
def test_what_is_no_plain_array_is_refused(content, message):
    with pytest.raises(Refused, match=message):
        parse_npy(content)


def test_an_empty_array_of_endless_dimensions_is_refused():
    side = 10**14
    with pytest.raises(FileError, match="a file"), archive.reading(WANTED):
        parse_npy(npy(header(shape=f"(0, {side}, {side}, {side}, {side}, {side})")))


def test_text_is_read_where_it_is_wanted():
    array = np.array(["a", "ß😀"])
    buffer = io.BytesIO()
    np.save(buffer, array)
    assert parse_npy(buffer.getvalue(), "U").tolist() == array.tolist()
    for code in (0x110000, 0xD800):
        text = npy(header("'<U1'", shape="(1,)"), struct.pack("<L", code))
        with pytest.raises(Refused, match="characters that do not exist"):
            parse_npy(text, "U")


def test_a_file_is_mapped_as_it_is_parsed(tmp_path):
    path = tmp_path / "a.npy"
    for array in (np.arange(6.0).reshape(2, 3), np.zeros((0, 4)), np.float32(2)):
        np.save(path, array)
        mapped = archive.map_npy(path, WANTED)
        assert mapped.dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(mapped, array)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(FileError, match="bytes of array"):
        archive.map_npy(path, WANTED)
    path.write_bytes(npy("(" * 500))
    with pytest.raises(FileError, match="header that is not"):
        archive.map_npy(path, WANTED)


@given(st.binary(max_size=200))
def test_no_bytes_get_past_the_array_reader(content):
    try:
        parse_npy(b"\x93NUMPY\x01\x00" + content)
    except Refused:
        return


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1} x', "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "1e999"),
        (b"[1" + b"0" * 500 + b"]", "501 digits"),
        (b"[" * 900 + b"]" * 900, "900|100 deep"),
        (b"[" * 200_000, "100 deep"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "100 deep"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'["\\udfff"]', "surrogate"),
        (b"[1," * 10 + b"0," * 500_000 + b"0]", "400,000 values"),
        (b" " * (4 << 20), "bytes"),
    ],
)
def test_what_is_no_plain_json_is_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse_json(text)


def test_brackets_in_strings_are_no_depth():
    text = b'["' + b"[{" * 300 + b'", "\\"[[[[", {"a": [1e5, "\\ud83d\\ude00"]}]'
    assert parse_json(text)[2] == {"a": [1e5, "😀"]}


def zipped(tmp_path, entries, method=zipfile.ZIP_DEFLATED):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def read_all(path):
    with open_archive(path, WANTED) as opened:
        return {name: opened.read(name) for name in opened.names}


def test_an_archive_is_read_as_it_was_written(tmp_path):
    entries = {"a.json": b"{}", "b/c.npy": archive.npy(np.arange(3.0))}
    with (tmp_path / "a.zip").open("wb") as file:
        archive.write_archive(file, entries)
    assert read_all(tmp_path / "a.zip") == entries
    with (tmp_path / "a.zip").open("rb") as file:
        assert read_all(file) == entries


def test_numpys_own_files_are_read(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "n.npz", a=np.arange(4), b=np.ones((2, 2)))
        with open_archive(tmp_path / "n.npz", WANTED) as opened:
            np.testing.assert_array_equal(opened.array("a.npy"), np.arange(4))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_beyond_the_limits_are_refused(tmp_path):
    refused = {
        "some twice": [("a", b"1"), ("a", b"2")],
        "2,500 characters": [("n" * 2500, b"")],
        "more than 10,000": [(str(i), b"") for i in range(10_001)],
    }
    for message, entries in refused.items():
        with pytest.raises(FileError, match=message):
            read_all(zipped(tmp_path, entries))
    with pytest.raises(FileError, match="method 14"):
        read_all(zipped(tmp_path, [("a", b"1")], zipfile.ZIP_LZMA))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = zipped(tmp_path, [(f"b{i}", bytes(40 << 20)) for i in range(2)])
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(FileError, match="83,886,080 bytes of entries in a file of"):
        read_all(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_what_is_written_is_never_taken_for_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SMALL", 1 << 20)
    entries = {"zeros": bytes(3 << 20), "noise": np.random.default_rng(0).bytes(1 << 20)}
    with (tmp_path / "a.zip").open("wb") as file:
        archive.write_archive(file, entries)
    assert read_all(tmp_path / "a.zip") == entries


def test_overlapping_entries_are_refused(tmp_path):
    """Two entries of the list that share their bytes: how small bombs are made large."""
    path = zipped(tmp_path, [("a", b"x" * 100), ("b", b"y" * 100)], zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = struct.pack("<L", 0)
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"unpacked|verlap"):
        read_all(path)


def test_an_entry_that_lies_about_its_length_is_refused(tmp_path):
    path = zipped(tmp_path, [("a", b"x" * 1000)])
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<L", 1000), struct.pack("<L", 999)))
    with pytest.raises(FileError, match=r"declared|unpacked"):
        read_all(path)


@pytest.mark.parametrize("kind", ["FIFO", "folder", "device", "nothing there", "name", "null"])
def test_only_regular_files_are_opened(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "name":
        path, kind = tmp_path / ("x" * 300), "File name too long"
    elif kind == "null":
        path = tmp_path / "a\0b"
    with pytest.raises(FileError, match=kind):
        read_all(path)
    with pytest.raises(FileError, match=kind):
        archive.read_bytes(path, 100, WANTED)


def test_a_link_to_a_file_will_do(tmp_path):
    (tmp_path / "link").symlink_to(zipped(tmp_path, [("a", b"1")]))
    assert read_all(tmp_path / "link") == {"a": b"1"}


def test_a_larger_file_is_not_read(tmp_path):
    (tmp_path / "x").write_bytes(bytes(101))
    with pytest.raises(FileError, match="more than 100 bytes"):
        archive.read_bytes(tmp_path / "x", 100, WANTED)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_damage_never_escapes_the_error_family(data):
    buffer = io.BytesIO()
    archive.write_archive(buffer, {"a.json": b'{"a": [1, 2]}', "b": archive.npy(np.ones(3))})
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        with open_archive(io.BytesIO(content), WANTED) as opened:
            for name in opened.names:
                opened.read(name)
    except FileError:
        return


def test_error_lines_are_bounded_and_printable():
    error = FileError("a\x1b]0;own\x07", got="x" * 10**7, expected="a\nb\u202e", fix="y")
    assert len(str(error)) < 5 * LONGEST
    assert str(error).isprintable()
    assert one_line("a\n\tb") == "a b"

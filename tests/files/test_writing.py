"""Files are whole or not there, on a full disk too."""

from __future__ import annotations

import errno
import io
import os

import pytest

from spiking_lmu.errors import FileError
from spiking_lmu.files import writing

FULL = OSError(errno.ENOSPC, "No space left on device")


class FullDisk(io.FileIO):
    """A file whose buffer does not fit on the disk."""

    def close(self):
        if not self.closed:
            super().close()
            raise FULL


def write(path, fails):
    with writing.write_atomically(path) as file:
        file.write(b"after")
        if fails:
            raise FULL


@pytest.mark.parametrize("when", ["in the block", "on closing", "on renaming"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, when):
    (tmp_path / "x").write_text("before")
    if when == "on closing":
        monkeypatch.setattr(os, "fdopen", FullDisk)
    elif when == "on renaming":

        def replace(*_):
            raise FULL

        monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(FileError, match=r"No space left.*expected room on the disk"):
        write(tmp_path / "x", fails=when == "in the block")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "before"


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(KeyError), writing.write_atomically(tmp_path / "x"):
        raise KeyError("x")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_can_be_written(tmp_path):
    name = "ß" * 127
    with writing.write_atomically(tmp_path / name) as file:
        file.write(b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with (
        pytest.raises(FileError, match="too long"),
        writing.write_atomically(tmp_path / ("x" * 300)),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["FIFO", "device", "folder"])
def test_only_files_are_replaced(tmp_path, kind):
    """As root, renaming would put a file in the place of /dev/null."""
    path = tmp_path / "x"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to(os.devnull)
    else:
        path.mkdir()
    with pytest.raises(FileError, match=kind), writing.write_atomically(path) as file:
        file.write(b"1")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    assert not path.is_file()

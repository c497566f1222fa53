import os
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from spiking_lmu.errors import FileError
from spiking_lmu.files.archive import npy, write_archive
from spiking_lmu.runs.journal import Journal, Recorded, RunRecord, load_recorded, save_recorded
from spiking_lmu.runs.results import Trace

KEY = {"target": "reference", "model": "abc"}


def sample(index):
    return RunRecord(index, (0.25, 1.0), {"lmu.h": 7}, 0.5)


def test_what_is_appended_is_read_back(tmp_path):
    journal = Journal(tmp_path / "new", KEY, 2)
    assert journal.read() == {}
    journal.append([sample(3)])
    journal.append([sample(1)])
    assert Journal(tmp_path / "new", KEY, 2).read() == {3: sample(3), 1: sample(1)}


def test_another_run_has_another_file(tmp_path):
    assert Journal(tmp_path, KEY, 2).path != Journal(tmp_path, {**KEY, "model": "b"}, 2).path


@pytest.mark.parametrize("shape", [(), (2,), (0, 2), (7, 2), (3, 1, 2)])
def test_an_output_has_any_shape_and_any_number(tmp_path, shape):
    output = np.full(shape, np.inf)
    output.ravel()[:1] = np.nan
    journal = Journal(tmp_path, KEY)
    journal.append([RunRecord(0, output, {}, 0.1)])
    np.testing.assert_array_equal(journal.read()[0].output, output)


def test_a_verified_record_is_not_replaced_by_one_that_is_not(tmp_path):
    journal = Journal(tmp_path, KEY, 2)
    journal.append([sample(1), sample(2)])
    verified = replace(sample(1), verified=True, seconds=2.0)
    journal.append([verified])
    assert Journal(tmp_path, KEY, 2).read() == {1: verified, 2: sample(2)}
    journal.append([sample(1)])
    assert journal.read() == {1: verified, 2: sample(2)}


def test_another_number_of_outputs_is_refused(tmp_path):
    Journal(tmp_path, KEY, 2).append([sample(1)])
    with pytest.raises(FileError, match=r"output of shape \(2,\)"):
        Journal(tmp_path, KEY, 3).read()


def changed(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


FORGED = {
    "another output": "UPDATE samples SET output = zeroblob(16)",
    "another sample": "UPDATE samples SET sample = 7",
    "verified": "UPDATE samples SET verified = 1",
    "another run": "UPDATE run SET key = '{}'",
    "no run": "DELETE FROM run",
    "two runs": "INSERT INTO run VALUES ('a', 'b')",
    "text for a number": "UPDATE samples SET seconds = 'x'",
    "another table": "CREATE TABLE more (a)",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM samples; END",
    "a view": "CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i FROM n",
}


@pytest.mark.parametrize("name", FORGED)
def test_what_was_changed_from_outside_is_refused(tmp_path, name):
    journal = Journal(tmp_path, KEY, 2)
    journal.append([sample(1)])
    changed(journal.path, FORGED[name])
    with pytest.raises(FileError, match="a journal of this run") as caught:
        journal.read()
    assert str(caught.value).isprintable()
    if "record" not in str(caught.value):
        with pytest.raises(FileError, match="a journal of this run"):
            journal.append([sample(2)])


def test_damage_never_escapes_the_error_family(tmp_path):
    journal = Journal(tmp_path, KEY, 2)
    journal.append([sample(i) for i in range(50)])
    whole, rng, refused = journal.path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.integers(1, 20)):
            if damaged:
                damaged[rng.integers(len(damaged))] = rng.integers(256)
        journal.path.write_bytes(damaged)
        try:
            found = journal.read()
        except FileError:
            refused += 1
        else:
            assert all(found[i] == sample(i) for i in found)
    assert refused > 20


@pytest.mark.parametrize("kind", ["FIFO", "folder", "text"])
def test_something_else_in_its_place_is_refused(tmp_path, kind):
    journal = Journal(tmp_path, KEY, 2)
    if kind == "FIFO":
        os.mkfifo(journal.path)
    elif kind == "folder":
        journal.path.mkdir()
    else:
        journal.path.write_text("no database\n" * 100)
    for use in (journal.read, lambda: journal.append([sample(1)])):
        with pytest.raises(FileError):
            use()


def test_text_journals_of_earlier_versions_are_refused(tmp_path):
    (tmp_path / "reference-0123456789abcdef.jsonl").write_text(
        '{"schema": "spiking-lmu-journal-1"}\n'
    )
    with pytest.raises(FileError, match="as earlier versions wrote them"):
        Journal(tmp_path, KEY, 2).read()
    with pytest.raises(FileError, match="as earlier versions wrote them"):
        Journal(tmp_path, KEY, 2).append([sample(1)])


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "kept").touch()
    with pytest.raises(FileError, match="exists"):
        Journal(tmp_path / "kept", KEY, 2).append([sample(1)])


WRITER = """
import sys
from pathlib import Path
from spiking_lmu.runs.journal import RunRecord, Journal
first, last = int(sys.argv[2]), int(sys.argv[3])
journal = Journal(Path(sys.argv[1]), {"target": "reference", "model": "abc"}, 2)
for index in range(first, last):
    journal.append([RunRecord(index, (0.25, 1.0), {"lmu.h": 7}, 0.5)])
    print(index, flush=True)
"""


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_writers_that_are_killed_lose_nothing_and_stop_nobody(tmp_path, rounds):
    """What a writer has said it has appended is there, whoever is killed whenever."""
    for attempt in range(rounds):
        folder = tmp_path / str(attempt)
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, folder, str(first), str(first + 40)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for first in (0, 20)
        ]
        for _ in range(1 + attempt % 5):
            writers[0].stdout.readline()
        writers[0].kill()
        said = [writer.communicate() for writer in writers]
        assert [error for _, error in said] == ["", ""]
        told = {int(index) for text, _ in said for index in text.split()}
        found = Journal(folder, KEY, 2).read()
        assert told <= set(found)
        assert {*range(20, 60)} <= set(found)
        assert all(found[index] == sample(index) for index in found)


def test_traces_and_facts_are_read_back(tmp_path):
    traces = tuple(
        Trace(i, np.full((3, 2), i), {"h": np.array([[i, 0]]), "h/2": np.empty((0, 2))})
        for i in (5, 7)
    )
    path = tmp_path / "new" / "a.traces.npz"
    assert load_recorded(path, [5]) is None
    save_recorded(path, Recorded(traces, ("a note", "ß"), {"h": "chip", "m": "host"}, True))
    loaded = load_recorded(path, [7, 5])
    assert loaded.notes == ("a note", "ß")
    assert loaded.placement == {"h": "chip", "m": "host"}
    assert loaded.verifies
    assert [trace.index for trace in loaded.traces] == [7, 5]
    np.testing.assert_array_equal(loaded.traces[1].readout, traces[0].readout)
    assert set(loaded.traces[0].spikes) == {"h", "h/2"}
    assert load_recorded(path, [5, 8]) is None
    path.write_bytes(path.read_bytes()[:-30])
    assert load_recorded(path, [5]) is None
    save_recorded(path, Recorded())
    assert vars(load_recorded(path, [])) == vars(Recorded())


def test_hostile_traces_are_made_again(tmp_path):
    path = tmp_path / "a.traces.npz"
    trace = Trace(5, np.ones((3, 2)), {"h": np.array([[1, 0]])})
    save_recorded(path, Recorded((trace,)))
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    for name, content in {
        "5/readout.npy": b"\x93NUMPY\x01\x00\xf4\x01" + b"(" * 500,
        "5/spikes/0.npy": npy(np.ones(3)),
        "recorded.json": b'{"notes": [], "placement": {}, "verifies": 1, "populations": {}}',
    }.items():
        with path.open("wb") as file:
            write_archive(file, {**entries, name: content})
        assert load_recorded(path, [5]) is None
    with path.open("wb") as file:
        write_archive(file, entries)
    assert load_recorded(path, [5]) is not None

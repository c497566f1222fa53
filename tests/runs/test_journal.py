from dataclasses import replace

import numpy as np
import pytest

from spiking_lmu.errors import FileError
from spiking_lmu.runs.journal import Finished, Journal, Recorded, load_recorded, save_recorded
from spiking_lmu.runs.results import Trace

KEY = {"target": "reference", "model": "abc"}


def sample(index):
    return Finished(index, (0.25, 1.0), {"lmu.h": 7}, 0.5)


def test_what_is_appended_is_read_back(tmp_path):
    journal = Journal(tmp_path / "new", KEY, 2)
    assert journal.read() == {}
    journal.append([sample(3)])
    journal.append([sample(1)])
    assert Journal(tmp_path / "new", KEY, 2).read() == {3: sample(3), 1: sample(1)}


def test_another_run_has_another_file(tmp_path):
    assert Journal(tmp_path, KEY, 2).path != Journal(tmp_path, {**KEY, "model": "b"}, 2).path


def test_a_torn_line_costs_that_sample_only(tmp_path):
    journal = Journal(tmp_path, KEY, 2)
    journal.append([sample(1), sample(2)])
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-9])
    resumed = Journal(tmp_path, KEY, 2)
    assert set(resumed.read()) == {1}
    resumed.append([sample(2)])
    assert journal.path.read_bytes() == whole


@pytest.mark.parametrize(
    "text",
    [
        b"{}\n",
        b"not json\n",
        b"\x80\n",
        b'{"index": 1}\n',
        b"[1]\n",
        b'{"index": 1, "output": [1, 2], "spikes": {}, "seconds": 1, "verified": "yes"}\n',
    ],
)
def test_other_content_is_refused(tmp_path, text):
    journal = Journal(tmp_path, KEY, 2)
    journal.append([sample(1)])
    journal.path.write_bytes(journal.path.read_bytes() + text)
    with pytest.raises(FileError, match="journal of this run"):
        journal.read()


def test_a_later_line_replaces_an_earlier_one(tmp_path):
    journal = Journal(tmp_path, KEY, 2)
    journal.append([sample(1), sample(2)])
    verified = replace(sample(1), verified=True)
    journal.append([verified])
    assert Journal(tmp_path, KEY, 2).read() == {1: verified, 2: sample(2)}


def test_journals_from_before_verification_are_read(tmp_path):
    journal = Journal(tmp_path, KEY, 2)
    journal.append([sample(1)])
    text = journal.path.read_text()
    journal.path.write_text(text.replace(', "verified": false', ""))
    assert journal.path.read_text() != text
    assert journal.read() == {1: sample(1)}


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

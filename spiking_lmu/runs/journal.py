"""Finished samples of one model on one target, kept as they come.

One SQLite database a run, named by everything that decides the run's results.  SQLite's
write-ahead log makes each append whole or nothing, whoever is killed, and lets several
processes write; each record has a checksum besides.  A database that was made elsewhere is
held against its schema before anything in it is read: it has two plain tables and no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import FileError
from spiking_lmu.files.archive import (
    Refused,
    Wanted,
    npy,
    open_archive,
    parse_json,
    reading,
    require_regular,
    write_archive,
)
from spiking_lmu.files.writing import write_atomically

from .results import Trace

SCHEMA = "spiking-lmu-journal-2"
TABLES = {
    "run": "CREATE TABLE run (schema TEXT NOT NULL, key TEXT NOT NULL)",
    "samples": "CREATE TABLE samples (sample INTEGER PRIMARY KEY, shape TEXT NOT NULL, "
    "output BLOB NOT NULL, spikes TEXT NOT NULL, seconds REAL NOT NULL, "
    "verified INTEGER NOT NULL, reruns REAL NOT NULL, checksum BLOB NOT NULL)",
}
COLUMNS = "sample, shape, output, spikes, seconds, verified, reruns, checksum"
#: A later record of a sample replaces an earlier one, unless that one was verified.
APPEND = (
    f"INSERT INTO samples ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sample) DO "
    "UPDATE SET shape = excluded.shape, output = excluded.output, spikes = excluded.spikes, "
    "seconds = excluded.seconds, verified = excluded.verified, reruns = excluded.reruns, "
    "checksum = excluded.checksum WHERE excluded.verified >= samples.verified"
)
#: Seconds to wait for another process that is writing.
PATIENCE = 60.0
#: Bytes of a database.
MAX_BYTES = 16 << 30


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One finished sample.

    Parameters
    ----------
    index
        Its number in the data set.
    output
        What was answered: an array of any shape, such as the output at the last step; kept as
        float64.
    spikes
        Spikes by population.
    seconds
        Its share of the run's time.
    verified
        Whether it was found identical on the backend's own simulator.
    reruns
        Its share of the samples of its batch that were run again strictly.
    host_spikes
        Spikes that the host sent to a chip, by connection; None in a record of a version that
        did not count them.
    """

    index: int
    output: Any
    spikes: dict[str, int]
    seconds: float
    verified: bool = False
    reruns: float = 0.0
    host_spikes: dict[str, int] | None = None

    def __post_init__(self) -> None:
        output = np.array(self.output, dtype=np.float64)
        output.flags.writeable = False
        object.__setattr__(self, "output", output)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunRecord) and _values(self) == _values(other)

    __hash__ = None  # type: ignore[assignment]


def _values(sample: RunRecord) -> tuple[Any, ...]:
    """A record as SQLite holds it, without its checksum."""
    # The column of spikes is an object, or a list of two where the host's were counted too.
    spikes: Any = _whole(sample.spikes)
    if sample.host_spikes is not None:
        spikes = [spikes, _whole(sample.host_spikes)]
    return (
        int(sample.index),
        json.dumps(sample.output.shape),
        sample.output.astype("<f8").tobytes(),
        json.dumps(spikes, sort_keys=True),
        float(sample.seconds),
        int(sample.verified),
        float(sample.reruns),
    )


def _whole(counts: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in counts.items()}


class Journal:
    """The database of one run, found by everything that decides its results.

    Parameters
    ----------
    folder
        Where journals are kept; made when the first sample is written.
    key
        JSON-safe: digests of model and data, target, options, seed, versions.  Digests are
        computed from what is used, never supplied.
    outputs
        Numbers in one output, the last axis of what is kept; None leaves it open.

    Raises
    ------
    FileError
        The database is there but holds something else.
    """

    def __init__(self, folder: Path, key: dict[str, Any], outputs: int | None = None) -> None:
        self.key, self._outputs = key, outputs
        self._text = json.dumps(key, sort_keys=True)
        digest = hashlib.sha256(self._text.encode()).hexdigest()[:16]
        self.path = folder / f"{key['target']}-{digest}.sqlite"
        self._wanted = Wanted(
            str(self.path), "a journal of this run", "delete the file to run these samples again"
        )

    def read(self) -> dict[int, RunRecord]:
        """Finished samples by index; empty if there is no file yet."""
        self._refuse_text()
        if not os.path.lexists(self.path):
            return {}
        with self._reporting(), self._connected(create=False) as connection:
            if not self._is_ours(connection):
                return {}
            found: dict[int, RunRecord] = {}
            for row in connection.execute(f"SELECT {COLUMNS} FROM samples ORDER BY sample"):
                sample = self._parse(row)
                if found and sample.index <= next(reversed(found)):
                    raise Refused("samples out of order")
                found[sample.index] = sample
            return found

    def append(self, samples: Iterable[RunRecord]) -> None:
        """Add finished samples and hand them to the disk before returning.

        Raises
        ------
        FileError
            The folder cannot be written, the disk is full, or the file is no journal.
        """
        records = [(*values, self._checksum(values)) for values in map(_values, samples)]
        with self._reporting():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._refuse_text()
            with self._connected(create=True) as connection:
                connection.execute("BEGIN IMMEDIATE")
                if not self._is_ours(connection):
                    for statement in TABLES.values():
                        connection.execute(statement)
                    connection.execute("INSERT INTO run VALUES (?, ?)", (SCHEMA, self._text))
                connection.executemany(APPEND, records)
                connection.execute("COMMIT")

    @contextmanager
    def _connected(self, *, create: bool) -> Iterator[sqlite3.Connection]:
        if os.path.lexists(self.path):
            size = require_regular(self.path, self._wanted)
            if size > MAX_BYTES:
                raise Refused(f"a file of {size:,} bytes, more than {MAX_BYTES:,}")
        mode = "rwc" if create else "rw"
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, PATIENCE, isolation_level=None, uri=True)
        with closing(connection):
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            if create:
                _log_ahead(connection)
            yield connection

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Whether the tables are there; False for a database without anything in it.

        Raises
        ------
        Refused
            Other tables, or another run's.
        """
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 9").fetchall()
        if not rows:
            return False
        if sorted(rows) != [("table", name, sql) for name, sql in sorted(TABLES.items())]:
            raise Refused("a database of something else")
        if connection.execute("SELECT schema, key FROM run LIMIT 2").fetchall() != [
            (SCHEMA, self._text)
        ]:
            raise Refused("the journal of another run")
        return True

    def _parse(self, row: tuple[Any, ...]) -> RunRecord:
        *values, checksum = row
        index, shape, output, spikes, seconds, verified, reruns = values
        if checksum != self._checksum(values):
            raise Refused(f"a record of sample {index} that is damaged")
        array = np.frombuffer(output, "<f8").reshape(parse_json(shape.encode()))
        if self._outputs is not None and array.shape[-1:] != (self._outputs,):
            raise Refused(f"an output of shape {array.shape}")
        counts = parse_json(spikes.encode())
        own, sent = counts if isinstance(counts, list) else (counts, None)
        host_spikes = None if sent is None else _whole(sent)
        return RunRecord(index, array, _whole(own), seconds, bool(verified), reruns, host_spikes)

    def _checksum(self, values: Sequence[Any]) -> bytes:
        """Over a record and the run that it belongs to."""
        digest = hashlib.blake2b(self._text.encode(), digest_size=16)
        for value in values:
            part = value if isinstance(value, bytes) else repr(value).encode()
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.digest()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turn errors of the disk and of SQLite into a FileError."""
        with reading(self._wanted):
            try:
                yield
            except (OSError, sqlite3.OperationalError) as error:
                raise FileError(
                    str(self.path),
                    got=getattr(error, "strerror", None) or str(error),
                    expected="a folder that can be written, with room on the disk",
                    fix="free some space, or choose another folder for the journal",
                ) from error

    def _refuse_text(self) -> None:
        """Journals were text files once; their samples would be run again without a word."""
        old = sorted(self.path.parent.glob(f"{self.key['target']}-*.jsonl"))
        if old:
            raise FileError(
                str(old[0]),
                got="a text journal, as earlier versions wrote them",
                expected="SQLite journals",
                fix="delete it to run its samples again, or choose another folder for the journal",
            )


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Write-ahead logging, which a new database is brought to while nobody else writes."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Here SQLite does not wait by itself.
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


@dataclass(frozen=True, eq=False)
class Recorded:
    """What is kept beside the samples: traces, and what the deployment said of itself."""

    traces: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()
    placement: dict[str, str] = field(default_factory=dict)
    verifies: bool = False


def save_recorded(path: Path, recorded: Recorded) -> None:
    """Write to an archive of arrays."""
    text = {
        "notes": recorded.notes,
        "placement": recorded.placement,
        "verifies": recorded.verifies,
        "populations": {str(trace.index): list(trace.spikes) for trace in recorded.traces},
    }
    entries = {"recorded.json": json.dumps(text).encode()}
    for trace in recorded.traces:
        entries[f"{trace.index}/readout.npy"] = npy(trace.readout)
        for i, spikes in enumerate(trace.spikes.values()):
            entries[f"{trace.index}/spikes/{i}.npy"] = npy(spikes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        write_archive(file, entries)


def load_recorded(path: Path, indices: Sequence[int]) -> Recorded | None:
    """With the traces of the samples ``indices``; None if not all are there, intact."""
    from spiking_lmu.files.schema import RecordedEntry, checked

    try:
        with open_archive(path, Wanted(str(path), "traces", "")) as archive:
            text = checked(archive.json("recorded.json"), RecordedEntry, "traces")
            traces = []
            for index in indices:
                readout = archive.array(f"{index}/readout.npy")
                spikes = {
                    name: archive.array(f"{index}/spikes/{i}.npy")
                    for i, name in enumerate(text.populations[str(index)])
                }
                if readout.ndim != 2 or any(s.shape[1:] != (2,) for s in spikes.values()):
                    raise Refused("arrays that are no trace")
                traces.append(Trace(index, readout, spikes))
            return Recorded(tuple(traces), tuple(text.notes), text.placement, text.verifies)
    except FileError:
        return None

"""Finished samples of one model on one target, kept as they come.

One JSON line a sample, after a header line that says what produced them; a later line for
the same sample replaces an earlier one.  A run that is killed loses nothing but the batches
under way; a line that was cut off is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import FileError
from spiking_lmu.files.writing import write_atomically

from .results import Trace

SCHEMA = "spiking-lmu-journal-1"


@dataclass(frozen=True)
class Finished:
    """One finished sample.

    Parameters
    ----------
    index
        Its number in the data set.
    output
        Output at the last step.
    spikes
        Spikes by population.
    seconds
        Its share of the run's time.
    verified
        Whether it was found identical on the backend's own simulator.
    reruns
        Its share of the samples of its batch that were run again strictly.
    """

    index: int
    output: tuple[float, ...]
    spikes: dict[str, int]
    seconds: float
    verified: bool = False
    reruns: float = 0.0


class Journal:
    """The file for one run, found by everything that decides its results.

    Parameters
    ----------
    folder
        Where journals are kept; made when the first sample is written.
    key
        JSON-safe: digests of model and data, target, options, seed, versions.
    outputs
        Numbers in one output.

    Raises
    ------
    FileError
        The file is there but holds something else.
    """

    def __init__(self, folder: Path, key: dict[str, Any], outputs: int) -> None:
        self.key, self._outputs = key, outputs
        #: Whether the file is known to end with a whole line.
        self._whole = False
        text = json.dumps(key, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.path = folder / f"{key['target']}-{digest}.jsonl"

    def read(self) -> dict[int, Finished]:
        """Finished samples by index; empty if there is no file yet."""
        if not self.path.exists():
            return {}
        lines = self.path.read_bytes().split(b"\n")
        try:
            if json.loads(lines[0]) != {"schema": SCHEMA, **self.key}:
                raise ValueError("the header of another run")
            whole = [json.loads(line) for line in lines[1:-1]]
            finished = [self._parse(entry) for entry in whole]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                str(self.path),
                got=f"a line that does not follow the format ({error})",
                expected="a journal of this run",
                fix="delete the file to run these samples again",
            ) from error
        return {sample.index: sample for sample in finished}

    def _parse(self, entry: dict[str, Any]) -> Finished:
        output = tuple(float(value) for value in entry["output"])
        if len(output) != self._outputs:
            raise ValueError(f"{len(output)} outputs")
        spikes = {str(name): int(count) for name, count in entry["spikes"].items()}
        seconds, verified = float(entry["seconds"]), entry.get("verified", False)
        if not isinstance(verified, bool):
            raise ValueError(f"verified: {verified!r}")
        reruns = float(entry.get("reruns", 0.0))
        return Finished(int(entry["index"]), output, spikes, seconds, verified, reruns)

    def append(self, samples: Iterable[Finished]) -> None:
        """Add finished samples and hand them to the disk before returning.

        Raises
        ------
        FileError
            The folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self._whole:
                self._cut_torn_line()
            self._whole = False
            with self.path.open("ab") as file:
                if file.tell() == 0:
                    file.write(_line({"schema": SCHEMA, **self.key}))
                for sample in samples:
                    file.write(_line(vars(sample)))
                file.flush()
                os.fsync(file.fileno())
            self._whole = True
        except OSError as error:
            raise FileError(
                str(self.path),
                got=error.strerror or str(error),
                expected="a folder that can be written",
                fix="choose another folder for the journal",
            ) from error

    def _cut_torn_line(self) -> None:
        """Drop what a killed run left after the last whole line."""
        if self.path.exists():
            data = self.path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(self.path, whole)


@dataclass(frozen=True, eq=False)
class Recorded:
    """What is kept beside the samples: traces, and what the deployment said of itself."""

    traces: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()
    placement: dict[str, str] = field(default_factory=dict)
    verifies: bool = False


def save_recorded(path: Path, recorded: Recorded) -> None:
    """Write to an NPZ file."""
    arrays: dict[str, np.ndarray] = {
        "notes": np.array(recorded.notes, dtype=np.str_),
        "placement": np.array(list(recorded.placement.items()), dtype=np.str_).reshape(-1, 2),
        "verifies": np.array(recorded.verifies),
    }
    for trace in recorded.traces:
        arrays[f"{trace.index}/readout"] = trace.readout
        arrays |= {f"{trace.index}/spikes/{name}": spikes for name, spikes in trace.spikes.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_recorded(path: Path, indices: Sequence[int]) -> Recorded | None:
    """With the traces of the samples ``indices``; None if not all are there, intact."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            names = file.files
            traces = tuple(
                Trace(
                    index,
                    file[f"{index}/readout"],
                    {
                        name.partition("/spikes/")[2]: file[name]
                        for name in names
                        if name.startswith(f"{index}/spikes/")
                    },
                )
                for index in indices
            )
            placement = {str(name): str(place) for name, place in file["placement"]}
            notes = tuple(str(note) for note in file["notes"])
            return Recorded(traces, notes, placement, bool(file["verifies"]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, allow_nan=False).encode() + b"\n"

"""Finished samples of one model on one target, kept as they come.

One JSON line a sample, after a header line that says what produced them.  A run that is
killed loses nothing but the batch under way; a line that was cut off is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .artifact import write_atomically
from .errors import FileError
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
    """

    index: int
    output: tuple[float, ...]
    spikes: dict[str, int]
    seconds: float


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
        return Finished(int(entry["index"]), output, spikes, float(entry["seconds"]))

    def append(self, samples: Iterable[Finished]) -> None:
        """Add finished samples and hand them to the disk before returning.

        Raises
        ------
        FileError
            The folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._cut_torn_line()
            with self.path.open("ab") as file:
                if file.tell() == 0:
                    file.write(_line({"schema": SCHEMA, **self.key}))
                for sample in samples:
                    file.write(_line(vars(sample)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FileError(
                str(self.path),
                got=error.strerror or str(error),
                expected="a folder that can be written",
                fix="choose another folder with --journal",
            ) from error

    def _cut_torn_line(self) -> None:
        """Drop what a killed run left after the last whole line."""
        if self.path.exists():
            data = self.path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(self.path, whole)


def save_traces(path: Path, traces: Sequence[Trace], notes: Sequence[str] = ()) -> None:
    """Write traces, and the remarks of the run that they are from, to an NPZ file."""
    arrays: dict[str, np.ndarray] = {"notes": np.array(notes, dtype=np.str_)}
    for trace in traces:
        arrays[f"{trace.index}/readout"] = trace.readout
        arrays |= {f"{trace.index}/spikes/{name}": spikes for name, spikes in trace.spikes.items()}
    with write_atomically(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_traces(
    path: Path, indices: Sequence[int]
) -> tuple[tuple[Trace, ...], tuple[str, ...]] | None:
    """The traces of the samples ``indices`` and the remarks; None if not all are there, intact."""
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
            return traces, tuple(str(note) for note in file["notes"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, allow_nan=False).encode() + b"\n"

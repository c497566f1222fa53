"""Parameters as CSV files, for spreadsheets: a folder with a file for each, and an index.

A matrix is a sheet of its own shape, a vector a column, without headers.  Numbers are the
shortest text that reads back as the same number.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spiking_lmu.errors import FileError
from spiking_lmu.files.writing import write_atomically

from .parameter import Parameter

INDEX = "parameters.csv"
COLUMNS = (
    "file",
    "name",
    "kind",
    "from",
    "to",
    "trainable",
    "shape",
    "smallest",
    "mean",
    "std",
    "largest",
    "not finite",
    "description",
)


def write_csv(parameters: Mapping[str, Parameter], folder: str | Path) -> list[Path]:
    """Write ``parameters.csv``, the index, and one file for each parameter; returns the paths.

    Arrays of more than two axes have one row for each index of the first axis, the others in
    C order along it.

    Raises
    ------
    FileError
        ``folder`` is a file, or cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(
            str(folder),
            got=error.strerror or str(error),
            expected="a folder, or a name for a new one in a folder that exists",
            fix="choose another path",
        ) from error
    taken = {INDEX}
    rows = [list(COLUMNS)]
    paths = [folder / INDEX]
    for parameter in parameters.values():
        file = _file_name(parameter.name, taken)
        _write(folder / file, [[str(n) for n in row] for row in _table(parameter.value)])
        paths.append(folder / file)
        s = parameter.statistics
        numbers = ["" if n is None else repr(n) for n in (s.smallest, s.mean, s.std, s.largest)]
        shape = " x ".join(map(str, parameter.value.shape))
        words = [_inert(w) for w in (parameter.name, parameter.kind, parameter.pre, parameter.post)]
        trainable = "yes" if parameter.trainable else "no"
        text = _inert(parameter.description)
        rows.append([file, *words, trainable, shape, *numbers, str(s.non_finite), text])
    _write(folder / INDEX, rows)
    return paths


def _table(value: np.ndarray) -> np.ndarray:
    rows = value.shape[0] if value.ndim else 1
    return value.reshape(rows, value.size // rows if rows else 0)


def _write(path: Path, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)  # RFC 4180
    with write_atomically(path) as file:
        file.write(text.getvalue().encode(errors="replace"))  # a lone surrogate has no bytes


def _file_name(name: str, taken: set[str]) -> str:
    """A file name that every system takes, not yet in ``taken`` in any case of letters."""
    base = re.sub(r"[^\w.-]", "_", name)[:100].lstrip(".") or "parameter"
    candidate, number = f"{base}.csv", 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{base}-{number}.csv"
    taken.add(candidate.lower())
    return candidate


def _inert(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

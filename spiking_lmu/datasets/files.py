"""People's own files: NPZ, pairs of NPY, tables in CSV or Parquet, folders of these.

What each may look like is in ``docs/data.md``.  Nothing is unpickled.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import DatasetError, FileError, missing_extra
from spiking_lmu.files.archive import Wanted, map_npy, open_archive

from .arrays import from_arrays
from .dataset import Splits
from .request import COMMON, Request

Array = np.ndarray
Pair = tuple[Any, Any]

#: Bytes of an NPZ archive's arrays and of a text table, which are read whole; larger data go
#: into NPY files, which are mapped.
MOST_BYTES = 2 << 30
#: What arrays may hold, and how far an archive of them may be compressed: data can be mostly 0.
KINDS, RATIO = "fiubU", 100
#: Characters of a cell or name in a table; NumPy takes the longest for all.
MAX_CELL = 500
#: Endings of the files that are read.
SUFFIXES = (".npz", ".npy", ".csv", ".tsv", ".txt", ".parquet")
#: Names of columns in a table, by what they are for.
LABEL_COLUMNS = ("label", "class", "target", "y")
SAMPLE_COLUMNS = ("sample", "id", "series", "sequence")
TIME_COLUMNS = ("time", "t", "step", "timestamp", "date", "datetime")
SPLIT_COLUMNS = ("split", "set")
TABLE_OPTIONS = COMMON | {"label", "sample", "time", "split"}


def open_files(request: Request) -> Splits:
    """The data in a file or folder.

    Raises
    ------
    FileError
        Missing, damaged, or not laid out as ``docs/data.md`` says.
    DatasetError
        Its values are no data set.
    MissingExtraError
        Parquet without pyarrow.
    """
    path = Path(request.argument)
    if path.is_dir():
        return _open_folder(request, path)
    _require_file(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        request.require(COMMON, argument=True)
        parts, extra = _read_npz(path)
    elif suffix == ".npy":
        request.require(COMMON, argument=True)
        parts, extra = _read_npy_pair(path), {}
        _require_test_part(path, parts)
    else:
        request.require(TABLE_OPTIONS, argument=True)
        parts, extra = _read_table(path, request)
    return _made(request, path.stem, parts, extra)


def _made(request: Request, name: str, parts: dict[str, Pair], extra: dict[str, Any]) -> Splits:
    x, y = parts["train"]
    return from_arrays(
        x,
        y,
        validation=parts.get("validation"),
        test=parts.get("test"),
        name=name,
        source=request.argument,
        **{**extra, **request.arrays},
    )


# --- NumPy's files


def _read_npz(path: Path) -> tuple[dict[str, Pair], dict[str, Any]]:
    """``x`` and ``y`` (or ``x_train`` …), perhaps ``x_test``, ``lengths``, ``names``, ``dt``."""
    arrays = _npz_arrays(path)
    parts: dict[str, Pair] = {}
    for split, suffixes in (
        ("train", ("", "_train")),
        ("validation", ("_validation", "_val")),
        ("test", ("_test",)),
    ):
        found = [_of(arrays, letter, suffixes) for letter in ("x", "y", "lengths")]
        if found[0] is None and found[1] is None:
            continue
        if found[0] is None or found[1] is None:
            got = "x without y" if found[1] is None else "y without x"
            raise _layout(path, f"{got} for {split}", "both")
        parts[split] = _unpadded(path, found[0], found[1], found[2])
    if "train" not in parts:
        names = ", ".join(sorted(arrays)[:6]) or "nothing"
        raise _layout(path, f"arrays {names}", "x and y, or x_train and y_train")
    extra: dict[str, Any] = {}
    if "names" in arrays:
        extra["names"] = [str(n) for n in arrays["names"].ravel().tolist()]
    if "dt" in arrays:
        extra["dt"] = float(arrays["dt"].ravel()[0])
    return parts, extra


def _of(arrays: dict[str, Array], letter: str, suffixes: Sequence[str]) -> Array | None:
    return next((arrays[letter + s] for s in suffixes if letter + s in arrays), None)


def _npz_arrays(path: Path) -> dict[str, Array]:
    """Arrays of an archive by their names in small letters."""
    wanted = Wanted(str(path), "an intact .npz file without pickled objects", "see docs/data.md")
    with open_archive(path, wanted, ratio=RATIO) as archive:
        size = sum(archive.size(name) for name in archive.names)
        if size > MOST_BYTES:
            raise _too_large(path, size)
        return {
            name.removesuffix(".npy").lower(): archive.array(name, KINDS) for name in archive.names
        }


def _unpadded(path: Path, x: Array, y: Array, lengths: Array | None) -> Pair:
    """Padded arrays as lists of what is true of them."""
    if lengths is None:
        return x, y
    kept = lengths.ravel()
    fits = kept.dtype.kind in "iu" and x.ndim > 1 and kept.shape == x.shape[:1]
    if not fits or not kept.size:
        raise _layout(path, f"lengths of shape {lengths.shape}", "a whole number for each sample")
    if kept.min() < 1 or kept.max() > x.shape[1]:
        got = f"lengths from {kept.min()} to {kept.max()}"
        raise _layout(path, got, f"1 to {x.shape[1]} steps a sample")
    every = y.ndim > 1 and y.shape[1] == x.shape[1] > 1
    rows = [row[:n] for row, n in zip(x, kept, strict=True)]
    return rows, [row[:n] for row, n in zip(y, kept, strict=True)] if every else y


def _read_npy_pair(path: Path) -> dict[str, Pair]:
    """``x.npy`` with ``y.npy`` beside it; ``x_train.npy`` also with ``x_test.npy``."""
    found = re.fullmatch(r"(.*?)([xX])((?:_train)?)", path.stem)
    if not found:
        raise _layout(path, "the name " + path.name, "a name that ends in x.npy or x_train.npy")
    start, letter, end = found.groups()
    parts = {}
    for split, ending in (("train", end), ("validation", "_validation"), ("test", "_test")):
        x, y = (
            path.with_name(f"{start}{symbol}{ending}.npy")
            for symbol in (letter, "y" if letter == "x" else "Y")
        )
        if split == "train" or x.is_file():
            _require_file(y)
            parts[split] = _npy(x), _npy(y)
    return parts


def _require_test_part(path: Path, parts: dict[str, Pair]) -> None:
    """Large data bring a test part: to split one off would copy them into memory."""
    size = int(parts["train"][0].nbytes)
    if "test" not in parts and size > MOST_BYTES:
        got = f"{size / 2**30:.1f} GiB without a test part"
        stem = re.sub(r"_train$", "", path.stem)
        raise _layout(path, got, f"{stem}_test.npy beside it, so that both are mapped, not copied")


def _npy(path: Path) -> Array:
    """An array, mapped into memory: what is not needed is not read."""
    wanted = Wanted(str(path), "an intact .npy file without pickled objects", "see docs/data.md")
    return map_npy(path, wanted, KINDS)


# --- tables


class Table:
    """Columns of equal length by name: numbers, or text."""

    def __init__(self, path: Path, columns: dict[str, Array], header: bool) -> None:
        self.path, self.columns, self.header = path, columns, header

    def find(self, request: Request, key: str, usual: Sequence[str]) -> list[str]:
        """Columns that an option names, or else the first of the usual names that is there."""
        named = request.options.get(key)
        by_small = {name.strip().lower(): name for name in self.columns}
        if named is None:
            return [by_small[name] for name in usual if name in by_small][:1]
        wanted = named.split(",")
        missing = [name for name in wanted if name.strip().lower() not in by_small]
        if missing:
            shown = ", ".join(list(self.columns)[:8])
            raise _layout(self.path, f"no column {missing[0]!r}", f"one of {shown}")
        return [by_small[name.strip().lower()] for name in wanted]

    def numbers(self, name: str) -> Array:
        """A column that must be numbers."""
        column = self.columns[name]
        if column.dtype.kind not in "fiub":
            text = next(v for v in column.tolist() if not _is_number(v))
            got = "a missing value" if not str(text).strip() else f"the text {str(text)[:40]!r}"
            raise _layout(self.path, f"{got} in column {name!r}", "numbers in every row")
        return column

    def times(self, name: str) -> Array:
        """A column of numbers, or of dates (ISO 8601) as seconds since the first."""
        column = self.columns[name]
        if column.dtype.kind == "U":
            text = np.char.replace(np.char.replace(np.char.strip(column), "/", "-"), " ", "T")
            try:
                dates = text.astype("datetime64[us]")
            except ValueError:
                return self.numbers(name)
            if not np.isnat(dates).any():
                seconds: Array = (dates - dates.min()) / np.timedelta64(1, "s")
                return seconds
        return self.numbers(name)


def _read_table(path: Path, request: Request) -> tuple[dict[str, Pair], dict[str, Any]]:
    """Wide: a row a sample.  Long: a row an input, with a column that says of which sample."""
    reader = _parquet if path.suffix.lower() == ".parquet" else _text
    table = reader(path)
    label = table.find(request, "label", LABEL_COLUMNS)
    sample = table.find(request, "sample", SAMPLE_COLUMNS)[:1]
    time = table.find(request, "time", TIME_COLUMNS)[:1]
    split = table.find(request, "split", SPLIT_COLUMNS)[:1]
    if not table.header and not label:
        label = list(table.columns)[:1]
    if not label:
        shown = ", ".join(list(table.columns)[:8])
        named = f"one called label, class, target or y, or its name: '{path.name}?label=NAME'"
        raise _layout(path, f"columns {shown}", named)
    reserved = {*label, *sample, *time, *split}
    values = [name for name in table.columns if name not in reserved]
    if not values:
        raise _layout(path, "no columns beside the labels", "at least one of numbers")
    rows = table.columns[split[0]].astype(str) if split else None
    # A number for each row names samples of a wide table.
    once = bool(sample) and len(np.unique(table.columns[sample[0]])) == len(
        table.columns[sample[0]]
    )
    if (sample and not once) or time:
        return _long(table, label, sample, time, values, rows)
    return _wide(table, label, values, rows)


def _wide(
    table: Table, label: list[str], values: list[str], rows: Array | None
) -> tuple[dict[str, Pair], dict[str, Any]]:
    """Columns ``a_0``, ``a_1``, …, ``b_0`` … of several names are channels, others steps.

    Numbers in all names say the order of the steps: sorted as text, ``a_10`` is before ``a_2``.
    """
    found = {name: re.fullmatch(r"(.*?)[_.\[ ]?(\d+)\]?", name) for name in values}
    places = {name: int(match[2]) for name, match in found.items() if match}
    channels: dict[str, list[str]] = {}
    for name, match in found.items():
        channels.setdefault(match[1] if match else "", []).append(name)
    groups = [values]
    if len(places) == len(values) > len(channels):
        lengths = {len(names) for names in channels.values()}
        if len(lengths) == 1:
            groups = [sorted(names, key=places.__getitem__) for names in channels.values()]
    x = np.stack(
        [np.stack([table.numbers(name) for name in group], axis=1) for group in groups], axis=2
    )
    y = _labels(table, label)
    return _by_split(table.path, x, y, rows), {}


def _long(
    table: Table,
    label: list[str],
    sample: list[str],
    time: list[str],
    values: list[str],
    rows: Array | None,
) -> tuple[dict[str, Pair], dict[str, Any]]:
    numbers = np.stack([table.numbers(name) for name in values], axis=1)
    labels = _labels(table, label)
    of = table.columns[sample[0]] if sample else np.zeros(len(numbers), dtype=int)
    _, first, group = np.unique(of, return_index=True, return_inverse=True)
    # Samples in the order in which the file has them.
    group = np.argsort(np.argsort(first))[group.ravel()]
    when = table.times(time[0]) if time else np.arange(len(numbers))
    order = np.lexsort((when, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    pieces = np.split(order, starts[1:])
    for piece in pieces:
        if time and (np.diff(when[piece]) <= 0).any():
            raise _layout(table.path, "a time twice in one sample", "one row for each time")
    x = [numbers[piece] for piece in pieces]
    y = [labels[piece] for piece in pieces]
    constant = len(pieces) > 1 and all((one == one[0]).all() for one in y)
    answers: Any = np.array([one[0] for one in y]) if constant else y
    splits = None
    if rows is not None:
        if any((rows[piece] != rows[piece[0]]).any() for piece in pieces):
            raise _layout(table.path, "a sample in two splits", "one split for each sample")
        splits = np.array([rows[piece[0]] for piece in pieces])
    if len({len(one) for one in x}) == 1:
        x, answers = np.stack(x), answers if constant else np.stack(answers)
    return _by_split(table.path, x, answers, splits), _interval(when, pieces) if time else {}


def _interval(when: Array, pieces: Sequence[Array]) -> dict[str, Any]:
    """The time from one input to the next, where it is the same everywhere."""
    steps = np.concatenate([np.diff(when[piece]) for piece in pieces])
    if not steps.size or np.ptp(steps) > 1e-6 * abs(float(steps.mean())):
        return {}
    return {"dt": float(steps.mean())}


def _labels(table: Table, label: list[str]) -> Array:
    """Text and whole numbers as they are; several columns are several outputs."""
    if len(label) > 1:
        return np.stack([table.numbers(name) for name in label], axis=1)
    column = table.columns[label[0]]
    if (
        column.dtype.kind == "f"
        and np.isfinite(column).all()
        and (column == np.round(column)).all()
    ):
        return column.astype(np.int64)
    return column


def _by_split(path: Path, x: Any, y: Any, rows: Array | None) -> dict[str, Pair]:
    if rows is None:
        return {"train": (x, y)}
    parts: dict[str, Pair] = {}
    for name in dict.fromkeys(rows.tolist()):
        split = {"val": "validation", "valid": "validation"}.get(name.lower(), name.lower())
        if split not in ("train", "validation", "test"):
            raise _layout(path, f"the split {name[:40]!r}", "train, validation or test")
        chosen = np.flatnonzero(rows == name)
        its_x, its_y = (
            values[chosen] if isinstance(values, np.ndarray) else [values[i] for i in chosen]
            for values in (x, y)
        )
        parts[split] = its_x, its_y
    if "train" not in parts:
        raise _layout(path, "no rows of the split train", "at least some")
    return parts


def _text(path: Path) -> Table:
    """A table of text; without a header if its first row is all numbers."""
    _require_file(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise _too_large(path, size)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max((",", ";", "\t", " "), key=first.count)
            skip = delimiter == " "
            lines = csv.reader(file, delimiter=delimiter, skipinitialspace=skip, strict=True)
            rows = [row for row in lines if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, "a table in UTF-8 text", error) from error
    if any(len(cell) > MAX_CELL for row in rows for cell in row):
        raise _layout(path, "a longer cell", f"cells of at most {MAX_CELL} characters")
    header = bool(rows) and not all(_is_number(cell) for cell in rows[0])
    names = [cell.strip() for cell in rows[0]] if header else []
    rows = rows[1:] if header else rows
    width = len(names) or (len(rows[0]) if rows else 0)
    if not rows or not width:
        raise _layout(path, "no rows", "a header and at least one row")
    ragged = next((i for i, row in enumerate(rows) if len(row) != width), None)
    if ragged is not None:
        line = ragged + 1 + header
        raise _layout(path, f"{len(rows[ragged])} cells in row {line}", f"{width}, as in the first")
    names = names or [f"column {k + 1}" for k in range(width)]
    often = Counter(names)
    twice = next((name for name in names if often[name] > 1), None) if header else None
    if twice is not None:
        raise _layout(path, f"two columns called {twice[:40]!r}", "a name for each column")
    columns = zip(*rows, strict=True)
    return Table(path, {n: _column(c) for n, c in zip(names, columns, strict=True)}, header)


def _column(cells: Sequence[str]) -> Array:
    try:
        return np.array(cells, dtype=float)
    except ValueError:
        return np.array([cell.strip() for cell in cells])


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def _parquet(path: Path) -> Table:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise missing_extra("Parquet files", "pyarrow", "parquet") from error
    try:
        if (size := parquet.ParquetFile(path).metadata.num_rows) > MOST_BYTES // 8:
            raise _too_large(path, 8 * size)
        read = parquet.read_table(path)
        columns = {name: np.asarray(read[name].to_numpy()) for name in read.column_names}
    except FileError:
        raise
    except Exception as error:  # Arrow's own kinds, and those of its compression
        raise _damaged(path, "an intact Parquet file of plain columns", error) from error
    for name, column in columns.items():
        if column.dtype.kind == "O":
            columns[name] = np.array(["" if v is None else str(v) for v in column.tolist()])
    if not columns or not len(next(iter(columns.values()))):
        raise _layout(path, "no rows", "at least one")
    return Table(path, columns, header=True)


# --- folders


def _open_folder(request: Request, path: Path) -> Splits:
    """``train.csv`` and ``test.csv`` (or another kind); ``x.npy``; or a folder a class."""
    for stem in ("x_train", "x"):
        if (path / f"{stem}.npy").is_file():
            request.require(COMMON, argument=True)
            return _made(request, path.name, _read_npy_pair(path / f"{stem}.npy"), {})
    for suffix in SUFFIXES:
        if (path / f"train{suffix}").is_file():
            return _open_split_files(request, path, suffix)
    request.require(COMMON, argument=True)
    if (path / "train").is_dir():
        found = {
            s: _class_folders(path / s)
            for s in ("train", "validation", "test")
            if (path / s).is_dir()
        }
    else:
        found = {"train": _class_folders(path)}
    return _made(request, path.name, found, {})


def _open_split_files(request: Request, path: Path, suffix: str) -> Splits:
    read: Callable[[Path], tuple[dict[str, Pair], dict[str, Any]]]
    if suffix == ".npz":
        request.require(COMMON, argument=True)
        read = _read_npz
    else:
        request.require(TABLE_OPTIONS, argument=True)

        def read(file: Path) -> tuple[dict[str, Pair], dict[str, Any]]:
            return _read_table(file, request)

    parts, extra = {}, {}
    for split in ("train", "validation", "test"):
        file = path / f"{split}{suffix}"
        if file.is_file():
            pairs, said = read(file)
            if split == "train":
                extra = said
            parts[split] = pairs["train"]
    return _made(request, path.name, parts, extra)


def _class_folders(path: Path) -> Pair:
    """Sequences from ``CLASS/NAME.npy`` or ``.csv``, one sample a file."""
    x, y = [], []
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        for file in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".npy", ".csv")):
            x.append(_npy(file) if file.suffix.lower() == ".npy" else _sequence(file))
            y.append(folder.name)
    if not x:
        raise _layout(
            path,
            "no data in it",
            "train and test files, x.npy with y.npy, or a folder of .npy or .csv files a class",
        )
    return x, y


def _sequence(path: Path) -> Array:
    table = _text(path)
    return np.stack([table.numbers(name) for name in table.columns], axis=1)


# --- errors


def _require_file(path: Path) -> None:
    if not path.is_file():
        got = "nothing there" if not path.exists() else "no regular file"
        raise FileError(str(path), got=got, expected="a file of data", fix="check the path")


def _damaged(path: Path, expected: str, error: Exception) -> FileError:
    got = f"{type(error).__name__}: {error}"[:200]
    return FileError(str(path), got=got, expected=expected, fix="write the file again")


def _layout(path: Path, got: str, expected: str) -> DatasetError:
    return DatasetError(str(path), got=got, expected=expected, fix="see docs/data.md")


def _too_large(path: Path, size: int) -> FileError:
    return FileError(
        str(path),
        got=f"{size / 2**30:.1f} GiB, which would be read whole",
        expected=f"at most {MOST_BYTES >> 30} GiB",
        fix="save x.npy and y.npy, which are read in parts",
    )

"""Where data sets come from: one name for each, the same in Python and on the command line.

A name is, in this order,

- the name of a source, with an argument after a colon if it takes one: ``psmnist``,
  ``aeon:JapaneseVowels``.  Sources are found through the entry-point group
  ``spiking_lmu.datasets``, so that a package can bring its own;
- a file or a folder: ``mine.npz``, ``x.npy``, ``mine.csv`` (:mod:`.files`);
- ``module:function``, a function that returns arrays or :class:`~.dataset.Splits`.

Options follow a question mark, as in an address: ``mackey-glass?ahead=15&seed=3``,
``mine.csv?label=kind``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from spiking_lmu.errors import DatasetError, SpikingLmuError
from spiking_lmu.graph.task import Task

from .arrays import from_arrays
from .dataset import Dataset, Splits

GROUP = "spiking_lmu.datasets"
#: Endings of the files that :mod:`.files` reads.
SUFFIXES = (".npz", ".npy", ".csv", ".tsv", ".txt", ".parquet")
#: Options that every source of arrays takes; the rest are its own.
COMMON = frozenset({"task", "test", "seed", "dt"})


@dataclass(frozen=True)
class Request:
    """A data set's name in its parts.

    Parameters
    ----------
    name
        As it was given.
    argument
        What follows the source's name and a colon; or the path of a file.
    options
        What follows the question mark, by key.
    folder
        Where files of a known data set are, if that was said.
    """

    name: str
    argument: str = ""
    options: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def require(self, allowed: Collection[str], *, argument: bool) -> None:
        """Raise a DatasetError for other options, or an argument too many or few."""
        unknown = sorted(set(self.options) - set(allowed))
        if unknown:
            expected = "one of " + ", ".join(sorted(allowed)) if allowed else "no options"
            raise DatasetError(
                f"option of data {self.name!r}",
                got=repr(unknown[0]),
                expected=expected,
                fix="leave it out",
            )
        if bool(self.argument) != argument:
            source = self.name.partition("?")[0].partition(":")[0]
            raise DatasetError(
                "data",
                got=repr(self.name),
                expected=f"{source}:NAME" if argument else source,
                fix="correct the name",
            )

    def whole(self, key: str, default: int) -> int:
        """A whole number among the options."""
        return int(self.number(key, default, whole=True))

    def number(self, key: str, default: float, *, whole: bool = False) -> float:
        """A number among the options.

        Raises
        ------
        DatasetError
            It is none.
        """
        text = self.options.get(key)
        if text is None:
            return default
        try:
            return int(text) if whole else float(text)
        except ValueError as error:
            raise DatasetError(
                f"{key} of data {self.name!r}",
                got=repr(text),
                expected="a whole number" if whole else "a number",
                fix="correct it",
            ) from error

    @property
    def arrays(self) -> dict[str, Any]:
        """The options of :data:`COMMON` as :func:`.arrays.from_arrays` takes them."""
        chosen: dict[str, Any] = {"seed": self.whole("seed", 0)}
        if "task" in self.options:
            chosen["task"] = Task.parse(self.options["task"])
        if "test" in self.options:
            chosen["test_share"] = self.number("test", 0.0)
        if "dt" in self.options:
            chosen["dt"] = self.number("dt", 1.0)
        return chosen


#: What an entry point of :data:`GROUP` is: from a request to the data.
Source = Callable[[Request], Splits]


def source_names() -> tuple[str, ...]:
    """Names of the installed sources, without importing any."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def open_data(name: str, folder: Path | None = None) -> Splits:
    """The data set that ``name`` stands for.

    Raises
    ------
    DatasetError, FileError, MissingExtraError
        A name that is none; a source that is not installed or fails; a file that is not as it
        should be.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 4096 or "\0" in name:
        raise _unknown(repr(name)[:80])
    base, _, query = name.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    scheme, colon, argument = base.partition(":")
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if scheme in known:
        request = Request(name, argument, options, folder)
        try:
            source = known[scheme].load()
        except Exception as error:
            raise _failed(name, error) from error
        return _opened(source, request)
    path = Path(base).expanduser()
    if path.suffix.lower() in SUFFIXES or path.is_dir():
        from .files import open_files

        return open_files(Request(name, str(path), options, folder))
    if colon and argument.isidentifier():
        return _opened(_function, Request(name, base, options, folder))
    raise _unknown(repr(name))


def _opened(source: Source, request: Request) -> Splits:
    """What a source gives; what it raises, in one line."""
    try:
        found = source(request)
    except SpikingLmuError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(request.name, error) from error
    if not isinstance(found, Splits):
        raise DatasetError(
            f"data {request.name!r}",
            got=f"a {type(found).__name__}",
            expected="spiking_lmu.datasets.Splits from its source",
            fix="report this to the source's author",
        )
    return found


def _function(request: Request) -> Splits:
    """``module:function``; the working folder is on the path."""
    module, _, function = request.argument.partition(":")
    sys.path.insert(0, "")
    try:
        made = getattr(import_module(module), function)()
    finally:
        sys.path.remove("")
    if isinstance(made, Splits):
        return made
    if isinstance(made, Dataset):
        return Splits(made.name, {"train": made, "test": made})
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise DatasetError(
            f"data {request.name!r}",
            got=f"a {type(made).__name__}",
            expected="x and y; ((x, y), (x, y)) for training and test; or Splits",
            fix="return one of these from the function",
        )
    pair, test = made, None
    if all(isinstance(part, tuple | list) and len(part) == 2 for part in made):
        pair, test = made
    x, y = pair
    return from_arrays(x, y, test=test, name=function, source=request.name, **request.arrays)


def _failed(name: str, error: BaseException) -> DatasetError:
    text = f"{type(error).__name__}: {error}"[:300]
    return DatasetError(
        f"data {name[:200]!r}",
        got=text,
        expected="a source that works",
        fix="correct the source, or choose other data",
    )


def _unknown(got: str) -> DatasetError:
    return DatasetError(
        "data",
        got=got[:200],
        expected="a file ("
        + ", ".join(SUFFIXES)
        + "), a folder, module:function, or one of "
        + ", ".join(source_names()),
        fix="check the name; see docs/data.md",
    )

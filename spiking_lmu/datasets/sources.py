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
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import parse_qsl

from spiking_lmu.errors import DatasetError, SpikingLmuError
from spiking_lmu.graph.model import Model

from .arrays import from_arrays
from .dataset import Dataset, Splits
from .files import SUFFIXES, open_files
from .request import Request

GROUP = "spiking_lmu.datasets"
#: What an entry point of :data:`GROUP` is: from a request to the data.
Source = Callable[[Request], Splits]
#: What a command takes where neither it nor the model names data.
DEFAULT = "psmnist"
#: Characters of a name in a model's file that are shown.
SHOWN = 200


def source_names() -> tuple[str, ...]:
    """Names of the installed sources, without importing any."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def trained_on(model: Model) -> str:
    """Name of the data that a model says it was trained on; empty if it does not say."""
    name = model.recorded("training", "settings", "data")
    return name if isinstance(name, str) and name.isprintable() and len(name) <= SHOWN else ""


def require_source(name: str) -> str:
    """``name``, that of the data which a model was trained on, if it is an installed source's.

    Raises
    ------
    DatasetError
        It is not, or empty.
    """
    if name.partition("?")[0].partition(":")[0] in source_names():
        return name
    raise DatasetError(
        "the model's training data",
        got=f"{name!r}, which is only opened if you name it" if name else "no name of them",
        expected="data",
        fix=f"pass them: data={name!r}" if name else "pass them: data=",
    )


def own_data(model: Model, folder: Path | None = None) -> Splits:
    """The data that a model was trained on, if they are those of an installed source.

    A file of a model may come from anybody, so the name of a file or of a function in it is
    not followed.

    Raises
    ------
    DatasetError
        As :func:`require_source` and :func:`open_data`.
    """
    name = require_source(trained_on(model))
    return open_data(name, folder)


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

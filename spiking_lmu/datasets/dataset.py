"""What a data set is: sequences, their answers, and the task that joins them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from spiking_lmu.errors import DatasetError, SpecError, require_whole
from spiking_lmu.graph.task import Task

Array = np.ndarray

SPLITS = ("train", "validation", "test")
#: Values looked at at once, so that a file mapped into memory may be larger than memory.
PART = 4_000_000


@dataclass(frozen=True)
class Picture:
    """How a sequence is drawn as an image: its shape, and the pixel that each number is.

    ``order`` has shape (height · width,); number k of the sequence is pixel ``order[k]``.
    """

    shape: tuple[int, int]
    order: tuple[int, ...]

    def draw(self, x: Array) -> Array:
        """The image of one sample (steps, channels), shape ``shape``."""
        image = np.empty(len(self.order))
        image[list(self.order)] = np.asarray(x, dtype=float).ravel()
        return image.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sequences with their answers; the arrays are read-only.

    Most people make one with :func:`spiking_lmu.datasets.from_arrays` or
    :func:`spiking_lmu.datasets.load`.

    Parameters
    ----------
    name, split
        For people, and for reports.
    x
        Shape (samples, steps, channels), float32, zero after each sample's end.  A file that is
        mapped into memory stays as it is until :meth:`subset` takes some samples out of it.
    y
        By task: classes (samples,), or (samples, steps) with an answer at every step, int64;
        numbers (samples, outputs), or (samples, steps, outputs), float64.
    task
        With the names of the classes or outputs.
    lengths
        Steps of each sample, int64, shape (samples,); all of them unless given.
    indices
        Places of the samples in the whole split, int64, shape (samples,).
    total
        Samples of the whole split.
    source
        Where the data were found.
    dt
        Seconds from one input to the next, if that is known.
    picture
        If samples are images, how to draw them.

    Raises
    ------
    DatasetError
        Shapes that do not fit, numbers that are not finite, classes without a name.

    >>> x, y = np.zeros((2, 3, 1)), np.array([0, 1])
    >>> data = Dataset("mine", "test", x, y, Task(names=("no", "yes")))
    >>> data.subset([1]).indices.tolist(), data.subset([1]).digest == data.digest
    ([1], True)
    """

    name: str
    split: str
    x: Array
    y: Array
    task: Task
    lengths: Array = None  # type: ignore[assignment]
    indices: Array = None  # type: ignore[assignment]
    total: int = 0
    source: str = ""
    dt: float | None = None
    picture: Picture | None = None
    #: What was taken out of which; decides the digest.
    _whole: Dataset | str = field(default="", init=False, repr=False)

    def __repr__(self) -> str:
        """Its shape and task, without its numbers."""
        return f"Dataset({self.what!r}: {self.shape_in_words})"

    @property
    def shape_in_words(self) -> str:
        """Samples, inputs, channels, task and outputs."""
        shortest, longest = int(self.lengths.min()), int(self.lengths.max())
        inputs = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
        return (
            f"{_several(len(self), 'sample')} of {inputs} input{'' if longest == 1 else 's'}, "
            f"{_several(self.channels, 'channel')}; {self.task}, "
            f"{_several(self.outputs, 'output')}"
        )

    def __post_init__(self) -> None:
        x = self.x if isinstance(self.x, np.memmap) else _float32(self.x, self.what)
        if x.ndim != 3 or 0 in x.shape:
            raise _wrong(self.what, f"x of shape {x.shape}", "(samples, steps, channels)")
        given = x.shape[1] if self.lengths is None else self.lengths
        lengths = np.array(np.broadcast_to(given, x.shape[:1]), dtype=np.int64)
        if lengths.min() < 1 or lengths.max() > x.shape[1]:
            got = f"lengths from {lengths.min()} to {lengths.max()}"
            raise _wrong(self.what, got, f"1 to {x.shape[1]} steps a sample")
        indices = np.arange(len(x)) if self.indices is None else np.asarray(self.indices)
        indices = indices.astype(np.int64)
        if indices.shape != x.shape[:1]:
            raise _wrong(self.what, f"{indices.shape} indices", f"one for each of {len(x)} samples")
        kind: Any = np.int64 if self.task.classifies else np.float64
        y = np.array(self.y, dtype=kind)
        _check_answers(self.what, y, x, lengths, self.task)
        _check_finite(self.what, x)
        for key, value in (("x", x), ("y", y), ("lengths", lengths), ("indices", indices)):
            value.setflags(write=False)
            object.__setattr__(self, key, value)
        if not self.total:
            object.__setattr__(self, "total", len(x))

    @property
    def what(self) -> str:
        """Name and split, for messages."""
        return f"{self.name} {self.split}"

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classes(self) -> int:
        """Classes of a classification; 0 of a regression."""
        return len(self.task.names) if self.task.classifies else 0

    @property
    def outputs(self) -> int:
        """Numbers in one answer of a network for this task."""
        return self.classes if self.task.classifies else self.y.shape[-1]

    @property
    def channels(self) -> int:
        """Numbers in one input."""
        return int(self.x.shape[2])

    @property
    def ragged(self) -> bool:
        """Whether samples differ in length."""
        return bool((self.lengths != self.lengths[0]).any())

    @property
    def mask(self) -> Array:
        """Which steps belong to each sample, bool (samples, steps)."""
        return np.arange(self.x.shape[1]) < self.lengths[:, None]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole split's arrays and task: equal digests mean equal data.

        Samples taken out of a split have the digest of the split, so that what is known of
        some of them stays known when more are taken.
        """
        if isinstance(self._whole, Dataset):
            return self._whole.digest
        return self._whole or _digest(self)

    def subset(self, positions: Any) -> Dataset:
        """The samples at ``positions`` (a slice, numbers or a mask), in that order."""
        chosen = np.arange(len(self))[positions]
        if not chosen.size:
            raise _wrong(self.what, "no samples chosen", "at least one")
        part = Dataset(
            self.name,
            self.split,
            np.asarray(self.x[chosen]),
            self.y[chosen],
            self.task,
            self.lengths[chosen],
            self.indices[chosen],
            self.total,
            self.source,
            self.dt,
            self.picture,
        )
        object.__setattr__(part, "_whole", self)
        return part

    def draw(self, samples: int | None = None, seed: int | None = None) -> Dataset:
        """So many samples: the first, or with ``seed`` a random choice in random order.

        The choice is the first of ``numpy.random.default_rng(seed).permutation(n)``, so that
        smaller choices are contained in larger ones.  Without ``samples``, all in their order.

        Raises
        ------
        DatasetError
            More samples than there are, or a seed that is not a whole number.
        """
        if seed is not None:
            require_whole("sample seed", seed, 0, 2**63 - 1, DatasetError)
        if samples is None:
            return self
        order = choose(self.what, len(self), samples, seed)
        if order.tolist() == list(range(len(self))):
            return self
        return self.subset(order)

    def drawing(self, row: int) -> Array | None:
        """Sample number ``row`` as an image; None if samples are not images."""
        return None if self.picture is None else self.picture.draw(self.x[row])


#: A function that loads a part: with ``samples`` and ``seed``, only so many of its samples.
Loader = Callable[..., "Dataset"]


class Splits:
    """A data set in parts: ``train``, ``test`` and, if there is one, ``validation``.

    Parameters
    ----------
    name
        Of the data set.
    parts
        By name of the part: the data, or a function that loads them when they are first asked
        for, called with ``samples`` and ``seed`` if not all are wanted (see
        :meth:`Dataset.draw`).

    >>> from spiking_lmu.datasets import load
    >>> data = load("mnist")
    >>> data.test.x.shape, "train" in data
    ((10000, 1, 784), True)
    """

    def __init__(self, name: str, parts: dict[str, Dataset | Loader]) -> None:
        self.name, self._parts = name, dict(parts)

    def __getitem__(self, split: str) -> Dataset:
        """A part by its name; a DatasetError if there is no such part."""
        return self.take(split)

    def take(self, split: str, samples: int | None = None, seed: int | None = None) -> Dataset:
        """A part, or so many samples of it as :meth:`Dataset.draw` takes.

        Raises
        ------
        DatasetError
            There is no such part, or it has fewer samples.
        """
        if split not in self._parts:
            raise DatasetError(
                f"split of {self.name}",
                got=repr(split),
                expected="one of " + ", ".join(self._parts),
                fix="choose one of these",
            )
        part = self._parts[split]
        if isinstance(part, Dataset):
            return part.draw(samples, seed)
        if samples is not None:
            return part(samples=samples, seed=seed)
        loaded = self._parts[split] = part()
        return loaded.draw(None, seed)

    def __contains__(self, split: str) -> bool:
        return split in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __repr__(self) -> str:
        return f"Splits({self.name!r}: {', '.join(self._parts)})"

    @property
    def train(self) -> Dataset:
        """What a network learns from."""
        return self["train"]

    @property
    def test(self) -> Dataset:
        """What it is judged on, and nothing else."""
        return self["test"]

    @property
    def validation(self) -> Dataset | None:
        """What decides when to stop training; None if training has to split it off."""
        return self["validation"] if "validation" in self._parts else None


def with_digest(data: Dataset, digest: str) -> Dataset:
    """``data`` known by what their files were verified by, so that not all need be in memory.

    Only for files that were compared with a checksum: a digest never comes from outside.
    """
    object.__setattr__(data, "_whole", digest)
    return data


def choose(what: str, total: int, samples: int, seed: int | None) -> Array:
    """Places of ``samples`` of ``total`` samples, as :meth:`Dataset.draw` takes them."""
    require_whole(f"samples of {what}", samples, 1, total, DatasetError)
    if seed is None:
        return np.arange(samples, dtype=np.int64)
    require_whole("sample seed", seed, 0, 2**63 - 1, DatasetError)
    return np.random.default_rng(seed).permutation(total)[:samples].astype(np.int64)


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _float32(x: Any, what: str) -> Array:
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise _wrong(what, f"x of {array.dtype}", "real numbers")
    return narrowed(array, what)


def narrowed(array: Array, what: str) -> Array:
    """A copy in float32; refused if that makes a finite number infinite."""
    with np.errstate(over="ignore"):
        narrow: Array = array.astype(np.float32)
    if array.dtype.kind == "f" and array.dtype.itemsize > 4:
        lost = np.isinf(narrow) & np.isfinite(array)
        if lost.any():
            largest = np.abs(array[lost]).max()
            raise _wrong(what, f"the number {largest:.3g}", "at most 3e38, as float32 holds")
    return narrow


def _check_answers(what: str, y: Array, x: Array, lengths: Array, task: Task) -> None:
    """Shape, classes, and finite numbers of ``y``."""
    samples, steps = x.shape[:2]
    want: tuple[int | str, ...] = (samples, steps) if task.every else (samples,)
    shape = y.shape if task.classifies else y.shape[:-1]
    if shape != want or 0 in y.shape:
        sizes = ", ".join(map(str, want if task.classifies else (*want, "outputs")))
        raise _wrong(what, f"y of shape {y.shape}", f"({sizes}) for {task}")
    seen = y[np.arange(steps) < lengths[:, None]] if task.every else y
    if not task.classifies:
        if not np.isfinite(seen).all():
            raise _wrong(what, "NaN or infinity in y", "finite numbers")
        largest = float(np.abs(seen).max())
        if largest > float(np.finfo(np.float32).max):
            # Networks are trained in float32.
            raise _wrong(what, f"the number {largest:.3g} in y", "at most 3e38, as float32 holds")
        return
    if not task.names:
        raise _wrong(what, "a classification without names", "the names of the classes")
    outside = seen[(seen < 0) | (seen >= len(task.names))]
    if outside.size:
        expected = f"a class from 0 to {len(task.names) - 1}"
        raise _wrong(what, f"the label {outside.flat[0]}", expected)


def _check_finite(what: str, x: Array) -> None:
    rows = max(1, PART // (x.shape[1] * x.shape[2]))
    for start in range(0, len(x), rows):
        part = narrowed(x[start : start + rows], what)
        finite = np.isfinite(part).all(axis=(1, 2))
        if not finite.all():
            sample = start + int(np.argmin(finite))
            raise _wrong(what, f"NaN or infinity in sample {sample}", "finite numbers")


def _digest(data: Dataset) -> str:
    digest = hashlib.sha256()
    kind = [data.task.identity, list(data.task.names), list(data.x.shape), list(data.y.shape)]
    digest.update(json.dumps(kind).encode())
    rows = max(1, PART // (data.x.shape[1] * data.x.shape[2]))
    for start in range(0, len(data), rows):
        part = np.ascontiguousarray(data.x[start : start + rows], dtype="<f4")
        digest.update(part.tobytes())
    for array, kind_of in (
        (data.y, "<i8" if data.task.classifies else "<f8"),
        (data.lengths, "<i8"),
    ):
        digest.update(np.ascontiguousarray(array, dtype=kind_of).tobytes())
    return digest.hexdigest()


def _wrong(what: str, got: str, expected: str) -> DatasetError:
    return DatasetError(what, got=got, expected=expected, fix="correct the data")


def padded(sequences: Sequence[Array]) -> tuple[Array, Array]:
    """Sequences (steps, …) of different lengths as one array with zeros after each, and lengths."""
    lengths = np.array([len(one) for one in sequences], dtype=np.int64)
    first = sequences[0]
    whole = np.zeros((len(sequences), int(lengths.max()), *first.shape[1:]), first.dtype)
    for row, one in zip(whole, sequences, strict=True):
        row[: len(one)] = one
    return whole, lengths


def require_dataset(data: object, name: str = "data") -> None:
    """Raise a SpecError unless ``data`` is a `Dataset`: not splits, arrays or a name.

    >>> require_dataset("mnist")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    spiking_lmu.errors.SpecError: data: got text, ...; pass datasets.load('mnist').train, or .test
    """
    if isinstance(data, Dataset):
        return
    got, fix = type(data).__name__, "pass datasets.from_arrays(x, y).train"
    if isinstance(data, Splits):
        got, fix = f"all parts of {data.name}", f"pass one: {name}.train, or {name}.test"
    elif isinstance(data, str):
        got, fix = "text", f"pass datasets.load({data!r}).train, or .test"
    raise SpecError(name, got=got, expected="a Dataset", fix=fix)

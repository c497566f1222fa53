"""Data sets from arrays in memory: what people have in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spiking_lmu.errors import DatasetError, require_whole
from spiking_lmu.graph.task import Task

from .dataset import Dataset, Splits, narrowed, padded

Array = np.ndarray
Pair = tuple[Any, Any]

#: Share of the samples that become the test set where none is given.
TEST_SHARE = 0.25
#: Whole numbers up to here count as classes by their number, without a list of names.
MOST_CLASSES = 10_000
#: Numbers looked at for what float32 loses, and the share of their spread that it may.
MOST_LOOKED_AT, COARSE = 1_000_000, 0.05
#: So many different whole numbers of a floating type, or fewer, are taken for labels.
MOST_LABELS = 20


def from_arrays(
    x: Any,
    y: Any,
    *,
    test: Pair | None = None,
    validation: Pair | None = None,
    task: Task | str | None = None,
    names: Sequence[str] | None = None,
    dt: float | None = None,
    name: str = "data",
    seed: int = 0,
    test_share: float = TEST_SHARE,
    source: str = "arrays",
) -> Splits:
    """A data set in one line.

    Parameters
    ----------
    x
        (samples, steps, channels); (samples, steps) for one channel; or a list of arrays (steps,
        channels) or (steps,) that differ in length.  A NumPy array that is mapped into memory
        is read in parts.
    y
        One answer a sample: classes (samples,) as text or whole numbers, or numbers (samples,)
        or (samples, outputs).  Or one an input: classes (samples, steps), numbers (samples,
        steps) or (samples, steps, outputs), or a list as long as that of ``x``.
    test, validation
        The same for data that the network must not learn from.  Without ``test`` a share of
        ``test_share`` is split off: stratified by class, drawn with ``seed``; of one single
        long sequence its end.
    task
        A :class:`~spiking_lmu.graph.task.Task` or its words (``"regression last"``); otherwise
        text and whole numbers mean classes, other numbers regression.
    names
        Names of the classes in the order of the network's outputs, or of the outputs.  Whole
        numbers from 0 are places in that order; other labels are sorted if no names are given.
    dt
        Seconds from one input to the next, if known.
    name, source
        Of the data, and where they were found: for reports.
    seed, test_share
        Of the part that is split off for testing.

    Raises
    ------
    DatasetError
        NaN, text where numbers belong, shapes that do not fit, labels that are no classes, one
        class only.

    >>> x = np.arange(24.0).reshape(8, 3)
    >>> data = from_arrays(x, ["no", "yes"] * 4)
    >>> data.train.x.shape, data.test.x.shape, data.train.task.names
    ((6, 3, 1), (2, 3, 1), ('no', 'yes'))
    """
    parts = {"train": (x, y), "validation": validation, "test": test}
    given = {split: pair for split, pair in parts.items() if pair is not None}
    inputs = {split: _inputs(f"{name} {split}", pair[0]) for split, pair in given.items()}
    wanted = Task.parse(task) if isinstance(task, str) else task
    answers = {
        split: _answers(f"{name} {split}", pair[1], *inputs[split], wanted)
        for split, pair in given.items()
    }
    kind = wanted or _guess(name, answers["train"], inputs["train"])
    codes, kind = _encoded(name, answers, kind, names)
    _require_alike(name, inputs, codes, kind)

    def dataset(split: str) -> Dataset:
        values, lengths = inputs[split]
        return Dataset(
            name, split, values, codes[split], kind, lengths, source=source, dt=_seconds(dt)
        )

    whole = {split: dataset(split) for split in given}
    if test is None:
        whole = _split(whole, test_share, seed)
    _require_classes(whole["train"])
    return Splits(name, dict(whole))


def _seconds(dt: float | None) -> float | None:
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise DatasetError(
            "dt", got=repr(dt), expected="seconds from one input to the next", fix="leave it out"
        )
    return dt


def _inputs(what: str, x: Any) -> tuple[Array, Array]:
    """``x`` as (samples, steps, channels), and the steps of each sample."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "O" and x.ndim == 1:
        x = list(x)  # samples that differ in length, as NumPy holds them
    if not hasattr(x, "shape") and isinstance(x, list | tuple):
        rows = [_numbers(f"{what}, sample {i}", row) for i, row in enumerate(x)]
        if not rows or any(row.ndim not in (1, 2) or not row.size for row in rows):
            shapes = sorted({row.shape for row in rows})[:3]
            raise _wrong(what, f"samples of shapes {shapes}", "(steps,) or (steps, channels) each")
        rows = [row[:, None] if row.ndim == 1 else row for row in rows]
        channels = sorted({row.shape[1] for row in rows})
        if len(channels) > 1:
            got = f"samples of {channels[0]} and of {channels[1]} channels"
            raise _wrong(what, got, "the same number of channels in all")
        return padded(rows)
    array = x if isinstance(x, np.memmap) else _numbers(what, x)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or 0 in array.shape:
        raise DatasetError(
            what,
            got=f"x of shape {array.shape}",
            expected="(samples, steps, channels)",
            fix="samples that a network reads at once, such as images, are x.reshape(len(x), 1, -1)"
            if array.ndim > 3
            else "correct the data",
        )
    if array.dtype.kind not in "fiub":
        raise _wrong(what, f"x of {array.dtype}", "real numbers")
    return array, np.full(len(array), array.shape[1])


def _numbers(what: str, values: Any) -> Array:
    """An array of real numbers; whatever cannot become one is told in one line."""
    array = _array(what, values)
    if array.ndim == 0 and array.dtype.kind == "O":
        got, fix = f"a {type(values).__name__}", "pass an array, or a list of one array a sample"
        raise DatasetError(what, got=got, expected="an array of numbers", fix=fix)
    try:
        # An object array of numbers, as pandas gives, is one of numbers.
        array = array.astype(float) if array.dtype.kind == "O" else array
    except (ValueError, TypeError) as error:
        raise _wrong(what, "rows of different lengths, or text", "an array of numbers") from error
    if array.dtype.kind not in "fiub":
        raise _wrong(what, f"text or another kind of value ({array.dtype})", "numbers")
    if array.dtype == np.float32:
        return array
    narrow = narrowed(array, what)
    _require_resolved(what, array, narrow)
    return narrow


def _require_resolved(what: str, array: Array, narrow: Array) -> None:
    """Raise a DatasetError where float32 does not tell the values of a column apart.

    So it is of times since 1970, and of whatever varies little about a large number.
    """
    if array.dtype.kind not in "fiu" or array.dtype.itemsize < 4 or not (array.ndim and array.size):
        return
    rows = max(1, MOST_LOOKED_AT * len(array) // max(1, array.size))
    width = array.shape[-1] if array.ndim > 1 else 1
    given = array[:rows].reshape(-1, width).astype(float)
    spread, lost = given.std(axis=0), (narrow[:rows].reshape(-1, width) - given).std(axis=0)
    # What varies by rounding alone is constant.
    coarse = (lost > COARSE * spread) & (spread > 1e-12 * np.abs(given).max(axis=0, initial=0))
    if coarse.any():
        first = float(given[0, int(coarse.argmax())])
        raise DatasetError(
            what,
            got=f"values like {first:.10g} that float32 does not tell apart",
            expected="values that vary by more than a millionth of their size",
            fix="subtract an offset from them, such as their mean",
        )


def _array(what: str, values: Any) -> Array:
    """An array of any kind; one with masked values is none."""
    if np.ma.is_masked(values):
        got, fix = "masked values", "fill them in, or leave their samples out"
        raise DatasetError(what, got=got, expected="numbers everywhere", fix=fix)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise _wrong(what, "rows of different lengths, or text", "an array of numbers") from error
    except Exception as error:  # other packages' arrays say in their own ways why they are none
        got = f"a {type(values).__name__} that NumPy cannot read ({error})"
        raise DatasetError(what, got=got, expected="an array", fix="pass a NumPy array") from error


def _answers(what: str, y: Any, x: Array, lengths: Array, task: Task | None) -> Array:
    """``y`` as an array whose second axis is that of ``x`` where there is an answer an input."""
    if isinstance(y, list | tuple) and len(y) and np.ndim(y[0]) >= 1:
        rows = [np.asarray(row) for row in y]
        if len({row.shape for row in rows}) > 1:
            if len(rows) != len(lengths) or any(
                len(r) != n for r, n in zip(rows, lengths, strict=True)
            ):
                raise _wrong(what, "answers of other lengths than the inputs", "one an input")
            return _edge_padded(rows)
        y = rows
    array = _array(what, y)
    single = x.shape[1] > 1 or not (task is not None and task.every)
    while array.ndim > 1 and array.shape[1:] == (1,) * (array.ndim - 1) and single:
        # Keras has labels of shape (samples, 1), NengoDL of (samples, 1, 1).
        array = array[..., 0]
    if array.ndim < 1 or len(array) != len(x):
        got = f"{len(array)} answers" if array.ndim else f"y of type {type(y).__name__}"
        got += f" for {len(x)} samples"
        turned = array.ndim > 0 and len(array) == x.shape[1]
        fix = f"put samples first: x has the shape {x.shape}" if turned else "correct the data"
        raise DatasetError(what, got=got, expected="as many answers as samples", fix=fix)
    if array.dtype.kind not in "fiubUSO":
        raise _wrong(what, f"y of {array.dtype}", "numbers or names of classes")
    if array.dtype.kind == "O":
        array = _objects(what, array)
    return array


def _edge_padded(rows: Sequence[Array]) -> Array:
    """Answers of different lengths, each followed by its last, which is a label in any case."""
    most = max(len(row) for row in rows)
    ends = [np.repeat(row[-1:], most - len(row), axis=0) for row in rows]
    return np.stack([np.concatenate(pair) for pair in zip(rows, ends, strict=True)])


def _objects(what: str, array: Array) -> Array:
    """An object array as text or as numbers; a missing value is neither."""
    kinds = {type(value) for value in array.ravel()}
    if kinds <= {str}:
        return array.astype(np.str_)
    try:
        return array.astype(float)
    except (TypeError, ValueError) as error:
        found = ", ".join(sorted(kind.__name__ for kind in kinds)[:3])
        raise _wrong(what, f"answers of several kinds ({found})", "one kind") from error


def _guess(name: str, y: Array, inputs: tuple[Array, Array]) -> Task:
    """The task that training data are for, by dtype and shape."""
    classes = y.dtype.kind in "iubUS"
    steps = inputs[0].shape[1]
    when = "every" if y.ndim > 1 and y.shape[1] == steps and steps > 1 else "last"
    if y.ndim == (2 if when == "last" else 3) and _is_one_hot(y):
        each, shape = ("sample", "") if when == "last" else ("input", f", {steps}")
        raise DatasetError(
            f"{name} train",
            got=f"a single 1 among zeros as the answer of each {each}",
            expected=f"classes (samples,{shape[1:]})",
            fix=f"pass y.argmax(axis=-1), or task='regression {when}' if these are numbers; after "
            f"the name of a file: '?task=regression {when}'",
        )
    if y.ndim == 1 and _are_few_whole(y):
        raise DatasetError(
            f"{name} train",
            got=f"{len(np.unique(y))} different whole numbers as {y.dtype} as answers",
            expected="integers or text for classes",
            fix="pass y.astype(int), or task='regression last' if these are numbers; after the "
            "name of a file: '?task=classification last' or '?task=regression last'",
        )
    if classes and (y.ndim > 2 or (y.ndim == 2 and when == "last")):
        raise _wrong(
            f"{name} train",
            f"{'text' if y.dtype.kind in 'US' else 'whole numbers'} of shape {y.shape} as answers",
            f"classes (samples,) or (samples, {steps}); or task='regression last'",
        )
    return Task("classification" if classes else "regression", when)


def _is_one_hot(y: Array) -> bool:
    """Whether answers (…, outputs) are classes, each written as zeros and a single 1."""
    if y.dtype.kind not in "iubf" or y.shape[-1] < 2:
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all())


def _are_few_whole(y: Array) -> bool:
    """Whether answers (samples,) are labels that were read as floating-point numbers."""
    if y.dtype.kind != "f" or not (np.isfinite(y).all() and (y == np.round(y)).all()):
        return False
    return 2 <= len(np.unique(y)) <= min(MOST_LABELS, len(y) // 2)


def _encoded(
    name: str, answers: dict[str, Array], task: Task, names: Sequence[str] | None
) -> tuple[dict[str, Array], Task]:
    """Answers as a `Dataset` has them, and the task with names."""
    given = tuple(str(n) for n in names) if names is not None else task.names
    if not task.classifies:
        codes = {split: _outputs(f"{name} {split}", y, task) for split, y in answers.items()}
        size = codes["train"].shape[-1]
        if given and len(given) != size:
            raise _wrong("names", f"{len(given)} names for {size} outputs", "one for each")
        return codes, Task(task.kind, task.when, given, task.metric)
    for split, y in answers.items():
        _require_labels(f"{name} {split}", y)
    known = given or _class_names(answers["train"])
    # A number is a name, if all of them are; otherwise a place among the names.
    by_number = not set(_as_text(answers["train"]).ravel().tolist()) <= set(known)
    codes = {split: _codes(f"{name} {split}", y, known, by_number) for split, y in answers.items()}
    return codes, Task(task.kind, task.when, known, task.metric)


def _outputs(what: str, y: Array, task: Task) -> Array:
    """Numbers as (samples, outputs) or (samples, steps, outputs)."""
    if y.dtype.kind not in "fiub":
        raise _wrong(what, "text as answers of a regression", "numbers")
    if y.ndim == (2 if task.every else 1):
        y = y[..., None]
    return y.astype(np.float64)


def _require_labels(what: str, y: Array) -> None:
    if y.dtype.kind in "US" and (np.char.str_len(np.char.strip(y)) == 0).any():
        raise _wrong(what, "a missing label", "text or whole numbers for classes")
    if y.dtype.kind == "f" and not (np.isfinite(y).all() and (y == np.round(y)).all()):
        wrong = y[~(np.isfinite(y) & (y == np.round(y)))].flat[0]
        raise _wrong(what, f"the label {wrong}", "text or whole numbers for classes")


def _class_names(y: Array) -> tuple[str, ...]:
    """Names of the classes in training labels: their numbers from 0, or else sorted."""
    if y.dtype.kind in "US":
        return tuple(sorted(set(np.asarray(y, dtype=np.str_).ravel().tolist())))
    found = np.unique(y.astype(np.int64))
    if found[0] == 0 and found[-1] < MOST_CLASSES:
        return tuple(str(k) for k in range(int(found[-1]) + 1))
    return tuple(str(k) for k in found.tolist())


def _as_text(y: Array) -> Array:
    return y.astype(np.int64).astype(np.str_) if y.dtype.kind in "iubf" else y.astype(np.str_)


def _codes(what: str, y: Array, names: tuple[str, ...], by_number: bool) -> Array:
    """Labels as places among ``names``."""
    if by_number and y.dtype.kind in "iubf":
        codes = y.astype(np.int64)
        outside = codes[(codes < 0) | (codes >= len(names))]
        if outside.size:
            from_one = codes.min() == 1 and codes.max() == len(names)
            raise DatasetError(
                what,
                got=f"the label {outside.flat[0]}",
                expected=f"a class from 0 to {len(names) - 1}",
                fix="pass y - 1, or labels that are names" if from_one else "correct the data",
            )
        return codes
    text = _as_text(y)
    place = {name: k for k, name in enumerate(names)}
    unknown = sorted(set(text.ravel().tolist()) - place.keys())
    if unknown:
        shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
        raise _wrong(what, f"the label {unknown[0][:40]!r}", f"a class of training: {shown}")
    return np.array([place[t] for t in text.ravel().tolist()], dtype=np.int64).reshape(y.shape)


def _require_alike(
    name: str,
    inputs: dict[str, tuple[Array, Array]],
    codes: dict[str, Array],
    task: Task,
) -> None:
    """All parts have the channels, and a regression the outputs, of the training part."""
    channels = inputs["train"][0].shape[2]
    for split, (values, _) in inputs.items():
        if values.shape[2] != channels:
            got = f"{values.shape[2]} channels"
            raise _wrong(f"{name} {split}", got, f"{channels}, as in training")
    if not task.classifies:
        outputs = codes["train"].shape[-1]
        for split, y in codes.items():
            if y.shape[-1] != outputs:
                got = f"answers of {y.shape[-1]} numbers"
                raise _wrong(f"{name} {split}", got, f"{outputs}, as in training")


def _require_classes(train: Dataset) -> None:
    if not train.task.classifies:
        return
    seen = np.unique(train.y[train.mask] if train.task.every else train.y)
    if len(seen) < 2:
        got = f"only the class {train.task.names[int(seen[0])]!r}"
        raise _wrong(train.what, got, "at least two classes")


def _split(whole: dict[str, Dataset], share: float, seed: int) -> dict[str, Dataset]:
    """Split a test part off the training part."""
    if not 0 < share < 1:
        raise _wrong("test_share", repr(share), "a share between 0 and 1")
    require_whole("seed", seed, 0, 2**63 - 1, DatasetError)
    data = whole["train"]
    if len(data) == 1:
        first, last = split_in_time(data, share)
    else:
        chosen = stratified(data, share, seed)
        first, last = part_of(data, "train", ~chosen), part_of(data, "test", chosen)
    return {**whole, "train": first, "test": last}


def part_of(data: Dataset, split: str, chosen: Array) -> Dataset:
    """The samples where ``chosen`` is true, as a part of its own with its own digest."""
    positions = np.flatnonzero(chosen)
    x = np.asarray(data.x[positions])
    return Dataset(
        data.name,
        split,
        x,
        data.y[positions],
        data.task,
        data.lengths[positions],
        source=data.source,
        dt=data.dt,
        picture=data.picture,
    )


def stratified(data: Dataset, share: float, seed: int) -> Array:
    """Which samples to split off: about ``share`` of each class, bool (samples,).

    Of every class with two samples at least one stays and one goes.  Where a sample has no
    single class, ``share`` of all samples.
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(data), dtype=bool)
    single = data.task.classifies and not data.task.every
    groups = data.y if single else np.zeros(len(data), dtype=np.int64)
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        most = len(members) - 1
        chosen[members[: int(np.clip(round(share * len(members)), min(1, most), most))]] = True
    if not chosen.any():
        raise _wrong(data.what, "one sample of each class", "two of some class, to split off one")
    return chosen


def split_in_time(data: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """The beginning and the end of one long sequence; ``share`` is that of the end."""
    length = int(data.lengths[0])
    cut = round((1 - share) * length)
    if not data.task.every or not 0 < cut < length:
        raise _wrong(data.what, "one sample", "several samples, or an answer at every step of one")
    parts = []
    for split, steps in (("train", slice(0, cut)), ("test", slice(cut, length))):
        x, y = np.asarray(data.x[:, steps]), data.y[:, steps]
        parts.append(Dataset(data.name, split, x, y, data.task, source=data.source, dt=data.dt))
    return parts[0], parts[1]


def _wrong(what: str, got: str, expected: str) -> DatasetError:
    return DatasetError(what, got=got, expected=expected, fix="correct the data")

"""Data sets from arrays: shapes, tasks, splits, digests, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiking_lmu.datasets import Dataset, from_arrays
from spiking_lmu.errors import DatasetError
from spiking_lmu.graph.task import Task

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 7, 2))
Y = np.arange(12) % 3


def test_classes_by_number_and_by_name():
    numbers = from_arrays(X, Y).train
    assert numbers.task == Task(names=("0", "1", "2"))
    named = from_arrays(X, Y, names=("rest", "walk", "run")).train
    assert named.task.names == ("rest", "walk", "run")
    assert (named.y == numbers.y).all()
    letters = np.array(["b", "a", "c"])[Y]
    text = from_arrays(X, letters, test=(X, letters)).test
    assert text.task.names == ("a", "b", "c")
    assert (text.y == np.array([1, 0, 2])[Y]).all()
    from_one = from_arrays(X, Y + 1).train
    assert from_one.task.names == ("1", "2", "3")
    assert (from_one.y == numbers.y).all()
    # Named as they are, labels from 1 are names and not places.
    assert (from_arrays(X, Y + 1, names=("1", "2", "3")).train.y == numbers.y).all()
    gap = from_arrays(X, Y * 2, test=(X, Y * 2)).test
    assert gap.classes == 5
    assert (gap.y == Y * 2).all()


@pytest.mark.parametrize(
    ("y", "task", "shape"),
    [
        (Y[:, None, None], Task(names=("0", "1", "2")), (12,)),
        (np.repeat(Y[:, None], 7, 1), Task("classification", "every", ("0", "1", "2")), (12, 7)),
        (Y / 2, Task("regression", "last"), (12, 1)),
        (RNG.normal(size=(12, 4)), Task("regression", "last"), (12, 4)),
        (RNG.normal(size=(12, 7)), Task("regression", "every"), (12, 7, 1)),
        (X, Task("regression", "every"), (12, 7, 2)),
    ],
)
def test_the_task_follows_from_the_answers(y, task, shape):
    data = from_arrays(X, y, test=(X, y)).test
    assert data.task == task
    assert data.y.shape == shape
    assert data.outputs == (3 if task.classifies else shape[-1])


def test_ones_and_zeros_are_numbers_where_that_is_said():
    """One-hot classes would be a regression otherwise, and nobody would notice."""
    data = from_arrays(X, np.eye(3)[Y % 3], task="regression last")
    assert data.train.y.shape[1:] == (3,)


def test_a_task_that_is_said():
    data = from_arrays(X, Y, task="regression last").train
    assert data.task.kind == "regression"
    assert data.y.dtype == np.float64
    floats = from_arrays(X, Y.astype(float), task="classification", names="abc").train
    assert floats.y.dtype == np.int64
    metric = Task("classification", metric="f1")
    assert from_arrays(X, Y, task=metric).train.task.metric == "f1"


@pytest.mark.parametrize("channels", [0, 3])
def test_sequences_of_different_lengths(channels):
    sizes = [3, 5, 4, 5, 2, 3]
    shapes = [(n, channels) if channels else (n,) for n in sizes]
    rows = [RNG.normal(size=shape) + 9 for shape in shapes]
    every = [np.arange(n) % 2 for n in sizes]
    for y in ([0, 1] * 3, every):
        data = from_arrays(rows, y, test=(rows, y)).test
        assert data.ragged
        assert data.lengths.tolist() == sizes
        assert data.x.shape == (6, 5, channels or 1)
        assert (data.x != 0).any(axis=2).sum(axis=1).tolist() == sizes
        for row, (x, n) in enumerate(zip(rows, sizes, strict=True)):
            np.testing.assert_allclose(data.x[row, :n].reshape(x.shape), x, rtol=1e-6)
    words = [np.array(["walking", "is"])[one] for one in every]
    assert from_arrays(rows, words, test=(rows, words)).test.task.names == ("is", "walking")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(2, 9), min_size=2, max_size=5), st.integers(0, 99))
def test_every_class_is_in_both_parts(sizes, seed):
    y = np.repeat(np.arange(len(sizes)), sizes)
    x = np.arange(len(y), dtype=float)[:, None] + np.zeros(4)
    data = from_arrays(x, y, seed=seed)
    numbers = [part.x[:, 0, 0].astype(int).tolist() for part in (data.train, data.test)]
    assert sorted(numbers[0] + numbers[1]) == list(range(len(y)))
    for part, mine in zip((data.train, data.test), numbers, strict=True):
        assert set(part.y.tolist()) == set(range(len(sizes)))
        assert (y[mine] == part.y).all()
    again = from_arrays(x, y, seed=seed)
    assert again.test.digest == data.test.digest


def test_one_long_sequence_is_split_in_time():
    x = np.arange(100.0)[None]
    data = from_arrays(x, x / 7, task="regression every")
    assert data.train.x.ravel().tolist() == list(range(75))
    assert data.test.x.ravel().tolist() == list(range(75, 100))


def test_the_digest_is_that_of_what_is_in_the_arrays():
    data = from_arrays(X, Y, test=(X, Y)).test
    same = from_arrays(X.copy(), Y.copy(), test=(X, Y), name="of another name").test
    assert data.digest == same.digest
    x = data.x.copy()
    x[5, 3, 1] += 1
    others = [
        replace(data, x=x),
        replace(data, y=(data.y + 1) % 3),
        replace(data, task=Task(names=("a", "b", "c"))),
        replace(data, lengths=np.full(12, 6)),
        from_arrays(X[:11], Y[:11], test=(X[:11], Y[:11])).test,
    ]
    digests = {other.digest for other in others}
    assert len(digests) == len(others)
    assert data.digest not in digests
    part = data.subset([7, 2])
    assert part.digest == data.digest
    assert part.indices.tolist() == [7, 2]
    assert part.subset([1]).indices.tolist() == [2]
    # Whoever puts other arrays into a part has other data.
    assert replace(part, x=part.x + 1).digest not in digests | {data.digest}


def test_samples_are_drawn_as_from_images():
    data = from_arrays(X, Y, test=(X, Y)).test
    assert data.draw(4).indices.tolist() == [0, 1, 2, 3]
    order = np.random.default_rng(3).permutation(12)
    assert data.draw(5, 3).indices.tolist() == order[:5].tolist()
    assert data.draw(12, 3).indices.tolist() == order.tolist()
    assert data.draw() is data


def nan():
    x = X.copy()
    x[4, 2, 1] = np.nan
    return x


class Stubborn:
    """An array of another package that does not become one of NumPy's."""

    shape = (12, 7)

    def __array__(self, *_, **__):
        raise RuntimeError("call detach() first")


@pytest.mark.parametrize(
    ("x", "y", "options", "word"),
    [
        (nan(), Y, {}, "sample"),
        (X, np.where(Y == 1, np.nan, 0.5), {}, "infinity in y"),
        (X, np.where(Y == 1, np.nan, 0), {"task": "classification"}, "label nan"),
        (X, Y + 0.5, {"task": "classification"}, "label 0.5"),
        (X, np.zeros(12, int), {}, "only the class"),
        (X, Y[:5], {}, "5 answers for 12"),
        (X, Y, {"names": ("a", "b")}, "label 2"),
        (X, Y, {"test": (X, Y + 5)}, "'5'|label 5"),
        (X, Y, {"test": (X[:, :, :1], Y)}, "1 channels"),
        (X[..., None], Y, {}, r"x.reshape\(len\(x\), 1, -1\)"),
        (X, Y, {"test_share": 0.0}, "test_share"),
        (X, Y, {"dt": -1.0}, "dt"),
        (X, Y, {"seed": -1}, "seed"),
        (X.astype(str), Y, {}, "text"),
        (X.astype(complex), Y, {}, "complex"),
        ([[1, 2, 3], [1, [2], 3]], [0, 1], {}, "different lengths"),
        ([np.ones((3, 2)), np.ones((4, 1))], [0, 1], {}, "channels"),
        ([np.ones(3), np.ones(0)], [0, 1], {}, "shapes"),
        ([np.ones(3), np.ones(4)], [[0, 1, 0], [1, 0]], {}, "other lengths"),
        ([], [], {}, "got"),
        (X, [["a"], 3] * 6, {}, "got"),
        (np.zeros((0, 3, 1)), [], {}, "shape"),
        (X[0, 0], Y, {}, "shape"),
        (X, X.astype(int), {}, "classes"),
        (X, np.where(Y == 1, 1e300, 0.5), {}, r"number 1e\+300 in y"),
        (X, np.eye(3)[Y % 3], {}, r"a single 1 among zeros .* y\.argmax"),
        (X, np.eye(3, dtype=int)[Y % 3], {}, r"y\.argmax"),
        (X, (Y + 1).astype(float), {}, r"3 different whole numbers as float64 .*y\.astype\(int\)"),
        (X.swapaxes(0, 1), Y, {}, r"12 answers for 7 .* put samples first: .*\(7, 12, 2\)"),
        (X[:1], [1], {}, "one sample|only the class"),
        (X, np.array([object()] * 12), {}, "kinds"),
        (X, np.eye(3)[Y[:, None] % 3].repeat(7, axis=1), {}, r"of each input.*argmax\(axis=-1\)"),
        (X, Y + 1, {"names": ("a", "b", "c")}, "pass y - 1"),
        (np.ma.masked_array(X, X > 2), Y, {}, "masked values"),
        (X, np.ma.masked_array(Y, Y == 1), {}, "masked values"),
        (Stubborn(), Y, {}, r"a Stubborn that NumPy cannot read \(call detach\(\) first\)"),
        ((row for row in X), Y, {}, "a generator.* a list of one array a sample"),
        (X, None, {}, "y of type NoneType for 12 samples"),
        (
            X * [1, 10] + [0, 1.7e9],
            Y,
            {},
            "like 1[67][0-9]+ that float32 does not tell apart.*offset",
        ),
        ([1e9 + row[: 3 + k % 4] for k, row in enumerate(X)], Y, {}, "sample 0.*tell apart"),
    ],
)
def test_what_is_no_data_set(x, y, options, word):
    with pytest.raises(DatasetError, match=word) as error:
        from_arrays(x, y, **options)
    assert "\n" not in str(error.value)


def test_what_float32_holds_is_taken():
    for x in (
        X * [1e-9, 1e6] + [0.0, 1e8],
        np.full(X.shape, 0.1) + 1e-17,
        X + np.array([1e4, -1e4]),
        np.full(X.shape, 1.7e9),
        (1000 * X).astype(np.int64) + 10**6,
        np.nan_to_num(X) * 1e-40,
    ):
        assert from_arrays(x, Y).train.channels == 2


def test_columns_of_labels_and_samples_in_an_array_of_objects():
    for x in (X, X[:, :1]):  # one input, too: a row of a table
        for y in (Y[:, None], np.array(list("abc"))[Y % 3][:, None]):
            assert from_arrays(x, y).train.y.ndim == 1
    every = from_arrays(X[:, :1], Y[:, None], task="classification every").train
    assert every.y.shape == (len(every), 1)
    ragged = np.empty(12, dtype=object)
    ragged[:] = [X[k, : 2 + k % 3] for k in range(12)]
    assert from_arrays(ragged, Y).train.digest == from_arrays(list(ragged), Y).train.digest


def test_whole_floats_are_what_the_task_says():
    y = (Y + 1).astype(float)
    assert from_arrays(X, y, task="classification last").train.task.names == ("1", "2", "3")
    numbers = from_arrays(X, y, task="regression last").train
    assert str(numbers.task) == "regression at the last step"
    # As many numbers as samples, or with a fraction, are no labels.
    assert not from_arrays(X, np.arange(12.0)).train.task.classifies
    assert not from_arrays(X, y + 0.5).train.task.classifies


def test_a_dataset_by_hand_is_checked_too():
    names = Task(names=("a", "b", "c"))
    for wrong in (
        lambda: Dataset("d", "test", X, Y + 1, names),
        lambda: Dataset("d", "test", nan(), Y, names),
        lambda: Dataset("d", "test", X, Y, Task()),
        lambda: Dataset("d", "test", X, Y, names, np.full(12, 8)),
        lambda: Dataset("d", "test", X, Y, names, None, np.arange(3)),
        lambda: Dataset("d", "test", X, np.repeat(Y[:, None], 7, 1), names),
        lambda: Dataset("d", "test", X[0], Y, names),
        lambda: Dataset("d", "test", X, Y, names).subset([]),
    ):
        with pytest.raises(DatasetError):
            wrong()
    data = Dataset("d", "test", X, Y, names)
    for array in (data.x, data.y, data.lengths, data.indices):
        assert not array.flags.writeable

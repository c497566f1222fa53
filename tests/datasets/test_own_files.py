"""People's own data by name: files, folders, functions, and what is refused."""

import io
import sys
import zipfile

import numpy as np
import pytest

from spiking_lmu.datasets import files, from_arrays, load
from spiking_lmu.errors import DatasetError, FileError, MissingExtraError, SpikingLmuError

RNG = np.random.default_rng(1)
X = RNG.normal(size=(8, 5, 2)).astype(np.float32)
Y = np.arange(8) % 2
SAME = from_arrays(X, Y)


def same(data):
    assert data.train.x.shape == SAME.train.x.shape
    np.testing.assert_allclose(data.train.x, SAME.train.x, rtol=1e-6)
    assert (data.train.y == SAME.train.y).all()
    np.testing.assert_allclose(data.test.x, SAME.test.x, rtol=1e-6)


def long_rows(x=X, y=Y, times=None):
    times = np.arange(x.shape[1]) * 0.5 if times is None else times
    yield ["sample", "time", "left", "right", "label"]
    for i, (row, label) in enumerate(zip(x, y, strict=True)):
        for t, values in zip(times, row, strict=True):
            name = label if np.ndim(label) == 0 else label[int(t / 0.5)]
            yield [f"s{i}", t, *(f"{v:.9g}" for v in values), name]


def write_rows(path, rows, delimiter=","):
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in rows) + "\n")
    return str(path)


def test_npz(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    same(load(str(tmp_path / "mine.npz")))
    np.savez(tmp_path / "keras.npz", x_train=X, y_train=Y, x_test=X[:3], y_test=Y[:3], dt=0.02)
    data = load(str(tmp_path / "keras.npz"))
    assert len(data.test) == 3
    assert data.train.dt == 0.02
    lengths = np.arange(8) % 3 + 3
    np.savez(tmp_path / "pad.npz", x=X, y=Y, lengths=lengths, names=["no", "yes"])
    data = load(str(tmp_path / "pad.npz"))
    assert sorted([*data.train.lengths, *data.test.lengths]) == sorted(lengths.tolist())
    assert data.train.task.names == ("no", "yes")


def test_pairs_of_npy_are_mapped(tmp_path):
    for stem, xs, ys in (("", X, Y), ("_train", X, Y), ("_test", X[:3], Y[:3])):
        np.save(tmp_path / f"my_x{stem}.npy", xs)
        np.save(tmp_path / f"my_y{stem}.npy", ys)
    data = load(str(tmp_path / "my_x_train.npy"))
    assert isinstance(data.train.x, np.memmap)
    assert not isinstance(data.train.draw(2, 0).x, np.memmap)
    np.testing.assert_array_equal(data.train.x, X)
    whole = from_arrays(X, Y, test=(X[:3], Y[:3]))
    assert data.train.digest == whole.train.digest
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    same(load(str(tmp_path / "x.npy?test=0.25")))


def test_a_large_file_is_not_read_whole(tmp_path):
    """Peak memory of checking 125 MB and drawing 10 samples is far below that."""
    import tracemalloc

    x = np.lib.format.open_memmap(tmp_path / "x_train.npy", "w+", "<f4", (500, 250, 250))
    del x
    np.save(tmp_path / "y_train.npy", np.arange(500) % 2)
    np.save(tmp_path / "x_test.npy", np.zeros((2, 250, 250), np.float32))
    np.save(tmp_path / "y_test.npy", np.arange(2))
    tracemalloc.start()
    data = load(str(tmp_path / "x_train.npy"))
    assert data.train.draw(10, 0).x.shape == (10, 250, 250)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_large_files_without_a_test_part_are_one_line(tmp_path, monkeypatch):
    """To split a part off would copy what was to be mapped."""
    np.save(tmp_path / "x.npy", np.zeros((20, 5, 2), np.float32))
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    assert len(load(str(tmp_path / "x.npy")).train) < 20
    monkeypatch.setattr(files, "MOST_BYTES", 400)
    with pytest.raises(DatasetError, match=r"x_test\.npy beside it"):
        load(str(tmp_path / "x.npy"))
    np.save(tmp_path / "x_test.npy", np.zeros((2, 5, 2), np.float32))
    np.save(tmp_path / "y_test.npy", np.arange(2))
    assert isinstance(load(str(tmp_path / "x.npy")).train.x, np.memmap)


def test_wide_tables(tmp_path):
    one = from_arrays(X[:, :, 0], Y)
    head = ["label", *(f"t{k}" for k in range(5))]
    rows = [[y, *x] for x, y in zip(X[:, :, 0].tolist(), Y.tolist(), strict=True)]
    for delimiter, suffix in ((",", "csv"), (";", "csv"), ("\t", "tsv"), (" ", "txt")):
        for written in ([head, *rows], rows):
            data = load(write_rows(tmp_path / f"w.{suffix}", written, delimiter))
            np.testing.assert_allclose(data.train.x, one.train.x, rtol=1e-6)
            assert (data.train.y == one.train.y).all()
    head = ["class", *(f"{side}_{k}" for side in ("left", "right") for k in range(5))]
    rows = [["ab"[y], *x.T.ravel()] for x, y in zip(X, Y, strict=True)]
    data = load(write_rows(tmp_path / "two.csv", [head, *rows]))
    same(data)
    assert data.train.task.names == ("a", "b")
    assert load(str(tmp_path / "two.csv") + "?label=class&test=0.5").test.x.shape[0] == 4


def test_numbers_in_the_names_of_columns_say_the_order_of_the_steps(tmp_path):
    x = RNG.normal(size=(8, 12))
    columns = sorted(f"t{k}" for k in range(12))
    assert columns[:3] == ["t0", "t1", "t10"]
    rows = [[k % 2, *row[[int(c[1:]) for c in columns]]] for k, row in enumerate(x)]
    data = load(write_rows(tmp_path / "sorted.csv", [["label", *columns], *rows]))
    np.testing.assert_allclose(data.train.x, from_arrays(x, np.arange(8) % 2).train.x, rtol=1e-6)


def test_long_tables(tmp_path):
    path = write_rows(tmp_path / "long.csv", long_rows())
    data = load(path)
    same(data)
    assert data.train.dt == 0.5
    rows = list(long_rows())
    shuffled = [rows[0], *[rows[i] for i in 1 + RNG.permutation(len(rows) - 1)]]
    names = [row[0] for row in shuffled[1:]]
    assert names != sorted(names)
    again = load(write_rows(tmp_path / "shuffled.csv", shuffled))
    both = [
        sorted(map(tuple, d.train.x[:, :, 0].tolist() + d.test.x[:, :, 0].tolist()))
        for d in (again, data)
    ]
    np.testing.assert_allclose(*both, rtol=1e-6)
    # Rows left out: samples of different lengths.
    fewer = [row for row in rows if not (row[0] == "s3" and row[1] in (1.5, 2.0))]
    data = load(write_rows(tmp_path / "ragged.csv", fewer))
    assert sorted([*data.train.lengths, *data.test.lengths]) == [3, *[5] * 7]


def test_dates_are_times(tmp_path):
    """ISO dates with T or a space, with dashes or slashes; rows in any order."""
    rows = list(long_rows())
    for form in ("2024-03-01T23:59:{:04.1f}", "2024/03/01 23:59:{:04.1f}"):
        dated = [rows[0], *([r[0], form.format(r[1]), *r[2:]] for r in reversed(rows[1:]))]
        dated[0] = ["sample", "date", *rows[0][2:]]
        data = load(write_rows(tmp_path / "dated.csv", dated))
        assert data.train.dt == pytest.approx(0.5)
        assert data.train.x.shape == SAME.train.x.shape


def test_a_column_that_numbers_the_rows_is_no_channel_and_no_sample_of_one_input(tmp_path):
    head = ["id", "label", *(f"t{k}" for k in range(5))]
    rows = [
        [i, y, *x] for i, (x, y) in enumerate(zip(X[:, :, 0].tolist(), Y.tolist(), strict=True))
    ]
    data = load(write_rows(tmp_path / "mine.csv", [head, *rows]))
    assert data.train.x.shape[1:] == (5, 1)


def test_what_a_table_lacks_is_said_with_what_to_do(tmp_path):
    rows = [["species", "a", "b"], *[[name, 1.0, 2.0] for name in "xyxy"]]
    path = write_rows(tmp_path / "mine.csv", rows)
    with pytest.raises(DatasetError, match=r"mine.csv\?label=NAME"):
        load(path)
    assert load(path + "?label=species").train.task.names == ("x", "y")
    rows[2][0] = ""
    with pytest.raises(DatasetError, match="a missing label"):
        load(write_rows(tmp_path / "mine.csv", rows) + "?label=species")


def test_numbers_that_float32_does_not_hold_are_one_line(tmp_path):
    with pytest.raises(DatasetError, match=r"1e\+300"):
        from_arrays(np.full((4, 3), 1e300), [0, 1, 0, 1])
    mixed = np.ones((4, 3))
    mixed[1, 0], mixed[2, 0] = 1e300, np.inf
    with pytest.raises(DatasetError, match=r"1e\+300"):
        from_arrays(mixed, [0, 1, 0, 1])
    np.save(tmp_path / "x.npy", mixed)
    with pytest.raises(DatasetError, match=r"1e\+300"):
        from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"), [0, 1, 0, 1])


def test_a_stream_labelled_at_every_step(tmp_path):
    y = RNG.integers(0, 2, (8, 5))
    data = load(write_rows(tmp_path / "s.csv", long_rows(y=y)))
    assert data.train.task.every
    assert data.train.y.shape == data.train.x.shape[:2]
    one = load(write_rows(tmp_path / "one.csv", [row[1:] for row in long_rows(X[:1], y[:1])]))
    assert one.train.task.every
    assert (len(one.train.x[0]), len(one.test.x[0])) == (4, 1)


def test_a_column_of_numbers_is_a_regression(tmp_path):
    path = write_rows(tmp_path / "r.csv", long_rows(y=Y + 0.25))
    assert str(load(path).train.task) == "regression at the last step"
    head = ["a", "b", "t0", "t1", "t2"]
    rows = RNG.normal(size=(8, 5)).tolist()
    path = write_rows(tmp_path / "two.csv", [head, *rows])
    data = load(path + "?label=a,b").train
    assert data.y.shape[1:] == (2,)
    assert data.x.shape[1:] == (3, 1)


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs: pip install 'spiking-lmu[parquet]'")
    import pyarrow.parquet as pq

    rows = list(long_rows())
    columns = list(zip(*rows[1:], strict=True))
    kinds = (str, float, float, float, int)
    table = {n: [k(v) for v in c] for n, c, k in zip(rows[0], columns, kinds, strict=True)}
    pq.write_table(pa.table(table), tmp_path / "mine.parquet")
    same(load(str(tmp_path / "mine.parquet")))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(FileError):
        load(str(tmp_path / "bad.parquet"))


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"pip install 'spiking-lmu\[parquet\]'"):
        load(str(tmp_path / "mine.parquet"))


def test_folders(tmp_path):
    for i, (x, y) in enumerate(zip(X, Y, strict=True)):
        folder = tmp_path / "classes" / "ab"[y]
        folder.mkdir(parents=True, exist_ok=True)
        if i % 2:
            np.save(folder / f"{i}.npy", x)
        else:
            np.savetxt(folder / f"{i}.csv", x, delimiter=",")
    data = load(str(tmp_path / "classes"))
    assert data.train.task.names == ("a", "b")
    assert data.train.x.shape[1:] == (5, 2)
    split = tmp_path / "split"
    split.mkdir()
    write_rows(split / "train.csv", long_rows())
    write_rows(split / "test.csv", long_rows(X[:2], Y[:2]))
    data = load(str(split))
    assert (len(data.train), len(data.test), data.train.dt) == (8, 2, 0.5)
    pair = tmp_path / "pair"
    pair.mkdir()
    np.save(pair / "x.npy", X)
    np.save(pair / "y.npy", Y)
    same(load(str(pair)))


def test_a_function_of_a_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_data_module.py").write_text(
        "import numpy as np\nrng = np.random.default_rng(1)\n"
        "x, y = rng.normal(size=(8, 5, 2)).astype('f4'), np.arange(8) % 2\n"
        "def pair(): return x, y\n"
        "def two(): return (x, y), (x[:3], y[:3])\n"
        "def leaves(): raise SystemExit(3)\n"
        "def fails(): raise RuntimeError('two\\nlines')\n"
        "def none(): return 7\n"
    )
    same(load("own_data_module:pair"))
    assert len(load("own_data_module:two").test) == 3
    for name in ("leaves", "fails", "none", "absent"):
        with pytest.raises(DatasetError) as error:
            load(f"own_data_module:{name}")
        assert "\n" not in str(error.value)


def saved(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


HEADER = b"\x93NUMPY\x01\x00\xf4\x01" + b"(" * 500
BAD = {
    "nothing.npz": b"",
    "text.npz": b"hello",
    "parentheses.npz": npz(x=HEADER, y=saved(Y)),
    "pickle.npz": npz(x=saved(np.array([{}]), allow_pickle=True), y=saved(Y)),
    "x_only.npz": npz(x=saved(X)),
    "other.npz": npz(a=saved(X)),
    "lengths.npz": npz(x=saved(X), y=saved(Y), lengths=saved(np.arange(8))),
    "nan.npz": npz(x=saved(X * np.nan), y=saved(Y)),
    "one_class.npz": npz(x=saved(X), y=saved(0 * Y)),
    "alone_x.npy": saved(X),
    "array.npy": saved(X),
    "empty.csv": b"",
    "header.csv": b"label,a,b\n",
    "ragged.csv": b"label,a,b\n0,1,2\n1,2\n",
    "text.csv": b"label,a,b\n0,1,two\n1,2,3\n0,1,1\n1,2,2\n",
    "missing.csv": b"label,a,b\n0,1,\n1,2,3\n0,1,1\n1,2,2\n",
    "nan.csv": b"label,a,b\n0,1,nan\n1,2,3\n0,1,1\n1,2,2\n",
    "unlabelled.csv": b"kind,a,b\n0,1,2\n1,2,3\n",
    "only_labels.csv": b"label\n0\n1\n",
    "twice.csv": b"label,a,a\n0,1,2\n1,2,3\n",
    "latin.csv": "label,größe\n0,1\n".encode("latin-1"),
    "times.csv": b"sample,time,a,label\n1,0,1,0\n1,0,2,0\n2,0,1,1\n2,1,1,1\n",
    "splits.csv": b"split,label,a\nmaybe,0,1\ntrain,1,2\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises((DatasetError, FileError)) as error:
        load(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_archives_that_are_too_large_to_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 100)
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    write_rows(tmp_path / "mine.csv", long_rows())
    for name in ("mine.npz", "mine.csv"):
        with pytest.raises(FileError, match=r"x\.npy and y\.npy"):
            load(str(tmp_path / name))


@pytest.mark.parametrize(
    "name",
    ["", "none", "no/such/folder/", "absent.npz", "x" * 5000, "a\0b.npz", "mod:", ":f", 3, "?a=1"],
)
def test_names_that_are_none(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpikingLmuError) as error:
        load(name)
    assert "\n" not in str(error.value)


def test_options_that_are_none(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    for options in ("seed=one", "labels=3", "task=poetry", "test=2", "task=regression+now"):
        with pytest.raises(SpikingLmuError):
            load(f"{tmp_path / 'mine.npz'}?{options}")


@pytest.mark.parametrize("name", ["mine.npz", "x.npy"])
def test_headers_that_are_no_headers_are_one_line(tmp_path, name):
    """NumPy's own reader raises a tokenizer's error for this one."""
    content = b"\x93NUMPY\x01\x00\xf4\x01" + b"(" * 500
    if name == "mine.npz":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("x.npy", content)
    else:
        (tmp_path / name).write_bytes(content)
        np.save(tmp_path / "y.npy", Y)
    with pytest.raises(FileError, match="header"):
        load(str(tmp_path / name))


def test_one_long_cell_does_not_make_all_long(tmp_path):
    """A NumPy array of text is as wide as its longest: 10,000 rows and one long cell were 5 GB."""
    rows = ["a,label", "x" * 100_000 + ",1", *["1,0"] * 10_000]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    with pytest.raises(DatasetError, match="longer cell"):
        load(str(tmp_path / "mine.csv"))

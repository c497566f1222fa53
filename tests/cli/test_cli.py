"""The command line as a user meets it: help, a whole run, and a table of bad input."""

import gzip
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu import datasets
from spiking_lmu.cli.main import main
from spiking_lmu.conversion import measure_activity
from spiking_lmu.datasets.mnist_files import SHIPPED
from spiking_lmu.files import slmu
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model

from ..helpers.fresh_python import needs

HEAVY = ("numpy", "scipy", "nengo", "nengo_dl", "nengo_loihi", "tensorflow", "keras", "tf_keras")
HEAVY += ("matplotlib", "jinja2", "rich", "dask", "distributed")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a small untrained rate model for psMNIST, and the same converted."""
    folder = tmp_path_factory.mktemp("models")
    rate, spiking = str(folder / "rate.slmu"), str(folder / "spiking.slmu")
    graph = build(LmuSpec(order=4, units=8))
    x = datasets.load("psmnist", "test", samples=2).x
    slmu.save(Model(graph, activity=measure_activity(graph, x)), rate)
    assert main(["convert", rate, "-o", spiking, "--settle-steps", "5"]) == 0
    return folder


@pytest.fixture
def small(models, tmp_path, monkeypatch):
    """A folder of the test's own with both models, in which it runs."""
    monkeypatch.chdir(tmp_path)
    for path in models.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        "import spiking_lmu",
        *(f"main({c!r})" for c in (["--help"], ["compare", "--help"], ["--version"])),
    ],
)
def test_help_and_import_load_nothing_heavy(arguments):
    call = (
        arguments
        if arguments.startswith("import")
        else (
            f"from spiking_lmu.cli.main import main\ntry:\n    {arguments}\nexcept SystemExit: pass"
        )
    )
    code = f"import sys\n{call}\nprint('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_public_names_are_sorted_and_there():
    assert sorted(spiking_lmu.__all__) == spiking_lmu.__all__
    for name in spiking_lmu.__all__:
        assert getattr(spiking_lmu, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = spiking_lmu.nothing


def test_compare_writes_reports_and_resumes(small, capsys):
    command = ["compare", "spiking.slmu", "--targets", "reference", "--samples", "4"]
    files = ["--report", "r.html", "--json", "r.json", "--markdown", "r.md"]
    assert main([*command, *files]) == 0
    first = json.loads((small / "r.json").read_text())
    assert first["provenance"]["command"].startswith("spiking-lmu compare spiking.slmu")
    assert "<html" in (small / "r.html").read_text()
    assert "reference" in (small / "r.md").read_text()
    journals = {path: path.stat().st_mtime_ns for path in (small / "spiking.journal").iterdir()}
    assert main([*command, *files]) == 0
    assert {path: path.stat().st_mtime_ns for path in journals} == journals
    assert json.loads((small / "r.json").read_text())["rows"] == first["rows"]
    assert "reference" in capsys.readouterr().out


def test_compare_stops_when_the_difference_is_known(small, capsys):
    command = ["compare", "spiking.slmu", "--targets", "reference", "--workers", "1"]
    assert main([*command, "--samples", "40", "--until", "±50", "--json", "r.json"]) == 0
    report = json.loads((small / "r.json").read_text())
    run = report["rows"][1]
    assert run["options"]["until"] == {"points": 50, "reached": True, "samples": run["n"]}
    assert run["options"]["seed"] == 0
    assert "--until" in report["provenance"]["command"]
    assert "valid at every look" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["models", "targets"])
def test_lists(command, capsys):
    assert main([command]) == 0
    expected = "psmnist-ff-relu" if command == "models" else "reference"
    assert expected in capsys.readouterr().out


def test_a_missing_extra_shows_the_whole_command(monkeypatch, capsys):
    from importlib.util import find_spec

    from spiking_lmu.backends import target

    monkeypatch.setattr(
        target, "find_spec", lambda name: None if "loihi" in name else find_spec(name)
    )
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["targets"]) == 0
    assert "pip install 'spiking-lmu[loihi]'" in capsys.readouterr().out


def test_inspect_shows_every_projection(small, capsys):
    assert main(["inspect", "rate.slmu"]) == 0
    shown = capsys.readouterr().out
    for name in ("lmu.m_to_m", "lmu.m_to_h", "readout"):
        assert name in shown


def test_a_memory_as_a_line_is_no_feedback(small, capsys):
    options = ["--memory", "line", "--bits", "1", "--settle-steps", "20", "-o", "line.slmu"]
    assert main(["convert", "rate.slmu", *options]) == 0
    assert "feed back" not in capsys.readouterr().out
    graph = build(LmuSpec(order=4, units=8, cell="recurrent"))
    slmu.save(Model(graph, activity=measure_activity(graph, np.ones((2, 9, 1)))), "cell.slmu")
    assert main(["convert", "cell.slmu", "-o", "spikes.slmu"]) == 0
    assert "feed back" in capsys.readouterr().out


def test_run_prints_one_target(small, capsys):
    assert main(["run", "spiking.slmu", "--samples", "2", "--json", "run.json"]) == 0
    assert json.loads((small / "run.json").read_text())["rows"][1]["target"] == "reference"
    assert "reference" in capsys.readouterr().out


def truncated(folder):
    whole = (folder / "rate.slmu").read_bytes()
    (folder / "bad.slmu").write_bytes(whole[: len(whole) // 2])


def renamed(folder):
    (folder / "bad.slmu").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))


def objects(folder):
    np.savez(folder / "bad.npz", a=np.array([{"never": "unpickled"}], dtype=object))


def nan_params(folder):
    np.savez(folder / "bad.npz", np.array([np.nan, 1.0]))


def images(folder, content):
    (folder / "data").mkdir()
    name = "t10k-images-idx3-ubyte.gz"
    (folder / "data" / name).write_bytes(gzip.compress(content))
    labels = SHIPPED / "mnist" / "t10k-labels-idx1-ubyte.gz"
    shutil.copy(labels, folder / "data")


def altered_images(folder):
    shipped = SHIPPED / "mnist" / "t10k-images-idx3-ubyte.gz"
    images(folder, gzip.decompress(shipped.read_bytes())[:-1] + b"\x07")


def bomb(folder):
    images(folder, bytes(30_000_000))


COMPARE = [
    "compare",
    "spiking.slmu",
    "--targets",
    "reference",
    "--samples",
    "2",
    "--report",
    "out.html",
]
CONVERT = ["convert", "rate.slmu", "-o", "out.slmu"]
CALIBRATE = [*CONVERT, "--calibrate", "--target", "reference", "--data", "psmnist"]
EXPLAIN = ["explain", "spiking.slmu", "--target", "reference", "--json", "out.json"]
TRAIN = ["train", "psmnist", "-o", "out.slmu"]
BAD = {
    "truncated file": (truncated, ["convert", "bad.slmu", "-o", "out.slmu"], "whole ZIP"),
    "renamed file": (renamed, ["convert", "bad.slmu", "-o", "out.slmu"], "whole ZIP"),
    "missing file": (None, ["convert", "nothing.slmu", "-o", "out.slmu"], "no file"),
    "a folder": (None, ["inspect", "."], "a folder"),
    "object arrays": (objects, ["inspect", "bad.npz"], "bad.npz"),
    "NaN parameters": (nan_params, ["inspect", "bad.npz"], "bad.npz"),
    "parameters without network": (
        nan_params,
        ["convert", "bad.npz", "-o", "out.slmu"],
        "--network",
    ),
    "no such network": (
        nan_params,
        ["convert", "bad.npz", "-o", "out.slmu", "--network", "no_such:thing"],
        "no_such",
    ),
    "order 0": (None, [*TRAIN, "--order", "0"], "order"),
    "no epochs": (None, [*TRAIN, "--epochs", "-1"], "--epochs"),
    "too much dropout": (None, [*TRAIN, "--dropout", "1"], "--dropout"),
    "neuron of the other cell": (None, [*TRAIN, "--neuron", "tanh"], "tanh"),
    "wrong checksum": (altered_images, [*COMPARE, "--folder", "data"], "data"),
    "zip bomb": (bomb, [*COMPARE, "--folder", "data"], "data"),
    "no such folder of data": (None, [*COMPARE, "--folder", "nowhere"], "nowhere"),
    "unknown data set": (None, [*COMPARE, "--data", "cifar"], "cifar"),
    "unknown target": (None, [*COMPARE, "--targets", "truenorth"], "truenorth"),
    "unknown target to convert for": (None, [*CONVERT, "--target", "truenorth"], "truenorth"),
    "no samples": (None, [*COMPARE, "--samples", "0"], "--samples"),
    "until no number": (None, [*COMPARE, "--until", "±nan"], "--until ±0.5"),
    "until nothing is left": (None, [*COMPARE, "--until", "0"], "--until: got '0'"),
    "samples that are no pair": (None, [*COMPARE, "--samples-on", "loihi"], "TARGET=N"),
    "samples on a target not run": (None, [*COMPARE, "--samples-on", "loihi=2"], "--samples-on"),
    "no workers": (None, [*COMPARE, "--workers", "0"], "--workers"),
    "no memory": (None, [*COMPARE, "--memory-limit", "2 spoons"], "2 spoons"),
    "less than no verification": (None, [*COMPARE, "--verify", "-1"], "--verify"),
    "not a scheduler": (None, [*COMPARE, "--cluster", "localhost"], "tcp://HOST:PORT"),
    "workers of two kinds": (
        None,
        [*COMPARE, "--cluster", "tcp://localhost:8786", "--workers", "2"],
        "one of the two",
    ),
    "too many samples": (None, [*COMPARE, "--samples", "10001"], "10001"),
    "rate model to compare": (
        None,
        ["compare", "rate.slmu", "--report", "out.html"],
        "a rate model",
    ),
    "models of the same name": (None, ["compare", "spiking.slmu", *COMPARE[1:]], "called spiking"),
    "spiking model to convert": (
        None,
        ["convert", "spiking.slmu", "-o", "out.slmu"],
        "spiking model",
    ),
    "rate model to explain": (None, ["explain", "rate.slmu"], "a rate model"),
    "no samples to explain": (None, [*EXPLAIN, "--samples", "-3"], "got -3"),
    "too many samples to explain": (None, [*EXPLAIN, "--samples", "20000"], "20000"),
    "data of another shape": (
        None,
        [*EXPLAIN, "--data", "mnist", "--samples", "2"],
        "784 numbers an input",
    ),
    "picture into a missing folder": (None, [*EXPLAIN, "--picture", "none/a.svg"], "none/a.svg"),
    "less than nothing to explain": (None, [*COMPARE, "--explain", "-1"], "--explain"),
    "too much to explain": (None, [*COMPARE, "--explain", "20000"], "20000"),
    "explanation without a page": (None, [*COMPARE[:-2], "--explain"], "--report"),
    "no calibration samples": (None, [*CALIBRATE, "--calibration-samples", "-1"], "got -1"),
    "calibration of a negative seed": (None, [*CALIBRATE, "--seed", "-1"], "--seed"),
    "spiking model to calibrate": (
        None,
        ["convert", "spiking.slmu", *CALIBRATE[2:]],
        "a spiking model",
    ),
    "weights cut off too low": (None, [*CONVERT, "--clip-weights", "10"], "--clip-weights"),
    "rate above all bounds": (None, [*CONVERT, "--max-rate", "0"], "--max-rate"),
    "no steps": (None, [*CONVERT, "--steps-per-input", "0"], "steps per input"),
    "negative filter": (None, [*CONVERT, "--readout-tau", "-1"], "readout filter"),
    "report into a missing folder": (
        None,
        ["compare", "spiking.slmu", "--samples", "2", "--report", "none/out.html"],
        "does not exist",
    ),
    "output into a missing folder": (
        None,
        ["convert", "rate.slmu", "-o", "none/out.slmu"],
        "folder",
    ),
    "no command": (None, [], "COMMAND"),
    "no such option": (None, [*CONVERT, "--colour"], "--colour"),
}


#: Names of networks are looked up once NengoDL is there.
MARKS = {"no such network": needs("nengo-dl")}


@pytest.mark.parametrize("case", [pytest.param(case, marks=MARKS.get(case, ())) for case in BAD])
def test_bad_input_gets_one_line_and_writes_nothing(small, capsys, case):
    prepare, arguments, message = BAD[case]
    if prepare:
        prepare(small)
    before = sorted(small.rglob("*"))
    capsys.readouterr()
    assert main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("spiking-lmu: ")
    assert message in lines[0]
    assert ": got " in lines[0]
    assert ", expected " in lines[0]
    assert sorted(small.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["convert", "rate.slmu", "-o", "rate.slmu"],
            "--output: got rate.slmu, which is the model",
        ),
        (["train", "mine.npz", "-o", "./mine.npz"], "which is --data too"),
        (["convert", "rate.slmu", "-o", "s.slmu", "--to", "link.slmu"], "--to: .*the model"),
        (["tune", "rate.slmu", "--data", "mine.npz?seed=1", "-o", "mine.npz"], "is --data too"),
        (["compare", "a.slmu", "rate.slmu", "--json", "rate.slmu"], "--json: .*the models"),
        (["compare", "a.slmu", "--json", "r", "--markdown", "r"], "which is --json too"),
        (["energy", "a.slmu", "--report", "r.json", "--json", "r.json"], "which is --report too"),
        (["apply", "p.npz", "--to", "rate.slmu", "-o", "rate.slmu"], "which is --to too"),
    ],
)
def test_nothing_is_written_over_what_is_read(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    for name in ("rate.slmu", "mine.npz"):
        (tmp_path / name).write_bytes(b"kept")
    (tmp_path / "link.slmu").symlink_to("rate.slmu")
    assert main(arguments) == 1
    assert re.search(says, capsys.readouterr().err)
    for name in ("rate.slmu", "mine.npz"):
        assert (tmp_path / name).read_bytes() == b"kept"


def test_debug_shows_the_traceback(small):
    with pytest.raises(spiking_lmu.SpikingLmuError):
        main(["inspect", "nothing.slmu", "--debug"])

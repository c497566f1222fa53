"""The API as a notebook meets it: the example of the README, and what results can do."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spiking_lmu as sl
from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.errors import SpecError

ROOT = Path(__file__).parents[1]
QUIET = {"workers": 1, "progress": False}


def test_names_are_sorted_and_there():
    assert sorted(sl.__all__) == sl.__all__
    tree = ast.parse(Path(sl.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        for line in node.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert typed == set(sl.__all__)
    assert set(sl.__all__) <= set(dir(sl))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sl.nothing


@pytest.mark.parametrize("name", sl.__all__)
def test_every_name_says_what_it_is_with_an_example(name):
    text = inspect.getdoc(getattr(sl, name)) or ""
    assert len(text.splitlines()[0]) > 10
    if not inspect.ismodule(getattr(sl, name)):
        shown = ">>>" in text or "::\n" in text or f"{name}(" in text
        assert shown, f"{name} has no example"


@pytest.mark.parametrize("name", sl.__all__)
def test_every_parameter_is_described(name):
    made, text = getattr(sl, name), inspect.getdoc(getattr(sl, name)) or ""
    if dataclasses.is_dataclass(made):
        wanted = [field.name for field in dataclasses.fields(made) if field.init]
    elif inspect.isfunction(made):
        wanted = list(inspect.signature(made).parameters)
        assert "Raises\n" in text or not wanted
    else:
        return
    heads = re.findall(r"^\w[\w, *]*$", text, re.MULTILINE)
    described = {one.strip(" *") for head in heads for one in head.split(",")}
    assert set(wanted) <= described


@pytest.fixture(scope="module")
def dense():
    """A rate model, its conversion, and a little data."""
    rate = sl.load("mnist-dense")
    spiking = sl.convert(rate, target="loihi", settle_steps=20)
    return rate, spiking, sl.datasets.load("mnist").test


@pytest.fixture(scope="module")
def compared(dense):
    _, spiking, data = dense
    return sl.compare(spiking, data, targets=["reference"], samples=6, explain=4, **QUIET)


def test_a_comparison_is_a_table_everywhere(compared, tmp_path):
    assert [o.target for o in compared.outcomes] == ["reference"]
    assert "rate model" in str(compared)
    assert "<table>" in compared._repr_html_()
    assert "<script" not in compared._repr_html_()
    compared.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert 'id="h-ladder"' in page
    assert 'id="h-energy"' in page
    assert json.loads(compared.to_json())["rows"][1]["n"] == 6
    assert compared.to_markdown().startswith("# ")


def test_every_result_shows_itself(dense, compared):
    _, spiking, _ = dense
    results = [
        compared,
        compared.explanations[0],
        compared.tradeoffs[0],
        sl.check(spiking, "reference"),
        sl.energy(spiking, compared),
    ]
    for result in results:
        json.loads(result.to_json())
        assert result._repr_html_().startswith("<div")
        assert result.to_html().startswith("<!DOCTYPE html>")
        assert result.to_markdown().startswith("# ")
        assert str(result)
        assert repr(result) == str(result)
        assert "\x1b" not in str(result)
    for result in (compared.explanations[0], compared.tradeoffs[0]):
        assert result.to_svg().startswith("<svg xmlns")
    with pytest.raises(SpecError, match="something to draw"):
        results[3].to_svg()


def test_a_notebook_shows_ladders_and_spikes_as_pictures(compared):
    pictures = 'alt="([^"]+)" src="data:image/svg'
    (raster,) = re.findall(pictures, compared._repr_html_())
    assert "reference, sample 3577: 33 spikes in 21 steps" in raster
    (ladder,) = re.findall(pictures, compared.explanations[0]._repr_html_())
    assert "rate model" in ladder


def test_a_notebooks_print_has_the_text(compared, monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert "rate model" in str(compared)
    assert "\x1b" not in str(compared)


def test_parts_of_a_model_show_themselves_without_their_numbers(dense):
    rate, spiking, data = dense
    assert repr(data) == (
        "Dataset('mnist test': 10,000 samples of 1 input, 784 channels; "
        "classification at the last step, 10 outputs)"
    )
    assert repr(rate).startswith("rate model for classification at the last step\nTiming(")
    assert repr(spiking.graph).splitlines() == [
        "Graph from x to readout",
        "  x        784 linear",
        "  hidden   128 spiking_relu",
        "  readout  10 linear",
        "  x -> hidden: 128 × 784",
        "  hidden -> readout: 10 × 128",
    ]
    slow = sl.convert(rate, neuron="lif", settle_steps=5).graph
    assert "array(" not in repr(slow)


def test_results_are_data_frames(compared):
    pytest.importorskip("pandas", reason="needs: pip install 'spiking-lmu[pandas]'")
    frame = compared.to_dataframe()
    assert frame["target"].tolist() == ["rate", "reference"]
    assert frame["n"].tolist() == [6, 6]
    assert len(compared.tradeoffs[0].to_dataframe()) == len(compared.tradeoffs[0].points)


def test_without_targets_all_that_can_run_do_and_the_rest_is_said(monkeypatch):
    from spiking_lmu.analysis import comparison
    from spiking_lmu.backends.registry import FoundTarget

    model, x = small_lmu()
    found = [
        FoundTarget("reference", sl.get_target("reference")),
        FoundTarget("elsewhere", None, "no such machine"),
    ]
    monkeypatch.setattr(comparison, "find_targets", lambda: found)
    task = sl.Task(names=("a", "b", "c"))
    data = sl.Dataset("made-up", "test", x, [0, 1, 2, 0], task)
    result = sl.compare(model, data, **QUIET)
    assert result.missing == {"elsewhere": "no such machine"}
    assert "elsewhere did not run: no such machine" in str(result)
    assert "no such machine" in result.to_html()
    assert "no such machine" in result.to_markdown()


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"samples": 0}, "samples: got 0"),
        ({"workers": 0}, "workers: got 0"),
        ({"memory": "2 spoons"}, "memory: got '2 spoons'"),
        ({"until": "much"}, "until: got 'much'"),
        ({"options": {"colour": "red"}}, "colour: got 'red'"),
        ({"samplez": 3}, "samplez: got 3"),
    ],
)
def test_wrong_values_are_value_errors_that_name_the_parameter(dense, choices, says):
    _, spiking, data = dense
    with pytest.raises(ValueError, match=f"^{says}"):
        sl.compare(spiking, data, "reference", progress=False, **choices)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: sl.datasets.load("mnist"), "all parts of mnist.*pass one: data.train"),
        (lambda: sl.datasets.load("mnist").test.x, "ndarray.*from_arrays"),
        (lambda: "mnist", "text.*load.'mnist'..train"),
        (lambda: None, "NoneType"),
    ],
)
def test_what_is_no_dataset_is_a_value_error_everywhere(dense, data, says):
    rate, spiking, _ = dense
    wrong, quiet = data(), {"progress": False}
    calls = {
        "choose": lambda: sl.choose(rate, wrong, "reference", **quiet),
        "compare": lambda: sl.compare(spiking, wrong, "reference", **QUIET),
        "explain": lambda: sl.explain(spiking, wrong, target="reference", **QUIET),
        "calibrate": lambda: sl.calibrate(rate, wrong, target="reference", **QUIET),
        "tradeoff": lambda: sl.tradeoff(spiking, wrong, target="reference", **QUIET),
        "fine_tune": lambda: sl.fine_tune(rate, wrong, **quiet),
    }
    if wrong is not None:
        calls["convert"] = lambda: sl.convert(rate, "reference", wrong, **quiet)
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"^data: got {says}"):
            pytest.fail(f"{name} took it: {call()}")


def test_what_is_no_model_is_a_value_error_everywhere(dense, tmp_path):
    rate, spiking, data = dense
    functions = {
        "calibrate": lambda wrong: sl.calibrate(wrong, data, target="reference"),
        "check": lambda wrong: sl.check(wrong, "reference"),
        "choose": lambda wrong: sl.choose(wrong, data, "reference", progress=False),
        "choose_memory": lambda wrong: sl.choose_memory(wrong, data, "reference"),
        "compare": lambda wrong: sl.compare(wrong, data, "reference", **QUIET),
        "compare several": lambda wrong: sl.compare([spiking, wrong], data, "reference", **QUIET),
        "convert": lambda wrong: sl.convert(wrong, "reference", data, progress=False),
        "energy": lambda wrong: sl.energy(wrong, []),
        "explain": lambda wrong: sl.explain(wrong, data, target="reference"),
        "fine_tune": lambda wrong: sl.fine_tune(wrong, data, progress=False),
        "free_run": lambda wrong: sl.free_run(wrong, data, 3),
        "save": lambda wrong: sl.save(wrong, tmp_path / "no.slmu"),
        "to_nir": sl.to_nir,
        "tradeoff": lambda wrong: sl.tradeoff(wrong, data, target="reference"),
    }
    for wrong, says in (
        (rate.graph, r"models?: got Graph, .*pass spiking_lmu.Model\(graph\)"),
        ("a.slmu", "models?: got str, .*load it: spiking_lmu.load"),
        (None, "models?: got NoneType"),
    ):
        for name, call in functions.items():
            with pytest.raises(ValueError, match=f"^{says}"):
                pytest.fail(f"{name} took it: {call(wrong)}")
    with pytest.raises(ValueError, match=r"^graph: got Model, .* pass model.graph"):
        sl.run_reference(rate, data.x[:1])
    with pytest.raises(sl.errors.FileError, match=r"^model: got Model, expected a file"):
        sl.load(rate)
    assert not list(tmp_path.iterdir())


def test_settings_by_position_are_told_by_their_names():
    with pytest.raises(ValueError, match=r"^settings: got 'recurrent', .*cell='recurrent'"):
        sl.train("mnist", "recurrent")


def test_calibrate_measures_activity_that_a_model_does_not_bring(dense):
    rate, _, data = dense
    bare = dataclasses.replace(rate, activity={})
    given = {"max_rate": 100.0, "settle_steps": 10, "readout_tau": 0.01, "code": "rate"}
    given["synapse_tau"] = 0.005
    settings = sl.RunSettings(workers=1)
    made = sl.calibrate(bare, data, "reference", calibration_samples=4, settings=settings, **given)
    assert {p.name for p in made.model.graph.spiking} <= set(made.model.activity)


def test_training_and_energy_say_what_they_take(dense):
    _, spiking, data = dense
    with pytest.raises(ValueError, match=r"^data: got Dataset, expected all parts"):
        sl.train(data)
    with pytest.raises(ValueError, match=r"^runs: got Dataset, expected a comparison"):
        sl.energy(spiking, data)


def test_data_of_a_network_that_reads_at_once_are_told_how_to_lie(dense):
    rate, _, data = dense
    turned = sl.Dataset("mine", "train", data.x[:40].reshape(40, 784, 1), data.y[:40], data.task)
    with pytest.raises(sl.errors.DatasetError, match=r"x.reshape\(len\(x\), 1, 784\)"):
        sl.choose(rate, turned, "reference", progress=False)


SCRIPT = """
import spiking_lmu as sl
model = sl.convert(sl.load("mnist-dense"), target="reference", settle_steps=5)
data = sl.datasets.load("mnist")
result = sl.compare(model, data.test, "reference", samples=8, workers=2, verify=0)
print(result.outcomes[0].problem or len(result.outcomes[0].indices))
"""


@pytest.mark.slow
def test_a_script_needs_no_main_guard(tmp_path):
    """Workers do not run the script again."""
    (tmp_path / "five_lines.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "five_lines.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "8\n", done.stderr

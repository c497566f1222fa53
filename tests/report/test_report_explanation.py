"""The page's sections that say why: from a real ladder and trade-off of a small model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spiking_lmu import datasets
from spiking_lmu.analysis.energy import Counts, energy_report, load_devices
from spiking_lmu.analysis.explain import explain
from spiking_lmu.analysis.tradeoff import Grid, tradeoff
from spiking_lmu.cli.main import main
from spiking_lmu.conversion import convert, default_options
from spiking_lmu.files.zoo import load_model
from spiking_lmu.report.explanation import as_sections
from spiking_lmu.report.ladder_plot import waterfall
from spiking_lmu.report.ladder_words import verdict

from ..helpers.made_up import make_comparison
from ..helpers.report_page import Tags, screenshot

SAMPLES = 40


@pytest.fixture(scope="module")
def parts():
    """An explanation, a trade-off and what a sample costs."""
    rate = load_model("mnist-dense")
    model = convert(rate, default_options(rate, max_rate=5.0))
    data = datasets.load("mnist", "test", samples=SAMPLES)
    settings = {"samples": None, "workers": 1, "verify": 0, "progress": False, "name": "<b>dense"}
    why = explain(model, data, "reference", **settings)
    curve = tradeoff(model, data, "reference", Grid((10, 50), (0.01,)), **settings)
    counts = Counts("reference", SAMPLES, 51, {"hidden": 100.0}, {"hidden": "nengo"})
    costs = energy_report(model, [counts], load_devices(None))
    return (why,), (curve,), (replace(costs, model="<b>dense"),)


def test_sections_name_their_figures_and_escape_names(parts):
    text = str(as_sections(*parts))
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.names
    assert "b" not in tags.names
    assert not tags.unnamed
    assert len(tags.ids) == len(set(tags.ids))
    assert all(ref.startswith("#") for ref in tags.refs)
    # A waterfall and a curve, wide and narrow, and a histogram.
    assert text.count("<svg") == 5


def test_sections_say_what_was_found(parts):
    text = str(as_sections(*parts))
    ladder, advice = parts[0][0].ladder, parts[0][0].advice
    assert ladder.blamed.name == "spikes"
    assert "raise max_rate" in advice[0].fix
    assert advice[0].fix in text
    assert "spikes" in verdict(ladder)
    assert "loihi alone" in text
    for step in ladder.steps:
        assert step.name in waterfall(ladder, "x")


def test_a_ladder_is_safe_as_json(parts):
    import json

    document = json.loads(parts[0][0].to_json())
    assert document["blamed"] == "spikes"
    assert document["rungs"][0]["step"] is None
    assert document["rungs"][-1]["score"]["n"] == SAMPLES
    (layer,) = document["rungs"][-1]["layers"]
    assert sum(layer["histogram"]) == SAMPLES * 128


def test_a_page_without_explanation_has_no_such_sections():
    assert not str(as_sections()).strip()


@pytest.mark.parametrize("width", [1200, 400])
def test_the_whole_page_renders(parts, tmp_path, width):
    path = tmp_path / "report.html"
    explanations, tradeoffs, costs = parts
    comparison = make_comparison()
    replace(
        comparison, images={}, explanations=explanations, tradeoffs=tradeoffs, costs=costs
    ).to_html(path)
    pixels = screenshot(path, tmp_path, width, 5000)
    dark = (pixels.min(axis=2) < 0.5).mean(axis=1)
    assert all(dark[top : top + 300].any() for top in range(0, 4500, 300))
    assert (pixels[:, -8:] > 0.9).all()


REPORTS = ["--report", "r.html", "--json", "r.json", "--markdown", "r.md"]


def compared(tmp_path, monkeypatch, error):
    """Compare with an explanation that fails with ``error``; returns the exit code and the page."""

    def fail(*_, **__):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("spiking_lmu.analysis.comparison.explained", fail)
    assert main(["convert", "mnist-dense", "-o", "spiking.slmu", "--settle-steps", "5"]) == 0
    command = ["compare", "spiking.slmu", "--targets", "reference", "--data", "mnist"]
    code = main([*command, "--samples", "2", "--workers", "1", "--explain", "2", *REPORTS])
    return code, Path("r.html").read_text("utf-8")


def test_a_failing_explanation_costs_no_report(tmp_path, monkeypatch, capsys):
    code, page = compared(tmp_path, monkeypatch, RuntimeError("no reason"))
    assert code == 0
    assert "spiking on reference is not explained: RuntimeError: no reason" in (
        capsys.readouterr().out
    )
    assert Path("r.json").exists()
    assert Path("r.md").exists()
    assert 'id="h-energy"' in page
    assert 'id="h-ladder"' not in page


def test_an_interrupted_explanation_costs_no_report(tmp_path, monkeypatch, capsys):
    code, page = compared(tmp_path, monkeypatch, KeyboardInterrupt())
    assert code == 130
    assert "Interrupted" in capsys.readouterr().out
    assert Path("r.json").exists()
    assert 'id="h-ladder"' not in page

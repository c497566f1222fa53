"""Rows, words and text reports of a made-up comparison."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.errors import FileError, SpecError
from spiking_lmu.report import headline, rows, to_rich, write_html, write_json, write_markdown
from spiking_lmu.report.markdown import as_markdown
from spiking_lmu.report.traces import drawn
from spiking_lmu.report.words import difference, sentence
from spiking_lmu.runs.results import Outcome, Trace

from ..helpers.made_up import CLASSES, TARGETS, N, hostile, make_comparison, one


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return make_comparison()


def pick(comparison: Comparison, target: str, neuron: str = "LIF"):
    return next(r for r in rows(comparison) if (r.target, r.neuron) == (target, neuron))


def test_rows_put_the_rate_model_first_for_each_model(comparison):
    assert [r.target for r in rows(comparison)] == 2 * ["rate", *TARGETS]
    rate = rows(comparison)[0]
    assert rate.paired is None
    assert (rate.score.correct, rate.spikes_per_sample) == (N - 4, None)


@pytest.mark.parametrize("width", [64, 80, 100, 160])
def test_a_narrow_terminal_gets_fewer_columns_and_no_number_cut_short(comparison, width):
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(to_rich(comparison))
    said = console.export_text()
    for row in rows(comparison):
        assert said.count(row.target if row.target != "rate" else "rate model") >= 2
        assert difference(row) in said
    assert "…" not in said
    assert ("In a wider terminal:" in said) == ("n/s" not in said.partition("─")[0])
    assert ("In a wider terminal:" in said) == (width < 100)


def test_a_partial_outcome_is_compared_on_its_own_images(comparison):
    outcome = comparison.outcomes[-1]
    row = pick(comparison, "loihi")
    rate = comparison.rate[outcome.model]
    ours = outcome.decisions == comparison.labels[:120]
    theirs = (rate.decisions == comparison.labels)[:120]
    assert row.partial
    assert (row.n, row.wanted) == (120, 200)
    assert row.rate_score.correct == theirs.sum()
    assert row.paired.n == 120
    assert row.paired.only_b == (theirs & ~ours).sum() > 0
    assert row.paired.difference == pytest.approx(100 * (ours.mean() - theirs.mean()))
    assert row.where == "host 2, chip emulator 3"


def test_samples_are_matched_by_number_not_by_place(comparison):
    """A target may finish its samples in any order."""
    outcome = comparison.outcomes[0]
    back = slice(None, None, -1)
    turned = one(comparison, indices=outcome.indices[back], outputs=outcome.outputs[back])
    assert rows(turned)[1].paired == rows(comparison)[1].paired
    assert rows(turned)[1].agreement == rows(comparison)[1].agreement


@pytest.mark.parametrize(
    ("wrong", "n", "verdict", "says"),
    [
        (0, 5000, "kept", "no difference found"),
        (0, 100, "unclear", "too few samples to tell"),
        (3, 400, "unclear", "too few samples to tell"),
        (9, 100, "lost", "loses 9.0 points"),
        (100, 5000, "lost", "loses 2.00 points"),
    ],
)
def test_verdicts_follow_from_the_numbers(wrong, n, verdict, says):
    labels = np.zeros(n, dtype=int)
    outputs = np.tile([1.0, 0.0], (n, 1))
    worse = outputs.copy()
    worse[:wrong] = [0.0, 1.0]
    rate = Outcome("a", "r", "rate", np.arange(n), outputs, {}, {}, 1.0, 1, n)
    spiking = Outcome("a", "s", "t", np.arange(n), worse, {}, {}, 1.0, 1, n)
    made = Comparison("d", n, np.arange(n), labels, {}, ("0", "1"), {"a": rate}, (spiking,))
    row = rows(made)[1]
    assert row.verdict == verdict
    assert says in sentence(row)
    assert (says if verdict != "lost" else "T loses") in headline(rows(made)).replace(
        "Too", "too"
    ).replace("No", "no")


def test_several_runs_lose_and_one_loses():
    labels, n = np.zeros(100, dtype=int), 100
    right = np.tile([1.0, 0.0], (n, 1))
    worse = right.copy()
    worse[:20] = [0.0, 1.0]
    rate = Outcome("a", "r", "rate", np.arange(n), right, {}, {}, 1.0, 1, n)
    both = tuple(Outcome("a", kind, "t", np.arange(n), worse, {}, {}, 1.0, 1, n) for kind in "su")
    made = Comparison("d", n, np.arange(n), labels, {}, ("0", "1"), {"a": rate}, both)
    assert headline(rows(made)).startswith("Both runs lose 20.0 points")
    made = dataclasses.replace(made, outcomes=both[:1])
    assert headline(rows(made)).startswith("T loses 20.0 points")


def test_headline_names_what_lost_first(comparison):
    text = headline(rows(comparison))
    assert text.startswith("Loihi loses ")
    assert "too few samples to tell" in text
    assert headline(()) == "No spiking run to compare yet."


def test_an_outcome_without_samples_says_why(comparison, tmp_path):
    empty = one(
        comparison,
        indices=np.zeros(0, dtype=int),
        outputs=np.zeros((0, CLASSES)),
        spikes={},
        placement={},
        seconds=0.0,
        traces=(),
        problem="no module 'nengo_loihi'",
    )
    row = rows(empty)[1]
    assert (row.verdict, row.score, row.samples_per_second) == ("absent", None, None)
    assert headline(rows(empty)) == "Reference did not run."
    for write in (write_html, write_markdown, write_json):
        write(empty, tmp_path / "report")
        assert "did not run" in (tmp_path / "report").read_text().replace("Did", "did")
    assert "no module 'nengo_loihi'" in terminal(empty)


def test_a_sample_that_was_not_asked_for_is_refused(comparison):
    with pytest.raises(SpecError, match="only samples that were asked for"):
        rows(one(comparison, indices=comparison.indices + 1))


def test_a_model_without_a_rate_model_has_no_difference(comparison, tmp_path):
    alone = dataclasses.replace(comparison, rate={})
    assert all(row.paired is None for row in rows(alone))
    for write in (write_html, write_markdown, write_json):
        write(alone, tmp_path / "report")
    assert "no rate model to compare with" in sentence(rows(alone)[0])


def terminal(comparison: Comparison) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(to_rich(comparison))
        return console.export_text()


def test_terminal_table_fits_100_columns(comparison):
    text = terminal(comparison)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    assert "120/200" in text
    assert "SpikingRectifiedLinear" in text  # names are not folded
    assert "interrupted by the user" in text


def strict(path: Path):
    def refuse(text: str) -> None:
        raise AssertionError(text)

    return json.loads(path.read_bytes(), parse_constant=refuse)


def test_markdown_says_where_a_model_comes_from_in_a_line(comparison):
    provenance = {
        "seed": 3,
        "versions": {"numpy": "2.1", "nengo": "4.1"},
        "models": {
            "a": {"training": {"command": "train it", "curve": [{"loss": 1.0}] * 99}},
            "b": 1,
        },
    }
    text = as_markdown(dataclasses.replace(comparison, provenance=provenance))
    lines = text.partition("## Provenance")[2].split("\n")
    assert [line for line in lines if line] == [
        "- seed: 3",
        "- versions: numpy 2.1, nengo 4.1",
        "- a: trained by train it",
        "- b: trained by a way unrecorded",
    ]


def test_json_is_strict_and_complete(comparison, tmp_path):
    odd = dataclasses.replace(comparison, provenance={"x": np.float32("nan"), "y": Path("z")})
    write_json(odd, tmp_path / "r.json")
    document = strict(tmp_path / "r.json")
    assert (document["schema_version"], document["provenance"]) == (1, {"x": None, "y": "z"})
    assert document["samples"] == comparison.indices.tolist()
    last, outcome = document["rows"][-1], comparison.outcomes[-1]
    assert last["decisions"] == outcome.decisions.tolist()
    assert last["spikes"] == sum(outcome.spikes.values()).tolist()
    assert np.sum(last["confusion"]) == 120
    assert last["accuracy"]["value"] == last["accuracy"]["correct"] / 120
    assert last["placement"]["m"] == "chip emulator"
    assert last["options"]["target_version"] == "1.1.0"


def test_markdown_has_a_line_for_each_row(comparison, tmp_path):
    write_markdown(comparison, tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows(comparison))
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {14}
    assert "interrupted by the user" in text


def test_a_missing_folder_is_a_user_error(comparison, tmp_path):
    with pytest.raises(FileError, match="a folder that can be written"):
        write_json(comparison, tmp_path / "no" / "r.json")


def test_hostile_names_stay_text(comparison, tmp_path):
    bad = hostile(comparison)
    write_json(bad, tmp_path / "r.json")
    assert strict(tmp_path / "r.json")["data"] == bad.data
    write_markdown(bad, tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text()
    assert not re.search(r"(?<!\\)<script", text)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {14}
    assert "\x1b" not in text + terminal(bad)


@pytest.mark.parametrize(("verified", "samples"), [(1, "1 sample"), (12, "12 samples")])
def test_every_report_says_what_was_verified(comparison, tmp_path, verified, samples):
    text = f"{samples} identical to the stock engine, spike for spike"
    checked = one(comparison, verified=verified)
    assert text in str(to_rich(checked).caption)
    for write, name in ((write_html, "a.html"), (write_markdown, "a.md"), (write_json, "a.json")):
        write(checked, tmp_path / name)
        assert text in (tmp_path / name).read_text()
        write(one(comparison, verified=0), tmp_path / name)
        assert "identical" not in (tmp_path / name).read_text()
    write_json(checked, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["rows"][1]["verified"] == verified


def test_the_largest_populations_are_drawn_and_always_the_last():
    names = ["go", "late", *(f"line{k}" for k in range(4)), *(f"gate{k}" for k in range(4)), "h"]
    sizes = {name: 1 if name in ("go", "late") else 100 for name in names} | {"h": 30}
    trace = Trace(0, np.zeros((4, 2)), {name: np.zeros((0, 2), int) for name in names})
    assert drawn(trace, sizes) == ["line0", "line1", "line2", "line3", "gate0", "h"]

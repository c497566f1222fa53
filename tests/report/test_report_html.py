"""The HTML report of a made-up comparison: self-contained, escaped, rendered."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.report import rows, write_html, write_json, write_markdown
from spiking_lmu.runs.results import Trace

from ..helpers.made_up import CLASSES, hostile, make_comparison, one
from ..helpers.report_page import Tags, screenshot


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return make_comparison()


@pytest.fixture(scope="module")
def page(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(comparison, path)
    assert path.stat().st_size < 3_000_000
    return path


def test_html_fetches_nothing_and_names_its_figures(page):
    text = page.read_text()
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//""", text, re.I)
    assert not re.search(r"""url\(\s*["']?\s*(?:https?:)?//|@import""", text, re.I)
    assert "default-src 'none'" in text
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.names
    assert not tags.unnamed
    assert all(ref.startswith(("#", "data:image/png;base64,")) for ref in tags.refs)
    assert len(tags.ids) == len(set(tags.ids))
    assert {ref[1:] for ref in tags.refs if ref.startswith("#")} <= set(tags.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(tags.ids)


def test_html_says_what_the_table_says(comparison, page):
    text = page.read_text()
    for row in rows(comparison)[1:]:
        assert row.target in text
    assert "partial run: 120 of 200" in text
    assert text.count('aria-label="psmnist') == 2 * len(comparison.outcomes)
    assert text.count('aria-label="Confusion matrix') == len(rows(comparison))
    assert "decides 8, wrongly" in text or ", wrongly, it is " in text
    assert "9f9f9f" in text
    assert "<details>" in text


def test_hostile_names_stay_text(comparison, tmp_path):
    write_html(hostile(comparison), tmp_path / "r.html")
    tags = Tags()
    tags.feed((tmp_path / "r.html").read_text())
    assert "script" not in tags.names


def test_odd_traces_are_drawn(comparison, tmp_path):
    """Silent populations, outputs that are not finite, and a picture that is none."""
    index = int(comparison.indices[0])
    readout = np.full((30, CLASSES), np.nan)
    readout[3:, 0] = np.inf
    trace = Trace(index, readout, {"silent": np.zeros((0, 2)), "loud": np.array([[29, 3]])})
    stray = Trace(-1, readout, {})
    odd = dataclasses.replace(
        one(comparison, traces=(trace, stray), seconds=float("nan")),
        images={index: np.zeros(784)},
        classes=("零", *"123456789"),
    )
    write_html(odd, tmp_path / "r.html")
    assert f"Sample {index}" in (tmp_path / "r.html").read_text()
    write_json(odd, tmp_path / "r.json")
    assert "NaN" not in (tmp_path / "r.json").read_text()
    write_markdown(odd, tmp_path / "r.md")


@pytest.mark.parametrize("width", [1200, 400])
def test_html_renders(page, tmp_path, width):
    pixels = screenshot(page, tmp_path, width, 3000)
    dark = (pixels.min(axis=2) < 0.5).mean(axis=1)
    # Text or figures in every 300 rows, nothing cut off at the right edge.
    assert all(dark[top : top + 300].any() for top in range(0, 2700, 300))
    assert (pixels[:, -8:] > 0.9).all()

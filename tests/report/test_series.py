"""Figures of samples that are series."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spiking_lmu.graph.task import Task
from spiking_lmu.graph.timing import Timing
from spiking_lmu.report.series import series_plot
from spiking_lmu.runs.results import Trace


def test_the_layer_that_the_readout_reads_is_drawn_however_many_lines_come_before_it():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    names = [f"line.{kind}{bit}" for kind in ("bit", "", "gate") for bit in range(4)]
    spikes = {name: np.array([[1, 0], [2, 1]]) for name in [*names, "hidden"]}
    sizes = {name: 2 if "bit" in name else 30 for name in names} | {"hidden": 5}
    task = Task("regression", names=("level",))
    trace = Trace(0, np.zeros((12, 1)), spikes)
    drawn = series_plot(
        trace, np.zeros((12, 1)), np.array([0.0]), task, Timing(), sizes, "one", "loihi"
    )
    assert "hidden" in drawn
    assert "line.gate0" in drawn
    assert "line.bit0" not in drawn


def test_a_raster_is_as_wide_as_its_axis():
    """The scale of its image has all decimals: with two it was 18 steps of 934 too narrow."""
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    from spiking_lmu.report.traces import trace_plot

    steps = 934
    spikes = {"hidden": np.array([[step, step % 300] for step in range(steps)])}
    trace = Trace(0, np.zeros((steps, 2)), spikes)
    svg = trace_plot(trace, {"hidden": 300}, 0, 0, ("a", "b"), "one", "loihi")
    ((left, width),) = set(re.findall(r'<rect x="([\d.]+)" y="3.6" width="([\d.]+)"', svg))
    (pixels,) = re.findall(r'<image [^>]*width="(\d+)"', svg)
    (matrix,) = re.findall(r'<image [^>]*transform="matrix\(([^)]+)\)', svg)
    scale, *_, at, _ = map(float, matrix.split())
    assert at == pytest.approx(float(left), abs=0.02)
    assert scale * int(pixels) == pytest.approx(float(width), abs=0.02)


def test_numbers_in_a_figure_are_not_cut():
    """Coordinates have two decimals; 0.025 beside a tick stays 0.025."""
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    from spiking_lmu.report.canvas import new_figure, style, to_svg

    with style():
        figure, axes = new_figure(2, 2)
        axes.set_xlim(0.0, 0.1)
        axes.set_xticks([0.025, 0.075])
        axes.annotate("residual 0.00512", (0.05, 0.5))
        drawn = to_svg(figure, "one", "a figure")
    figure.axes[0].set_title("letters that are paths")
    letters = to_svg(figure, "two", "a figure")
    assert set(re.findall(r"scale\((0\.01[^)]*)\)", letters)) == {"0.015625"}
    assert all(text in drawn for text in (">0.025<", ">0.075<", ">residual 0.00512<"))
    assert not re.search(r'[ML] \d+\.\d{3}|x="\d+\.\d{3}', drawn)

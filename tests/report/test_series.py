"""Figures of samples that are series."""

from __future__ import annotations

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

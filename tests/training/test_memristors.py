"""Memristors against the power law, and the channel that they learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiking_lmu.compat import import_nengo
from spiking_lmu.report.channel_plot import plot_channels
from spiking_lmu.training.online import memristor
from spiking_lmu.training.online.channel import learn_channel
from spiking_lmu.training.online.memristor import Memristors, conductance_range

from ..helpers.own_rules import DT

nengo = import_nengo()


@given(st.floats(1.0, memristor.MOST_PULSES))
def test_pulses_and_conductance_are_inverse(pulses):
    share = float(memristor.normalised(pulses))
    assert 0.0 <= share <= 1.0
    assert memristor.pulses_for(share) == pytest.approx(pulses, rel=1e-6)


@given(st.floats(-1.0, 1.0))
def test_pairs_start_at_the_weights_they_are_given(weight):
    state = Memristors(2.0).start(np.array([[2.0 * weight]]))
    up, down = memristor.normalised(state)
    assert 2.0 * (up - down) == pytest.approx(2.0 * weight, abs=1e-9)


def test_pulses_follow_the_power_law_and_end_at_the_bound():
    rule = Memristors(3.0)
    state, weights = np.full((1, 2, 1, 1), 100.0), np.zeros((1, 1, 1))

    def step(error):
        return rule.step(np.full((1, 1), 50.0), np.full((1, 1), error), weights, state, DT)

    for _ in range(7):
        change, state = step(-0.01)
        weights = weights + change
    siemens = [1 / (200 + 2.3e8 * n**-0.146) for n in (1, 100, 107, 10_000)]
    expected = 3.0 * (siemens[2] - siemens[1]) / (siemens[3] - siemens[0])
    assert weights.item() == pytest.approx(expected, rel=1e-9)
    state[:, 0] = 10_000
    assert step(-1.0)[1].ravel().tolist() == [10_000, 100]


def test_memristors_learn_the_channel_and_stall_in_siemens():
    learned = learn_channel(Memristors(1e-3), duration=10.0, off=8.0)
    stalled = learn_channel(Memristors(conductance_range()), duration=1.0, off=0.5)
    assert learned.nrmse < 0.3
    assert stalled.nrmse > 0.99
    assert np.abs(learned.weights).max() < 1e-3


def test_the_channel_learns_until_it_is_off():
    stopped, switched_off = (
        learn_channel(nengo.PES(1e-3), duration, off, neurons=10).weights
        for duration, off in ((0.2, 1.0), (0.4, 0.2))
    )
    assert stopped.any()
    assert (stopped == switched_off).all()


def test_channels_are_drawn_the_same_each_time(tmp_path):
    run = learn_channel(nengo.PES(1e-3), duration=0.2, off=0.1, neurons=10)
    for name in ("a.svg", "b.svg"):
        plot_channels({"PES": run}, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes()
    assert drawn.startswith(b"<?xml")


def test_the_moving_error_is_the_rms_of_its_window():
    run = learn_channel(nengo.PES(1e-3), duration=1.2, off=0.6, neurons=10)
    difference = (run.output - run.stimulus)[350:850]
    assert run.error[600] == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-3)

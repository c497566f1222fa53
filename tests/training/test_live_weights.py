"""Weights read and written while a network runs."""

from __future__ import annotations

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import MissingExtraError, SpecError, TargetError
from spiking_lmu.training.online.channel import build_channel
from spiking_lmu.training.online.delay import online_learning
from spiking_lmu.training.online.live import read_weights, write_weights
from spiking_lmu.training.online.memristor import Memristors
from spiking_lmu.training.online.rule import Writable

from ..helpers.own_rules import DT, constant, simulator

nengo = import_nengo()


@pytest.mark.parametrize("target", ["reference", "nengo-dl"])
def test_weights_are_read_and_written_while_it_runs(target):
    first, second = np.array([[1.0, 0, 0], [0, 1, 0]]), np.array([[0.5, -1, 2], [3, 0, 0.25]])
    network = constant(Writable(), first)
    with simulator(network, target) as run:
        run.run_steps(2, progress_bar=False)
        assert (read_weights(run, network.learned) == first).all()
        write_weights(run, network.learned, second)
        assert (read_weights(run, network.learned) == second).all()
        run.run_steps(2, progress_bar=False)
        np.testing.assert_allclose(
            run.data[network.probe][-4:], [[1, 2], [1, 2], [4.5, 3.75], [4.5, 3.75]], rtol=1e-6
        )


@pytest.mark.parametrize("target", ["reference", "nengo-dl"])
def test_a_rule_goes_on_from_what_was_written(target):
    """PES with constant error and activity: w(k) = w(0) - (k - 1) rate dt / n error activity."""
    error, activity, written = np.array([1.0, -2.0]), np.arange(1.0, 4.0), np.full((2, 3), 0.7)
    network = constant(nengo.PES(0.5, pre_synapse=None), np.zeros((2, 3)), error)
    slope = 0.5 * DT / 3 * np.outer(error, activity)
    with simulator(network, target) as run:
        run.run_steps(11, progress_bar=False)
        np.testing.assert_allclose(read_weights(run, network.learned), -10 * slope, rtol=1e-5)
        write_weights(run, network.learned, written)
        run.run_steps(1, progress_bar=False)
        # to the bit of the precision: what the step before had computed is gone
        assert np.abs(read_weights(run, network.learned) - written).max() < 1e-7
        run.run_steps(4, progress_bar=False)
        np.testing.assert_allclose(
            read_weights(run, network.learned), written - 4 * slope, rtol=1e-6
        )


@pytest.mark.parametrize("target", ["reference", "nengo-dl"])
def test_memristors_go_on_from_what_was_written(target):
    written = np.array([[0.2, -0.3, 0.05], [1.0, -1.0, 0.0]])
    network = constant(Memristors(1.0, active=1.5, pre_synapse=None), written * 0, [0.0, -1.0])
    with simulator(network, target) as run:
        write_weights(run, network.learned, written)
        run.run_steps(2, progress_bar=False)
        found = read_weights(run, network.learned)
    np.testing.assert_allclose(found[0], written[0], atol=1e-5)  # no error
    assert abs(found[1, 0] - 1.0) < 1e-5  # neuron too slow
    assert found[1, 1] > -1.0 + 1e-2  # its other device had had no pulse yet
    assert found[1, 2] > 1e-4


def test_samples_can_be_written_apart():
    network = constant(Writable(), np.zeros((1, 3)))
    written = np.arange(6.0).reshape(2, 1, 3)
    with simulator(network, "nengo-dl", minibatch_size=2) as run:
        write_weights(run, network.learned, written)
        run.run_steps(1, progress_bar=False)
        assert (run.data[network.probe].ravel() == [8, 26]).all()
        write_weights(run, network.learned, written[1])
        assert (read_weights(run, network.learned) == written[[1, 1]]).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros((3, 2)), r"got shape \(3, 2\), expected \(2, 3\)"),
        (np.full((2, 3), np.nan), "infinite or undefined"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    network = constant(Writable(), np.ones((2, 3)))
    with simulator(network) as run:
        with pytest.raises(SpecError, match=message):
            write_weights(run, network.learned, weights)
        assert (read_weights(run, network.learned) == 1).all()


def test_constants_are_read_and_not_written():
    network = constant(None, np.ones((2, 3)))
    with simulator(network) as run:
        assert (read_weights(run, network.learned) == 1).all()
        with pytest.raises(SpecError, match=r"constants, .* learning_rule_type=Writable\(\)"):
            write_weights(run, network.learned, np.zeros((2, 3)))
    with pytest.raises(SpecError, match="closed simulator"):
        read_weights(run, network.learned)
    with pytest.raises(TargetError, match="got int"):
        read_weights(1, network.learned)


def test_connections_without_weights_say_so():
    with nengo.Network() as network:
        plain = nengo.Connection(nengo.Node(1.0), nengo.Node(size_in=1), transform=None)
    with simulator(network) as run, pytest.raises(SpecError, match="no weights"):
        read_weights(run, plain)


def test_the_emulator_reads_pes_and_refuses_the_rest():
    try:
        online = online_learning("loihi")
    except (MissingExtraError, TargetError):
        pytest.skip("nengo-loihi is not installed")
    channel = build_channel(nengo.PES(1e-3), off=1.0, neurons=20)
    with channel.network:
        other = nengo.Connection(channel.learned.pre, nengo.Node(size_in=1))
    with online.simulator(channel.network, DT, 0, 1e-3) as run:
        run.run_steps(100)
        weights = read_weights(run, channel.learned)
        assert weights.shape == (1, 20)
        assert weights.any()
        with pytest.raises(TargetError, match="its own learning rules"):
            write_weights(run, channel.learned, weights)
        with pytest.raises(TargetError, match="learns by PES there"):
            read_weights(run, other)

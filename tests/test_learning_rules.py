"""Rules of one's own against Nengo's own rules, live weights and memristors against closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.compat.quiet import quiet_import
from spiking_lmu.errors import MissingExtraError, SpecError, TargetError
from spiking_lmu.learning import memristor
from spiking_lmu.learning.channel import build_channel, learn_channel
from spiking_lmu.learning.channel_plot import plot_channels
from spiking_lmu.learning.delay import online_learning
from spiking_lmu.learning.live import read_weights, write_weights
from spiking_lmu.learning.memristor import Memristors, conductance_range
from spiking_lmu.learning.rule import LearningRule, StatefulRule, Writable

nengo = import_nengo()
DT = 0.001


class OwnPES(LearningRule):
    """nengo.PES, written again."""

    def __init__(self, rate, pre_synapse=0.005):
        super().__init__(pre_synapse)
        self.rate = rate

    def change(self, pre, signal, weights, dt):
        alpha = -self.rate * dt / pre.shape[1]
        return alpha * signal[:, :, None] * pre[:, None, :]


class TensorPES(OwnPES):
    def change(self, pre, signal, weights, dt):
        return 0.0 * weights

    def change_tf(self, pre, signal, weights, dt):
        return -self.rate * dt / pre.shape[1] * signal[:, :, None] * pre[:, None, :]


class OwnOja(LearningRule):
    """nengo.Oja without filters, written again."""

    reads = "post"

    def __init__(self, rate, beta):
        super().__init__(None)
        self.rate, self.beta = rate, beta

    def change(self, pre, signal, weights, dt):
        post = signal[:, :, None]
        return self.rate * dt * post * (pre[:, None, :] - self.beta * post * weights)


def teaching(rule, post="node", neurons=30):
    """Two dimensions that a connection learns to pass on."""
    with nengo.Network(seed=1) as network:
        wave = nengo.Node(lambda t: [np.sin(20 * t), np.cos(30 * t)])
        pre = nengo.Ensemble(neurons, 2)
        ends = {"node": lambda: nengo.Node(size_in=2), "ensemble": lambda: nengo.Ensemble(20, 2)}
        end = ends[post]()
        error = nengo.Node(size_in=2)
        nengo.Connection(wave, pre, synapse=None)
        network.learned = nengo.Connection(
            pre, end, function=lambda x: [0, 0], learning_rule_type=rule
        )
        nengo.Connection(end, error, synapse=None)
        nengo.Connection(wave, error, transform=-1, synapse=None)
        nengo.Connection(error, network.learned.learning_rule, synapse=None)
        network.wave = wave
    return network


def constant(rule, weights, error=None):
    """Neurons that put out [1, 2, 3] in each step, through weights, onto a Node."""
    with nengo.Network(seed=0) as network:
        pre = nengo.Ensemble(
            3, 1, neuron_type=nengo.RectifiedLinear(), gain=np.ones(3), bias=np.arange(1.0, 4.0)
        )
        end = nengo.Node(size_in=len(weights))
        network.learned = nengo.Connection(
            pre.neurons, end, transform=weights, synapse=None, learning_rule_type=rule
        )
        if error is not None:
            nengo.Connection(nengo.Node(error), network.learned.learning_rule, synapse=None)
        network.probe = nengo.Probe(end)
    return network


def simulator(network, target="reference", **options):
    if target == "reference":
        return nengo.Simulator(network, dt=DT, progress_bar=False, **options)
    try:
        nengo_dl = import_nengo_dl()
    except MissingExtraError:
        pytest.skip("NengoDL is not installed")
    with quiet_import():
        return nengo_dl.Simulator(network, dt=DT, progress_bar=False, **options)


def learned_weights(network, steps, target="reference"):
    with simulator(network, target) as run:
        run.run_steps(steps, progress_bar=False)
        return read_weights(run, network.learned)


@pytest.mark.parametrize("post", ["node", "ensemble"])
def test_pes_written_again_learns_the_same(post):
    expected = learned_weights(teaching(nengo.PES(1e-3), post), 1000)
    found = learned_weights(teaching(OwnPES(1e-3), post), 1000)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_oja_written_again_learns_the_same():
    def network(rule):
        with nengo.Network(seed=2) as network:
            pre, post = nengo.Ensemble(8, 1), nengo.Ensemble(6, 1)
            nengo.Connection(nengo.Node(0.8), pre)
            network.learned = nengo.Connection(
                pre.neurons,
                post.neurons,
                transform=np.full((6, 8), 1e-3),
                learning_rule_type=rule,
            )
        return network

    filters = {"pre_synapse": None, "post_synapse": None}
    expected = learned_weights(network(nengo.Oja(1e-6, beta=0.5, **filters)), 300)
    found = learned_weights(network(OwnOja(1e-6, beta=0.5)), 300)
    assert np.abs(expected - 1e-3).max() > 1e-6
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("rule", [OwnPES(1e-3), Memristors(1e-3)], ids=["pes", "memristors"])
def test_both_targets_learn_the_same_weights(rule):
    expected = learned_weights(teaching(rule), 1000)
    found = learned_weights(teaching(rule), 1000, "nengo-dl")
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_a_function_of_tensors_is_used_where_there_is_one():
    expected = learned_weights(teaching(OwnPES(1e-3)), 300)
    found = learned_weights(teaching(TensorPES(1e-3)), 300, "nengo-dl")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert not learned_weights(teaching(TensorPES(1e-3)), 300).any()


def test_each_sample_of_a_batch_learns_on_its_own():
    waves = np.random.default_rng(0).uniform(-1, 1, (2, 1, 2)).repeat(200, axis=1)
    network = teaching(Memristors(1e-3))
    with simulator(network, "nengo-dl", minibatch_size=2) as run:
        run.run_steps(200, data={network.wave: waves}, progress_bar=False)
        found = read_weights(run, network.learned)
    assert found.shape == (2, 2, 30)
    for sample, wave in zip(found, waves, strict=True):
        alone = teaching(Memristors(1e-3))
        alone.wave.output = lambda t, wave=wave: wave[0]
        np.testing.assert_allclose(sample, learned_weights(alone, 200), rtol=0, atol=1e-8)


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
        with pytest.raises(TargetError, match="only the chip's learning engine"):
            write_weights(run, channel.learned, weights)
        with pytest.raises(TargetError, match="learns by PES there"):
            read_weights(run, other)


class Flat(LearningRule):
    def change(self, pre, signal, weights, dt):
        return signal[0, :, None] * pre[0]


class Odd(StatefulRule):
    def start(self, weights):
        return np.zeros((1, 5, 5))


class Guess(LearningRule):
    reads = "weather"


def test_rules_that_cannot_work_say_why():
    with pytest.raises(SpecError, match=r"Flat, the change: got shape \(2, 3\).*\(2, 2, 3\)"):
        simulator(constant(Flat(), np.ones((2, 3))))
    with pytest.raises(SpecError, match=r"Odd, start: got shape \(1, 5, 5\)"):
        simulator(constant(Odd(), np.ones((2, 3))))
    with pytest.raises(SpecError, match="a Node at its end"):
        simulator(constant(OwnOja(1.0, 1.0), np.ones((2, 3))))
    with pytest.raises(SpecError, match="'weather', expected 'error' or 'post'"):
        Guess()
    with pytest.raises(SpecError, match="largest: got 0"):
        Memristors(0)
    with pytest.raises(SpecError, match="target: got 'loihi'"):
        learn_channel(OwnPES(1e-3), 0.1, 0.05, target="loihi")
    with nengo.Network() as network:
        one, other = nengo.Ensemble(4, 1), nengo.Ensemble(4, 1)
        nengo.Connection(one.neurons, other.neurons, transform=2, learning_rule_type=OwnPES(1e-3))
    with pytest.raises(SpecError, match=r"weights of shape \(\)"):
        simulator(network)


def test_a_rule_cannot_write_to_what_it_reads():
    class Careless(LearningRule):
        def change(self, pre, signal, weights, dt):
            weights += 1
            return weights

    network = constant(Careless(), np.ones((2, 3)))
    with simulator(network) as run, pytest.raises(ValueError, match="read-only"):
        run.run_steps(1, progress_bar=False)


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


def test_the_emulator_refuses_other_rules_in_one_line():
    pytest.importorskip("nengo_loihi", reason="nengo-loihi is not installed")
    from spiking_lmu.registry import get_target

    with nengo.Network(seed=0) as network:
        pre = nengo.Ensemble(10, 1)
        nengo.Connection(pre, nengo.Node(size_in=1), learning_rule_type=Writable())
    online = get_target("loihi").online_learning
    with (
        pytest.raises(TargetError, match=r"rule Writable, expected PES"),
        online.simulator(network, 0.001, 0, 1e-4),
    ):
        pass

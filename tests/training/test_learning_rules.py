"""Rules of one's own against Nengo's own rules, on two targets."""

from __future__ import annotations

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import SpecError, TargetError
from spiking_lmu.training.online.channel import learn_channel
from spiking_lmu.training.online.live import read_weights
from spiking_lmu.training.online.memristor import Memristors
from spiking_lmu.training.online.rule import LearningRule, StatefulRule, Writable

from ..helpers.own_rules import (
    OwnOja,
    OwnPES,
    TensorPES,
    constant,
    learned_weights,
    simulator,
    teaching,
)

nengo = import_nengo()


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


def test_the_emulator_refuses_other_rules_in_one_line():
    pytest.importorskip("nengo_loihi", reason="nengo-loihi is not installed")
    from spiking_lmu.backends.registry import get_target

    with nengo.Network(seed=0) as network:
        pre = nengo.Ensemble(10, 1)
        nengo.Connection(pre, nengo.Node(size_in=1), learning_rule_type=Writable())
    online = get_target("loihi").online_learning
    with (
        pytest.raises(TargetError, match=r"rule Writable, expected PES"),
        online.simulator(network, 0.001, 0, 1e-4),
    ):
        pass

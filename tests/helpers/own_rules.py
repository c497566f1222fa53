"""Learning rules of one's own, and networks that learn with them."""

from __future__ import annotations

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.compat.quiet import quiet_import
from spiking_lmu.errors import MissingExtraError
from spiking_lmu.training.online.live import read_weights
from spiking_lmu.training.online.rule import LearningRule

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

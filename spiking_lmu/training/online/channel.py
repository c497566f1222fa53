"""A communication channel that learns: the network that rules are compared on.

::

    noise ──> ensemble (spiking) ──weights──> output
      └──────── error = output − noise ──rule──┘

The weights start at zero; in the last part of the simulation the error is zero, so that what
was learned is tested.  Source: the supervised channel of nengo/nengo,
``docs/examples/learning/learn-communication-channel.ipynb``, with a Node as its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import given_target
from spiking_lmu.backends.target import Target
from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import SpecError

from .delay import online_learning
from .live import read_weights

Array = np.ndarray
#: Steps of the moving average in :attr:`LearnedChannel.error`, and seconds of one step.
WINDOW, DT = 500, 0.001


@dataclass(frozen=True)
class Channel:
    """The network and its parts."""

    network: Any
    learned: Any
    stimulus: Any
    output: Any


@dataclass(frozen=True, eq=False)
class LearnedChannel:
    """What one run gave.

    Parameters
    ----------
    stimulus, output
        Each (steps,).
    weights
        At the end, (1, neurons).
    off
        Step at which learning was switched off.
    """

    stimulus: Array
    output: Array
    weights: Array
    off: int

    @property
    def error(self) -> Array:
        """rms(output - stimulus) over the steps around each, (steps,)."""
        squares = (self.output - self.stimulus) ** 2
        ones = np.ones(WINDOW)
        counts = np.convolve(np.ones_like(squares), ones, "same")
        return np.sqrt(np.convolve(squares, ones, "same") / counts)

    @property
    def nrmse(self) -> float:
        """rms(output - stimulus) / rms(stimulus) with learning switched off."""
        tested = slice(self.off, None)
        error = self.output[tested] - self.stimulus[tested]
        return float(np.sqrt(np.mean(error**2) / np.mean(self.stimulus[tested] ** 2)))


def build_channel(rule: Any, off: float, neurons: int = 100, seed: int = 0) -> Channel:
    """Build the network.

    Parameters
    ----------
    rule
        A ``nengo.PES`` or a rule of one's own that reads an error.
    off
        Seconds after which the error is zero.
    """
    nengo = import_nengo()
    with nengo.Network(seed=seed) as network:
        noise = nengo.Node(nengo.processes.WhiteSignal(60.0, high=2.0, rms=0.4, seed=seed))
        ensemble = nengo.Ensemble(neurons, 1)
        output = nengo.Node(size_in=1)
        error = nengo.Node(lambda t, x: x if t < off else np.zeros_like(x), size_in=1)
        nengo.Connection(noise, ensemble, synapse=None)
        nengo.Connection(noise, error, synapse=None, transform=-1)
        nengo.Connection(output, error, synapse=None)
        learned = nengo.Connection(
            ensemble, output, function=lambda x: 0, synapse=0.01, learning_rule_type=rule
        )
        nengo.Connection(error, learned.learning_rule, synapse=None)
        return Channel(network, learned, nengo.Probe(noise), nengo.Probe(output))


def learn_channel(
    rule: Any,
    duration: float,
    off: float,
    neurons: int = 100,
    seed: int = 0,
    target: str | Target | None = None,
) -> LearnedChannel:
    """Build the channel, learn for ``off`` seconds, and test until ``duration``.

    Raises
    ------
    SpecError
        Rules of one's own do not run on the target.
    TargetError
        The target is unknown, cannot run here, or cannot learn while it runs.
    """
    place = given_target(target, nearest=True)
    online = online_learning(place)
    if not online.own_rules:
        raise SpecError(
            "the channel's target",
            got=repr(place.name),
            expected="one on which rules of one's own run",
            fix="choose another",
        )
    channel = build_channel(rule, off, neurons, seed)
    # One more is the seed that Nengo's simulators take by themselves.
    with online.simulator(channel.network, DT, seed + 1, 1e-3) as simulator:
        simulator.run_steps(round(duration / DT))
        stimulus, output = (
            np.array(simulator.data[probe], dtype=float)[:, 0]
            for probe in (channel.stimulus, channel.output)
        )
        weights = read_weights(simulator, channel.learned)
    return LearnedChannel(stimulus, output, weights, round(off / DT))

"""Runs a network that learns a delay, and says how well it did with learning switched off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import get_target, target_names
from spiking_lmu.backends.target import OnlineLearning
from spiking_lmu.errors import TargetError

from .delay_network import DelayNetwork, build_delay_network, delayed
from .delay_spec import DelaySpec

Array = np.ndarray
#: Steps between two reports of progress.
CHUNK = 500


@dataclass(frozen=True, eq=False)
class LearnedDelay:
    """What one run gave.

    Parameters
    ----------
    spec, target
        What ran, and where.
    stimulus, ideal, output
        The input, the input ``delay`` ago, and what the network put out; each (steps,).
    encoders, gain, bias
        The ensemble's: (neurons, order), (neurons,), (neurons,).
    decoders
        What was learned, (neurons,), for spikes of height 1/dt.
    seconds
        Time that the simulation took, building not included.
    """

    spec: DelaySpec
    target: str
    stimulus: Array
    ideal: Array
    output: Array
    encoders: Array
    gain: Array
    bias: Array
    decoders: Array
    seconds: float

    @property
    def nrmse(self) -> float:
        """rms(output - ideal) / rms(ideal) over all steps with learning switched off."""
        return normalised_rmse(self.output, self.ideal, self.spec.learning_steps)

    @property
    def by_tenth(self) -> list[float | None]:
        """The same measure for each tenth of the simulation; None where the ideal is silent."""
        edges = np.linspace(0, self.spec.steps, 11).astype(int)
        values = [
            normalised_rmse(self.output, self.ideal, start, stop) for start, stop in pairwise(edges)
        ]
        return [value if np.isfinite(value) else None for value in values]

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the input, the output and the decoders as little-endian float64."""
        return {
            name: hashlib.sha256(np.ascontiguousarray(values, "<f8").tobytes()).hexdigest()
            for name, values in (
                ("input", self.stimulus),
                ("output", self.output),
                ("decoders", self.decoders),
            )
        }


def normalised_rmse(output: Array, ideal: Array, start: int, stop: int | None = None) -> float:
    """rms(output - ideal) / rms(ideal) over the steps from ``start`` up to ``stop``."""
    window = slice(start, stop)
    error = output[window] - ideal[window]
    power = np.mean(ideal[window] ** 2)
    return float(np.sqrt(np.mean(error**2) / power)) if power else float("nan")


def learn_delay(
    spec: DelaySpec, target: str, advance: Callable[[int], None] = lambda steps: None
) -> LearnedDelay:
    """Build the network, learn and test.

    Parameters
    ----------
    target
        Name of a target that can learn.
    advance
        Called with the number of steps that were just finished.

    Raises
    ------
    TargetError
        The target is unknown, cannot run here, or cannot learn while it runs.
    """
    online = online_learning(target)
    built = build_delay_network(spec, online.error_step)
    with online.simulator(built.network, spec.dt, spec.seed, spec.decoder_range) as simulator:
        started = perf_counter()
        for first in range(0, spec.steps, CHUNK):
            steps = min(CHUNK, spec.steps - first)
            simulator.run_steps(steps)
            advance(steps)
        seconds = perf_counter() - started
        return _result(spec, target, built, simulator, online, seconds)


def online_learning(name: str) -> OnlineLearning:
    """How the target called ``name`` learns.

    Raises
    ------
    TargetError
        The target is unknown, cannot run here, or cannot learn while it runs.
    """
    online = get_target(name).online_learning
    if online is None:
        raise TargetError(
            f"target {name}",
            got="no learning while it runs",
            expected="a target with the PES rule",
            fix="choose another of " + ", ".join(target_names()),
        )
    return online


def _result(
    spec: DelaySpec,
    target: str,
    built: DelayNetwork,
    simulator: Any,
    online: OnlineLearning,
    seconds: float,
) -> LearnedDelay:
    stimulus, output = (
        np.array(simulator.data[probe], dtype=float).reshape(-1)
        for probe in (built.stimulus, built.output)
    )
    ensemble = simulator.data[built.ensemble]
    return LearnedDelay(
        spec,
        target,
        stimulus,
        delayed(stimulus, spec.delay_steps),
        output,
        np.array(ensemble.encoders, dtype=float),
        np.array(ensemble.gain, dtype=float),
        np.array(ensemble.bias, dtype=float),
        online.decoders(simulator, built.learned).reshape(-1),
        seconds,
    )

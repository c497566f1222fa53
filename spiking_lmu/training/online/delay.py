"""Runs a network that learns a delay, and says how well it did with learning switched off."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import given_target, target_names
from spiking_lmu.backends.target import OnlineLearning, Target
from spiking_lmu.errors import SpecError, TargetError, with_choices
from spiking_lmu.runs.progress import Progress, shown
from spiking_lmu.runs.result import Result

from .delay_network import DelayNetwork, build_delay_network, delayed
from .delay_spec import PRESETS, DelaySpec

Array = np.ndarray
#: Steps between two reports of progress.
CHUNK = 500


@dataclass(frozen=True, eq=False)
class LearnedDelay(Result):
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
    spec: DelaySpec | str = "tuned",
    target: str | Target | None = None,
    *,
    progress: bool | Progress = False,
    **changes: Any,
) -> LearnedDelay:
    """Let a network learn a delay while it runs, and test it with learning switched off.

    ``learn_delay("tuned", "loihi", neurons=500)`` starts from a preset and changes it.

    Parameters
    ----------
    spec
        What is learned: a :class:`.delay_spec.DelaySpec`, or the name of a preset.
    target
        A target that can learn, or its name; not given, the one nearest to the definition.
    progress
        Show a bar, be silent, or tell one's own.
    changes
        Fields of the spec by name.

    Raises
    ------
    SpecError
        No such preset or field, or a value outside its range.
    TargetError
        The target is unknown, cannot run here, or cannot learn while it runs.
    """
    spec = choose_spec(spec, changes)
    place = given_target(target, nearest=True)
    online = online_learning(place)
    built = build_delay_network(spec, online.error_step)
    with online.simulator(built.network, spec.dt, spec.seed, spec.decoder_range) as simulator:
        started = perf_counter()
        with shown(progress) as told:
            told.start(f"delay on {place.name}", 0, spec.steps, "steps")
            for first in range(0, spec.steps, CHUNK):
                steps = min(CHUNK, spec.steps - first)
                simulator.run_steps(steps)
                told.advance(steps)
        seconds = perf_counter() - started
        return _result(spec, place.name, built, simulator, online, seconds)


def choose_spec(spec: DelaySpec | str, changes: Mapping[str, Any]) -> DelaySpec:
    """A spec, or the preset of that name, with changes.

    Raises
    ------
    SpecError
        No such preset or field, or a value outside its range.
    """
    if isinstance(spec, str):
        if spec not in PRESETS:
            raise SpecError("preset", got=repr(spec), expected=", ".join(PRESETS), fix="choose one")
        spec = PRESETS[spec]
    return with_choices(spec, changes)


def online_learning(target: str | Target) -> OnlineLearning:
    """How a target, itself or by its name, learns.

    Raises
    ------
    TargetError
        The target is unknown, cannot run here, or cannot learn while it runs.
    """
    place = given_target(target)
    online = place.online_learning
    if online is None:
        raise TargetError(
            f"target {place.name}",
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

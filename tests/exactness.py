"""Compare batched execution with nengo-loihi's own simulator, step by step.

Used by ``tests/test_batched_*.py`` and ``scripts/check-exactness``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.batched import BatchedSimulator
from spiking_lmu.compat import import_nengo_loihi

Array = np.ndarray
STATE = ("spiked", "current", "voltage")
#: Host arithmetic may differ from stock by the order of its sums, unless strict.
TOLERANCE = 1e-9


@dataclass
class Outcome:
    """What a comparison found; ``rate`` is in spikes a neuron and step."""

    differences: list[str]
    rate: float
    overflowed: bool


@contextmanager
def quiet() -> Iterator[None]:
    """nengo-loihi warns about overflow and about its own use of Nengo."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def simulator(network: Any, seed: int = 0) -> Any:
    """A fresh stock simulator."""
    return import_nengo_loihi().Simulator(network, seed=seed, target="sim")


def stock_run(case: Any, sample: Array, seed: int = 0) -> tuple[dict[str, Array], dict[Any, Array]]:
    """One sample on ``nengo_loihi.Simulator``: chip state (steps, neurons), and probes.

    ``case`` is a ``tests.random_networks.Case``.
    """
    case.feeder.sample = sample
    state: dict[str, list[Array]] = {key: [] for key in STATE}
    with quiet(), simulator(case.network, seed) as sim:
        emulator = sim.sims["emulator"]
        advance = emulator.step

        def step() -> None:
            advance()
            for key in STATE:
                state[key].append(getattr(emulator.compartment, key).copy())

        emulator.step = step
        sim.run_steps(len(sample))
        probes = {probe: np.array(sim.data[probe]) for probe in case.network.all_probes}
    return {key: np.array(values) for key, values in state.items()}, probes


def batched_run(batched: BatchedSimulator, steps: int) -> tuple[dict[str, Array], dict[Any, Array]]:
    """The same for a batch: state (batch, steps, neurons), and probes (batch, steps, size)."""
    state: dict[str, list[Array]] = {key: [] for key in STATE}

    def keep(step: int) -> None:
        for key in STATE:
            state[key].append(np.array(getattr(batched.engine, key)))

    batched.run(steps, on_step=keep)
    moved = {key: np.moveaxis(np.array(values), -1, 0) for key, values in state.items()}
    return moved, batched.data


def differences(
    stock: list[tuple[dict[str, Array], dict[Any, Array]]],
    batch: tuple[dict[str, Array], dict[Any, Array]],
    strict: bool,
) -> list[str]:
    """What differs, one line each: chip state always to the bit, probes to the bit if strict."""
    found = []
    for key in STATE:
        theirs = np.stack([state[key] for state, _ in stock])
        unequal = (batch[0][key] != theirs).any(axis=2)
        if unequal.any():
            sample, step = np.argwhere(unequal)[0]
            found.append(f"{key} of sample {sample} at step {step}")
    for probe in stock[0][1]:
        theirs = np.stack([probes[probe] for _, probes in stock])
        ours = batch[1][probe]
        if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
            found.append(f"{probe}: {ours.shape} {ours.dtype}, not {theirs.shape} {theirs.dtype}")
        elif not np.array_equal(theirs, ours) and (
            strict or np.abs(theirs - ours).max() > TOLERANCE * max(1, np.abs(theirs).max())
        ):
            found.append(f"{probe}: off by {np.abs(theirs - ours).max():.1e}")
    return found


def compare(
    case: Any,
    *,
    samples: int = 4,
    steps: int = 120,
    variants: tuple[tuple[str, bool], ...] = (("numpy", True), ("numpy", False)),
    seed: int = 0,
) -> Outcome:
    """Compare all (engine, strict) variants with stock."""
    x = case.data(seed, samples, steps)
    stock = [stock_run(case, sample) for sample in x]
    with quiet():
        sim = simulator(case.network)
        sim.close()
    found, overflowed = [], False
    for engine, strict in variants:
        batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=strict)
        lines = differences(stock, batched_run(batched, steps), strict)
        found += [f"{engine}{' strict' if strict else ''}: {line}" for line in lines]
        overflowed = bool(batched.engine.overflowed.any())
    return Outcome(
        found, float(np.mean([state["spiked"].mean() for state, _ in stock])), overflowed
    )

"""Compare batched execution with nengo-loihi's own simulator, step by step.

Used by ``tests/backends/test_batched_*.py`` and ``scripts/check-exactness``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.backends.batched import BatchedSimulator, Record, extract
from spiking_lmu.compat import import_nengo_loihi

from .controls import CONTROLS

Array = np.ndarray
#: State of each compartment, and of synapses that learn.
STATE = ("spiked", "current", "voltage", "trace", "weights")
#: Host arithmetic may differ from stock by the order of its sums, unless strict.
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What happened: ``state`` by name, (..., steps, size), and probes, the same shape."""

    state: dict[str, Array]
    probes: dict[Any, Array]


@dataclass(frozen=True)
class Outcome:
    """What a comparison found.

    ``rate`` is in spikes a neuron and step; ``control`` the planted fault and whether the
    comparison noticed it.
    """

    differences: list[str]
    rate: float
    overflowed: bool
    learned: bool
    control: tuple[str, bool] | None


@contextmanager
def quiet() -> Iterator[None]:
    """nengo-loihi warns about overflow and about its own use of Nengo."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def simulator(case: Any, seed: int = 0) -> Any:
    """A fresh stock simulator of a ``tests.random_networks.Case``."""
    return import_nengo_loihi().Simulator(
        case.network, seed=seed, target="sim", model=case.options.model()
    )


def closed_simulator(case: Any, seed: int = 0) -> Any:
    """One that is only built, for batched execution."""
    with quiet():
        sim = simulator(case, seed)
        sim.close()
    return sim


def stock_run(case: Any, sample: Array, seed: int = 0) -> Trajectory:
    """One sample, (steps, size), on ``nengo_loihi.Simulator``."""
    case.feeder.sample = sample
    state: dict[str, list[Array]] = {key: [] for key in STATE}
    with quiet(), simulator(case, seed) as sim:
        emulator = sim.sims["emulator"]
        advance, learning = emulator.step, emulator.synapses.traces

        def step() -> None:
            advance()
            for key in ("spiked", "current", "voltage"):
                state[key].append(getattr(emulator.compartment, key).copy())
            state["trace"].append(_flat(learning.values()))
            state["weights"].append(_flat([w for synapse in learning for w in synapse.weights]))

        emulator.step = step
        sim.run_steps(len(sample))
        probes = {probe: np.array(sim.data[probe]) for probe in case.network.all_probes}
    return Trajectory({key: np.array(values) for key, values in state.items()}, probes)


def batched_run(batched: BatchedSimulator, steps: int) -> Trajectory:
    """The same for a batch, the samples on the first axis."""
    state: dict[str, list[Array]] = {key: [] for key in STATE}
    engine = batched.engine

    def keep(step: int) -> None:
        for key in ("spiked", "current", "voltage"):
            state[key].append(np.array(getattr(engine, key)).T)
        for key in ("trace", "weights"):
            each = [np.moveaxis(getattr(learner, key), -1, 0) for learner in engine.learners]
            state[key].append(np.stack([_flat([v[b] for v in each]) for b in range(engine.batch)]))

    with quiet():
        batched.run(steps, on_step=keep)
    moved = {key: np.moveaxis(np.array(values), 1, 0) for key, values in state.items()}
    return Trajectory(moved, batched.data)


def _flat(arrays: Any) -> Array:
    return np.concatenate([np.zeros(0, np.int32), *(np.ravel(array) for array in arrays)])


def differences(stock: list[Trajectory], batch: Trajectory, strict: bool) -> list[str]:
    """What differs, one line each: chip state always to the bit, probes to the bit if strict."""
    found = []
    for key in STATE:
        theirs = np.stack([one.state[key] for one in stock])
        unequal = (batch.state[key] != theirs).any(axis=2)
        if unequal.any():
            sample, step = np.argwhere(unequal)[0]
            found.append(f"{key} of sample {sample} at step {step}")
    for probe in stock[0].probes:
        theirs = np.stack([one.probes[probe] for one in stock])
        found += _probe_differences(str(probe), theirs, batch.probes[probe], strict)
    return found


def _probe_differences(name: str, theirs: Array, ours: Array, strict: bool) -> list[str]:
    if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        return [f"{name}: {ours.shape} {ours.dtype}, not {theirs.shape} {theirs.dtype}"]
    close = TOLERANCE * max(1, np.abs(theirs).max())
    if np.array_equal(theirs, ours) or (not strict and np.abs(theirs - ours).max() <= close):
        return []
    return [f"{name}: off by {np.abs(theirs - ours).max():.1e}"]


def window_differences(
    case: Any, sim: Any, x: Array, stock: list[Trajectory], engine: str, seed: int
) -> list[str]:
    """Differences of a run that keeps random windows of probes, and counts of raw spikes."""
    rng, steps = np.random.default_rng(seed), x.shape[1]
    records = {}
    for probe in case.network.all_probes:
        first, last = sorted(int(step) for step in rng.integers(0, steps, 2))
        spikes = probe.attr == "output" and probe.synapse is None
        on_chip = sim.model.split.on_chip(probe)
        count = bool(spikes and on_chip and rng.random() < 0.5)
        records[probe] = Record(slice(first, last + 1), count_only=count)
    batched = BatchedSimulator(sim, {case.input: x}, record=records, engine=engine, strict=True)
    with quiet():
        batched.run(steps)
    found = []
    for probe, record in records.items():
        theirs = np.stack([one.probes[probe] for one in stock])[:, record.keep]
        if record.count_only:
            theirs = (theirs != 0).sum(axis=1, dtype=np.uint32)
        found += _probe_differences(f"window of {probe}", theirs, batched.data[probe], True)
    return found


def planted(
    case: Any, sim: Any, x: Array, stock: list[Trajectory], controls: Sequence[str], seed: int
) -> tuple[str, bool] | None:
    """The first of ``controls`` that this network has something for, and whether it shows."""
    program = extract(sim.model)
    for name in controls:
        if CONTROLS[name](program, np.random.default_rng(seed)):
            batched = BatchedSimulator(
                sim, {case.input: x}, engine="numpy", strict=True, program=program
            )
            run = batched_run(batched, x.shape[1])
            return name, bool(differences(stock, run, strict=True))
    return None


def compare(
    case: Any,
    *,
    samples: int = 4,
    steps: int = 120,
    variants: tuple[tuple[str, bool], ...] = (("numpy", True), ("numpy", False)),
    seed: int = 0,
    controls: Sequence[str] = (),
) -> Outcome:
    """Compare all (engine, strict) variants with stock, and windows of probes."""
    x = case.data(seed, samples, steps)
    stock = [stock_run(case, sample) for sample in x]
    sim = closed_simulator(case)
    found, overflowed = [], False
    for engine, strict in variants:
        batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=strict)
        lines = differences(stock, batched_run(batched, steps), strict)
        found += [f"{engine}{' strict' if strict else ''}: {line}" for line in lines]
        overflowed = bool(batched.engine.overflowed.any())
    found += window_differences(case, sim, x, stock, variants[0][0], seed)
    learned = any((one.state["weights"] != one.state["weights"][:1]).any() for one in stock)
    rate = float(np.mean([one.state["spiked"].mean() for one in stock]))
    control = planted(case, sim, x, stock, controls, seed)
    return Outcome(found, rate, overflowed, bool(learned), control)

"""Two ways to run a network on the Loihi emulator: upstream's own, and many samples at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.backends.batched import (
    BatchedSimulator,
    ChipProgram,
    RealProgram,
    Record,
    extract,
    extract_real,
    round_weights,
)
from spiking_lmu.backends.engines import EngineRun
from spiking_lmu.backends.feeding import FLOAT64, Feeding
from spiking_lmu.backends.network import BuiltNetwork, Presenter
from spiking_lmu.backends.spikes import count_spikes
from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.graph.timing import Timing

Array = np.ndarray
#: What the chip computes with: integers; real numbers, with its weights and biases or without.
ARITHMETICS = INTEGERS, ROUNDED, REAL = "integers", "rounded", "real"


@dataclass(frozen=True)
class Emulation:
    """Everything that both engines need to know."""

    built: BuiltNetwork
    presenter: Presenter
    timing: Timing
    inputs: int
    #: Steps by which each population lags behind the input.
    lags: Mapping[str, int]
    output: str
    seed: int
    #: One of :data:`ARITHMETICS`.
    arithmetic: str

    @property
    def latency(self) -> int:
        """Steps by which the output lags behind the input."""
        return self.lags[self.output]

    def counted(self, name: str) -> slice:
        """The steps of a run in which a population's spikes are a sample's.

        Where an input has one step and nothing settles, they are those in which the population
        sees the sample; of a sample of one input they would else be the step before it.
        """
        at_once = self.timing.total_steps(self.inputs) == self.inputs
        first = min(self.lags[name], self.latency) if at_once else 0
        return slice(first, first + self.steps)

    @property
    def steps(self) -> int:
        """Steps of one sample as the user counts them."""
        return self.timing.total_steps(self.inputs)

    def shown(self, steps: int) -> Array:
        """Which input is there at each of ``steps`` steps, those after the sample included.

        Without holds, which a network of one step an input has not, it goes on as if the last
        input came again and again; else it stands still.
        """
        if self.timing.total_steps(self.inputs) == self.inputs:
            return np.arange(steps)
        return self.timing.presented(self.inputs)[np.minimum(np.arange(steps), self.steps - 1)]

    def spikes(self, name: str, values: Array) -> Array:
        """Spikes of a population from what its probe recorded, integers of the same shape.

        One a step at most on the chip; on the host a neuron puts out amplitude / dt for each.
        """
        ensemble = self.built.ensembles[name]
        if ensemble not in self.built.on_host:
            return (values > 0).astype(np.int32)
        return count_spikes(values, ensemble.neuron_type.amplitude / self.timing.dt)

    def simulator(self) -> Any:
        """A new ``nengo_loihi.Simulator``; if not in integers, with weights as they are."""
        with quiet():
            return import_nengo_loihi().Simulator(
                self.built.network,
                dt=self.timing.dt,
                seed=self.seed,
                target="sim" if self.arithmetic == INTEGERS else "simreal",
                # Values that do not spike are summed and scaled on the host.  Between neurons
                # nengo-loihi would merge these sums into connections on the chip.
                remove_passthrough=False,
            )

    def program(self, simulator: Any) -> ChipProgram | RealProgram:
        """What the batched engine is to execute of a :meth:`simulator`; may change its weights."""
        if self.arithmetic == INTEGERS:
            return extract(simulator.model)
        if self.arithmetic == ROUNDED:
            with quiet():
                round_weights(simulator.model)
        return extract_real(simulator.model)


class StockEngine:
    """nengo-loihi's emulator; it cannot be reset, so each sample gets a simulator of its own."""

    sample_bytes = 0

    def __init__(self, emulation: Emulation) -> None:
        self._emulation = emulation

    def close(self) -> None:
        """Nothing stays open between samples."""

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run each sample of ``x`` (batch, inputs, size)."""
        runs = [self._one(sample) for sample in x]
        sent = {name: np.array([r[2][name] for r in runs]) for name in runs[0][2]}
        trains = {name: np.stack([r[1][name] for r in runs]) for name in runs[0][1]}
        totals = {name: train.sum(axis=1) for name, train in trains.items()}
        return EngineRun(np.stack([r[0] for r in runs]), totals, trains, host_spikes=sent)

    def _one(self, sample: Array) -> tuple[Array, dict[str, Array], dict[str, int]]:
        e = self._emulation
        e.presenter.sample = sample
        with quiet(), e.simulator() as simulator:
            sent = _counting(simulator, e.steps)
            simulator.run_steps(e.steps + e.latency)
            output = np.array(simulator.data[e.built.output])[e.latency :]
            trains = {
                name: self._emulation.spikes(name, np.array(simulator.data[probe])[e.counted(name)])
                for name, probe in e.built.spikes.items()
            }
        return output, trains, sent


def _counting(simulator: Any, steps: int) -> dict[str, int]:
    """Spikes that the emulator is handed from the host in its first ``steps``, as they come.

    By connection; see :func:`carried_by`.
    """
    model, emulator = simulator.model, simulator.sims["emulator"]
    names = {
        id(model.spike_targets[to]): carried_by(sender)
        for sender, to in model.host2chip_senders.items()
    }
    counts = dict.fromkeys(names.values(), 0)
    hand_over = emulator.host2chip

    def host2chip(spikes: Any, errors: Any) -> None:
        for target, step, neurons in spikes:
            if step <= steps:
                counts[names[id(target)]] += len(neurons)
        hand_over(spikes, errors)

    emulator.host2chip = host2chip
    return counts


def carried_by(sender: Any) -> str:
    """The connection for which nengo-loihi made a Node that sends (``build_host_to_chip``)."""
    return str(sender.label).removesuffix("_send")


class BatchedEngine:
    """The model that nengo-loihi built, executed for a whole batch.

    In integers it is spike for spike the same; in real numbers but for the order of sums.

    Parameters
    ----------
    emulation, feeding
        The network, and what its input is fed.
    strict
        Every sum on the host in the order of the stock simulator.
    margin
        How near a threshold a voltage on the host may come before rounding could matter.

    Raises
    ------
    Unsupported
        Something in the network would not be run exactly.
    """

    def __init__(
        self, emulation: Emulation, feeding: Feeding, *, strict: bool = False, margin: float = 0.0
    ) -> None:
        self._emulation, self._feeding = emulation, feeding
        self._strict, self._margin = strict, margin
        self._simulator = emulation.simulator()
        try:
            self._program = emulation.program(self._simulator)
            tried = self._run(np.zeros((1, emulation.inputs, feeding.input_size)), False, 1)
        except BaseException:
            self.close()
            raise
        outputs = emulation.steps * emulation.built.output.size_in
        self.sample_bytes = feeding.sample_bytes + tried.state_bytes + 2 * FLOAT64 * outputs

    def close(self) -> None:
        """Release the simulator whose model is executed."""
        self._simulator.close()

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run ``x`` (batch, inputs, size) at once."""
        e = self._emulation
        batched = self._run(x, raster, e.steps + e.latency)
        outputs = batched.data[e.built.output]
        spikes = {name: np.asarray(batched.data[probe]) for name, probe in e.built.spikes.items()}
        exact = self._strict or e.arithmetic != INTEGERS
        near = None if exact else batched.near
        sent: dict[str, Array] = {}
        for sender, counts in batched.sent.items():
            name = carried_by(sender)
            sent[name] = sent.get(name, 0) + counts.astype(np.int64)
        if not raster:
            totals = {name: counts.astype(np.int64) for name, counts in spikes.items()}
            return EngineRun(outputs, totals, None, near, sent)
        trains = {name: e.spikes(name, values) for name, values in spikes.items()}
        totals = {name: train.sum(axis=1) for name, train in trains.items()}
        return EngineRun(outputs, totals, trains, near, sent)

    def _run(self, x: Array, raster: bool, steps: int) -> BatchedSimulator:
        e = self._emulation
        record = {e.built.output: Record(keep=slice(e.latency, None))}
        for name, probe in e.built.spikes.items():
            record[probe] = Record(keep=e.counted(name), count_only=not raster)
        shown = e.shown(steps)
        beyond = max(0, int(shown.max()) + 1 - x.shape[1])
        if beyond:
            x = np.concatenate([x, np.repeat(x[:, -1:], beyond, axis=1)], axis=1)
        with quiet():
            batched = BatchedSimulator(
                self._simulator,
                {e.built.input: self._feeding.feed(x, shown)},
                record=record,
                sent=slice(0, e.steps),
                strict=self._strict,
                margin=self._margin,
                program=self._program,
            )
            batched.run(steps)
        return batched


@contextmanager
def quiet() -> Iterator[None]:
    """nengo-loihi warns about its own use of Nengo and NumPy; nothing a user can act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Two ways to run a network on the Loihi emulator: upstream's own, and many samples at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.batched import BatchedSimulator, Record, extract
from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.network import BuiltNetwork, Presenter
from spiking_lmu.timing import Timing

from .engines import EngineRun

Array = np.ndarray


@dataclass(frozen=True)
class Emulation:
    """Everything that both engines need to know."""

    built: BuiltNetwork
    timing: Timing
    inputs: int
    latency: int
    seed: int
    #: nengo-loihi's ``target``: ``sim``, or ``simreal`` without quantisation.
    emulator: str

    @property
    def steps(self) -> int:
        """Steps of one sample as the user counts them."""
        return self.timing.total_steps(self.inputs)

    def simulator(self) -> Any:
        """A new ``nengo_loihi.Simulator`` of the network."""
        with quiet():
            return import_nengo_loihi().Simulator(
                self.built.network, dt=self.timing.dt, seed=self.seed, target=self.emulator
            )


class StockEngine:
    """nengo-loihi's emulator; it cannot be reset, so each sample gets a simulator of its own."""

    batch_size = 1

    def __init__(self, emulation: Emulation, presenter: Presenter) -> None:
        self._emulation, self._presenter = emulation, presenter

    def close(self) -> None:
        """Nothing stays open between samples."""

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run each sample of ``x`` (batch, inputs, size)."""
        runs = [self._one(sample) for sample in x]
        trains = {name: np.stack([r[1][name] for r in runs]) for name in runs[0][1]}
        totals = {name: train.sum(axis=1) for name, train in trains.items()}
        return EngineRun(np.stack([r[0] for r in runs]), totals, trains)

    def _one(self, sample: Array) -> tuple[Array, dict[str, Array]]:
        e = self._emulation
        self._presenter.sample = sample
        with quiet(), e.simulator() as simulator:
            simulator.run_steps(e.steps + e.latency)
            output = np.array(simulator.data[e.built.output])[e.latency :]
            trains = {
                name: (np.array(simulator.data[probe])[: e.steps] > 0).astype(np.int32)
                for name, probe in e.built.spikes.items()
            }
        return output, trains


class BatchedEngine:
    """The model that nengo-loihi built, executed for a whole batch, spike for spike the same.

    Raises
    ------
    Unsupported
        Something in the network would not be run exactly.
    """

    batch_size = 128

    def __init__(self, emulation: Emulation) -> None:
        self._emulation = emulation
        self._simulator = emulation.simulator()
        try:
            self._program = extract(self._simulator.model)
            self._run(np.zeros((1, emulation.inputs, emulation.built.input.size_out)), False, 1)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the simulator whose model is executed."""
        self._simulator.close()

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run ``x`` (batch, inputs, size) at once."""
        e = self._emulation
        data = self._run(x, raster, e.steps + e.latency)
        outputs = data[e.built.output]
        spikes = {name: np.asarray(data[probe]) for name, probe in e.built.spikes.items()}
        if not raster:
            totals = {name: counts.astype(np.int64) for name, counts in spikes.items()}
            return EngineRun(outputs, totals, None)
        trains = {name: (values > 0).astype(np.int32) for name, values in spikes.items()}
        return EngineRun(outputs, {n: t.sum(axis=1) for n, t in trains.items()}, trains)

    def _run(self, x: Array, raster: bool, steps: int) -> Any:
        e = self._emulation
        shown = np.minimum(np.arange(steps), e.steps - 1)
        fed = np.asarray(x, float)[:, e.timing.presented(e.inputs)[shown]]
        record = {e.built.output: Record(keep=slice(e.latency, None))}
        for probe in e.built.spikes.values():
            record[probe] = Record(keep=slice(0, e.steps), count_only=not raster)
        with quiet():
            batched = BatchedSimulator(
                self._simulator, {e.built.input: fed}, record=record, program=self._program
            )
            batched.run(steps)
        return batched.data


@contextmanager
def quiet() -> Iterator[None]:
    """nengo-loihi warns about its own use of Nengo and NumPy; nothing a user can act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Nengo's own simulator in float64: one sample after another, or its operators on a batch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from spiking_lmu.batched.host import BatchedHost
from spiking_lmu.compat import import_nengo
from spiking_lmu.model import Model
from spiking_lmu.network import BuiltNetwork, Presenter, build_network
from spiking_lmu.target import Capabilities, Problem, count_spikes

from .engines import EngineDeployment, EngineRun

Array = np.ndarray


class ReferenceTarget:
    """Runs a model on ``nengo.Simulator``."""

    name = "reference"
    summary = "Nengo's simulator, float64"
    extra = ""
    capabilities = Capabilities(batched=True, on_chip=False, precision="float64")
    distributions = ("nengo", "numpy")

    def available(self) -> str:
        """Nengo is part of the base install."""
        return ""

    def check(self, model: Model) -> list[Problem]:
        """SoftLIF exists in NengoDL only."""
        return [
            Problem(
                p.name, "soft_lif neurons", "neurons of Nengo", "convert to lif, or use nengo-dl"
            )
            for p in model.graph.populations
            if p.neuron.kind == "soft_lif"
        ]

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        engine: str = "auto",
        verify: int = 1,
    ) -> EngineDeployment:
        """Build the network once; every sample starts from rest.

        Parameters
        ----------
        engine, verify
            See :class:`EngineDeployment`.

        Raises
        ------
        TargetError
            An unknown engine, or neurons that Nengo does not have.
        """
        presenter = Presenter(model.timing, inputs, model.graph.input_size)
        built = build_network(model.graph, model.timing, inputs, input_output=presenter, seed=seed)
        return EngineDeployment(
            self.name,
            model.graph,
            {p.name: "nengo" for p in model.graph.populations},
            engine=engine,
            verify=verify,
            stock=lambda: StockEngine(model, inputs, built, presenter, seed),
            batched=lambda: BatchedEngine(model, inputs, built, seed),
        )


class StockEngine:
    """One ``nengo.Simulator``, reset for each sample."""

    batch_size = 1

    def __init__(
        self, model: Model, inputs: int, built: BuiltNetwork, presenter: Presenter, seed: int
    ) -> None:
        self._model, self._built, self._presenter, self._seed = model, built, presenter, seed
        self._steps = model.timing.total_steps(inputs)
        self._simulator = import_nengo().Simulator(
            built.network, dt=model.timing.dt, seed=seed, progress_bar=False
        )

    def close(self) -> None:
        """Close the simulator."""
        self._simulator.close()

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run each sample of ``x`` from rest."""
        outputs, trains = [], []
        for sample in x:
            self._presenter.sample = sample
            self._simulator.reset(seed=self._seed)
            self._simulator.run_steps(self._steps, progress_bar=False)
            outputs.append(np.array(self._simulator.data[self._built.output]))
            trains.append(
                {
                    name: count_spikes(self._simulator.data[probe], spike_size(self._model, name))
                    for name, probe in self._built.spikes.items()
                }
            )
        together = {name: np.stack([t[name] for t in trains]) for name in self._built.spikes}
        totals = {name: train.sum(axis=1) for name, train in together.items()}
        return EngineRun(np.stack(outputs), totals, together)


class BatchedEngine:
    """The operators of a ``nengo.Simulator``, in its order, on arrays with a batch axis.

    Spikes are the stock simulator's and values equal to rounding: only the order of sums
    within a matrix product can differ.

    Raises
    ------
    Unsupported
        An operator that would not be run exactly.
    """

    batch_size = 128

    def __init__(self, model: Model, inputs: int, built: BuiltNetwork, seed: int) -> None:
        self._model, self._inputs, self._built = model, inputs, built
        # Unoptimised, so that operators and signals are one by one as they were built.
        self._simulator = import_nengo().Simulator(
            built.network, dt=model.timing.dt, seed=seed, progress_bar=False, optimize=False
        )
        try:
            self._host(np.zeros((1, 1, built.input.size_out)))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the simulator whose operators are run."""
        self._simulator.close()

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run ``x`` (batch, inputs, size) at once."""
        host = self._host(x[:, self._model.timing.presented(self._inputs)])
        steps = self._model.timing.total_steps(self._inputs)
        outputs, trains = [], {name: [] for name in self._built.spikes}  # type: ignore[var-annotated]
        totals: dict[str, Any] = dict.fromkeys(self._built.spikes, 0)
        for _ in range(steps):
            host.step()
            outputs.append(host.probed(self._built.output).copy())
            for name, probe in self._built.spikes.items():
                counts = count_spikes(host.probed(probe), spike_size(self._model, name))
                totals[name] = totals[name] + counts
                if raster:
                    trains[name].append(counts)
        together = {name: np.moveaxis(np.array(t), -1, 0) for name, t in trains.items()}
        return EngineRun(
            np.moveaxis(np.array(outputs), -1, 0),
            {name: total.T for name, total in totals.items()},
            together if raster else None,
        )

    def _host(self, fed: Array) -> BatchedHost:
        compiled = find_spec("numba") is not None
        return BatchedHost(self._simulator, len(fed), {self._built.input: fed}, compiled=compiled)


def spike_size(model: Model, name: str) -> float:
    """What one spike in one step puts out: amplitude / (scale · dt)."""
    population = model.graph[name]
    return population.neuron.amplitude / (population.scale * model.timing.dt)


TARGET = ReferenceTarget()

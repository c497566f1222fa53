"""Nengo's own simulator, one sample after another, in float64."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo
from spiking_lmu.model import Model
from spiking_lmu.network import Presenter, build_network
from spiking_lmu.simulate import check_input
from spiking_lmu.target import Capabilities, Problem, Run, count_spikes, raster_of


class ReferenceTarget:
    """Runs a model on ``nengo.Simulator``."""

    name = "reference"
    summary = "Nengo's simulator, float64"
    extra = ""
    capabilities = Capabilities(batched=False, on_chip=False, precision="float64")
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

    def deploy(self, model: Model, inputs: int, *, seed: int = 0) -> ReferenceDeployment:
        """Build the network once; every sample starts from a reset."""
        return ReferenceDeployment(model, inputs, seed)


class ReferenceDeployment:
    """One ``nengo.Simulator``, reset for each sample."""

    batch_size = 1
    notes: tuple[str, ...] = ()

    def __init__(self, model: Model, inputs: int, seed: int) -> None:
        self._nengo = import_nengo()
        self._graph, self._timing = model.graph, model.timing
        self._steps = model.timing.total_steps(inputs)
        self._presenter = Presenter(model.timing, inputs, model.graph.input_size)
        self._built = build_network(
            model.graph, model.timing, inputs, input_output=self._presenter, seed=seed
        )
        self._simulator: Any = None
        self._seed = seed
        self.placement = {p.name: "nengo" for p in model.graph.populations}

    def __enter__(self) -> ReferenceDeployment:
        self._simulator = self._nengo.Simulator(
            self._built.network, dt=self._timing.dt, seed=self._seed, progress_bar=False
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._simulator.close()

    def run(self, x: np.ndarray, *, raster: bool = False) -> Run:
        """Run each sample of ``x`` from rest."""
        x = check_input(self._graph, x)
        started = perf_counter()
        outputs, spikes, rasters = [], [], []
        for sample in x:
            self._presenter.sample = sample
            self._simulator.reset(seed=self._seed)
            self._simulator.run_steps(self._steps, progress_bar=False)
            outputs.append(np.array(self._simulator.data[self._built.output]))
            counts = self._counts()
            spikes.append({name: count.sum(axis=0) for name, count in counts.items()})
            if raster:
                rasters.append({name: raster_of(count) for name, count in counts.items()})
        return Run(
            np.stack(outputs),
            {p.name: np.stack([s[p.name] for s in spikes]) for p in self._graph.spiking},
            perf_counter() - started,
            tuple(rasters),
        )

    def _counts(self) -> dict[str, np.ndarray]:
        return {
            p.name: count_spikes(
                self._simulator.data[self._built.spikes[p.name]],
                p.neuron.amplitude / (p.scale * self._timing.dt),
            )
            for p in self._graph.spiking
        }


TARGET = ReferenceTarget()

"""Two ways to run a network in Nengo: its own simulator, and its operators on a batch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from spiking_lmu.backends.batched.host import BatchedHost
from spiking_lmu.backends.engines import EngineRun
from spiking_lmu.backends.feeding import FLOAT64, Feeding
from spiking_lmu.backends.network import Presenter, build_network
from spiking_lmu.backends.spikes import count_spikes
from spiking_lmu.compat import import_nengo
from spiking_lmu.compat.quiet import no_warnings
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model

Array = np.ndarray


class Built:
    """A graph of a model as a Nengo network, with what both engines need to know."""

    def __init__(self, model: Model, graph: Graph, inputs: int, seed: int) -> None:
        self.timing, self.inputs, self.seed = model.timing, inputs, seed
        self.presenter = Presenter(model.timing, inputs, graph.input_size)
        self.parts = build_network(
            graph, model.timing, inputs, input_output=self.presenter, seed=seed
        )
        self.spike_sizes = {p.name: p.spike_size(model.timing.dt) for p in graph.spiking}

    @property
    def steps(self) -> int:
        """Steps of one sample."""
        return self.timing.total_steps(self.inputs)

    def simulator(self, **options: Any) -> Any:
        """A new ``nengo.Simulator``."""
        # Nengo works out the rates that given gains and biases amount to, and warns where a
        # neuron never reaches them; nothing here uses those.
        with no_warnings():
            return import_nengo().Simulator(
                self.parts.network, dt=self.timing.dt, seed=self.seed, progress_bar=False, **options
            )


class StockEngine:
    """One ``nengo.Simulator``, reset for each sample."""

    sample_bytes = 0

    def __init__(self, built: Built) -> None:
        self._built = built
        self._simulator = built.simulator()

    def close(self) -> None:
        """Close the simulator."""
        self._simulator.close()

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run each sample of ``x`` from rest."""
        built, outputs, trains = self._built, [], []
        for sample in x:
            built.presenter.sample = sample
            self._simulator.reset(seed=built.seed)
            self._simulator.run_steps(built.steps, progress_bar=False)
            outputs.append(np.array(self._simulator.data[built.parts.output]))
            trains.append(
                {
                    name: count_spikes(self._simulator.data[probe], built.spike_sizes[name])
                    for name, probe in built.parts.spikes.items()
                }
            )
        together = {name: np.stack([t[name] for t in trains]) for name in built.parts.spikes}
        totals = {name: train.sum(axis=1) for name, train in together.items()}
        return EngineRun(np.stack(outputs), totals, together)


class BatchedEngine:
    """The operators of a ``nengo.Simulator``, in its order, on arrays with a batch axis.

    Parameters
    ----------
    built, feeding
        The network, and what its input is fed.
    strict
        Every sum in the order of the stock simulator.
    margin
        How near a threshold a voltage may come before rounding could matter.

    Raises
    ------
    Unsupported
        An operator that would not be run exactly.
    """

    def __init__(
        self, built: Built, feeding: Feeding, *, strict: bool = False, margin: float = 0.0
    ) -> None:
        self._built, self._feeding, self._strict, self._margin = built, feeding, strict, margin
        # Unoptimised, so that operators and signals are one by one as they were built.
        self._simulator = built.simulator(optimize=False)
        try:
            host = self._host(np.zeros((1, 1, feeding.input_size)), np.zeros(1, int))
        except BaseException:
            self.close()
            raise
        outputs = built.steps * built.parts.output.size_in
        self.sample_bytes = feeding.sample_bytes + 2 * host.signals.nbytes + 2 * FLOAT64 * outputs

    def close(self) -> None:
        """Close the simulator whose operators are run."""
        self._simulator.close()

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run ``x`` (batch, inputs, size) at once."""
        parts, sizes, steps = self._built.parts, self._built.spike_sizes, self._built.steps
        host = self._host(x, self._built.timing.presented(self._built.inputs))
        outputs = np.empty((steps, parts.output.size_in, len(x)))
        put_out: dict[str, Any] = dict.fromkeys(parts.spikes, 0.0)
        trains: dict[str, list[Array]] = {name: [] for name in parts.spikes}
        for step in range(steps):
            host.step()
            outputs[step] = host.probed(parts.output)
            for name, probe in parts.spikes.items():
                now = host.probed(probe)
                put_out[name] += now
                if raster:
                    trains[name].append(count_spikes(now, sizes[name]))
        return EngineRun(
            np.moveaxis(outputs, -1, 0),
            {name: count_spikes(total.T, sizes[name]) for name, total in put_out.items()},
            {n: np.moveaxis(np.array(t), -1, 0) for n, t in trains.items()} if raster else None,
            None if self._strict else host.near,
        )

    def _host(self, x: Array, shown: Array) -> BatchedHost:
        return BatchedHost(
            self._simulator,
            len(x),
            {self._built.parts.input: self._feeding.feed(x, shown)},
            strict=self._strict,
            compiled=find_spec("numba") is not None,
            margin=self._margin,
        )

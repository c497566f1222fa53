"""nengo-loihi's emulator: spiking populations on the chip, everything else on the host.

Values that do not spike reach the chip as spikes of on/off decode neurons, which code
numbers between -1 and 1.  The host therefore sums each population's input current, divides
it by the largest current seen in training, and the chip multiplies it back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import perf_counter

import numpy as np

from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph import Graph
from spiking_lmu.model import Model
from spiking_lmu.network import Presenter, build_network
from spiking_lmu.simulate import check_input
from spiking_lmu.target import Capabilities, Problem, Run, count_spikes, raster_of

#: Room above the largest current seen in training before the decode neurons saturate.
HEADROOM = 1.1
#: Kinds of neurons that have a model on the chip.
ON_CHIP = ("spiking_relu", "lif")


class LoihiTarget:
    """Runs a model on ``nengo_loihi.Simulator`` with ``target="sim"``."""

    name = "loihi"
    summary = "Loihi emulator of nengo-loihi, integer arithmetic"
    extra = "loihi"
    capabilities = Capabilities(batched=False, on_chip=True, precision="8-bit weights, integers")
    distributions = ("nengo-loihi", "nengo", "numpy")

    def available(self) -> str:
        """Whether nengo-loihi is installed; does not import it."""
        if find_spec("nengo_loihi") is not None:
            return ""
        return "nengo_loihi is not installed; run: pip install 'spiking-lmu[loihi]'"

    def check(self, model: Model) -> list[Problem]:
        """What has to spike on the chip, and what is known about its currents."""
        problems = [
            Problem(p.name, f"{p.neuron.kind} neurons", "spiking neurons or linear values",
                    "convert the model: spiking-lmu convert")
            for p in model.graph.populations
            if p.neuron.kind not in (*ON_CHIP, "linear")
        ]  # fmt: skip
        problems += [
            Problem(p.name, "no measured currents", "the largest current in training",
                    "convert the model with training data: spiking-lmu convert --data")
            for p in model.graph.spiking
            if _from_host(model.graph, p.name) and p.name not in model.activity
        ]  # fmt: skip
        return problems

    def deploy(
        self, model: Model, inputs: int, *, seed: int = 0, precise: bool = True
    ) -> LoihiDeployment:
        """Build the network; nengo-loihi builds it again for every sample.

        Parameters
        ----------
        precise
            False runs the chip's dynamics without quantisation (nengo-loihi's ``simreal``).

        Raises
        ------
        TargetError
            The model has neurons that do not spike, or was not measured on data.
        """
        problems = self.check(model)
        if problems:
            raise TargetError(
                "model for loihi",
                got="; ".join(f"{p.where}: {p.got}" for p in problems),
                expected=problems[0].limit,
                fix=problems[0].fix,
            )
        return LoihiDeployment(model, inputs, seed, "sim" if precise else "simreal")


class LoihiDeployment:
    """A network for nengo-loihi, whose simulator cannot be reset: one is built a sample."""

    batch_size = 1

    def __init__(self, model: Model, inputs: int, seed: int, emulator: str) -> None:
        self._loihi = import_nengo_loihi()
        graph = model.graph
        self._graph, self._timing, self._seed, self._emulator = graph, model.timing, seed, emulator
        self._presenter = Presenter(model.timing, inputs, graph.input_size)
        ranges = {
            p.name: p.scale
            * float(np.abs(p.gain).max())
            * model.activity[p.name].current
            * HEADROOM
            for p in graph.spiking
            if _from_host(graph, p.name)
        }
        with _quiet():
            self._built = build_network(
                graph,
                model.timing,
                inputs,
                input_output=self._presenter,
                current_range=ranges,
                seed=seed,
            )
            self._loihi.add_params(self._built.network)
        self._latency = latency(graph)
        self._steps = model.timing.total_steps(inputs)
        self.placement = {
            p.name: "chip emulator" if p.neuron.spiking else "host" for p in graph.populations
        }

    def __enter__(self) -> LoihiDeployment:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, x: np.ndarray, *, raster: bool = False) -> Run:
        """Run each sample of ``x`` on an emulator of its own."""
        x = check_input(self._graph, x)
        started = perf_counter()
        outputs, spikes, rasters = [], [], []
        for sample in x:
            self._presenter.sample = sample
            data = self._simulate()
            outputs.append(data["output"])
            spikes.append({p.name: data[p.name].sum(axis=0) for p in self._graph.spiking})
            if raster:
                rasters.append({p.name: raster_of(data[p.name]) for p in self._graph.spiking})
        return Run(
            np.stack(outputs),
            {p.name: np.stack([s[p.name] for s in spikes]) for p in self._graph.spiking},
            perf_counter() - started,
            tuple(rasters),
        )

    def _simulate(self) -> dict[str, np.ndarray]:
        """One sample: the output without the latency, and spike counts a step."""
        with (
            _quiet(),
            self._loihi.Simulator(
                self._built.network, dt=self._timing.dt, seed=self._seed, target=self._emulator
            ) as simulator,
        ):
            simulator.run_steps(self._steps + self._latency)
            data = {"output": np.array(simulator.data[self._built.output])[self._latency :]}
            for population in self._graph.spiking:
                trains = np.array(simulator.data[self._built.spikes[population.name]])
                unit = population.neuron.amplitude / (population.scale * self._timing.dt)
                data[population.name] = count_spikes(trains[: self._steps], unit)
        return data


def latency(graph: Graph) -> int:
    """Steps by which the output lags behind the input on the longest way to the output.

    Each crossing between host and chip takes one step, and so does each projection on the
    chip (nengo-loihi 1.1.0, ``simulator.py``, ``StepRunner``).
    """
    steps = dict.fromkeys(graph.order, 0)
    for name in graph.order:
        for projection in graph.incoming(name):
            if projection.immediate:
                ends = (graph[projection.pre].neuron.spiking, graph[name].neuron.spiking)
                steps[name] = max(steps[name], steps[projection.pre] + any(ends))
    return steps[graph.output]


def _from_host(graph: Graph, name: str) -> bool:
    return any(not graph[p.pre].neuron.spiking for p in graph.incoming(name))


@contextmanager
def _quiet() -> Iterator[None]:
    """nengo-loihi warns about its own use of Nengo; nothing a user can act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


TARGET = LoihiTarget()

"""nengo-loihi's emulator: spiking populations on the chip, everything else on the host.

Values that do not spike reach the chip as spikes of on/off decode neurons, which code
numbers between -1 and 1.  The host therefore sums each population's input current, divides
it by the largest current seen in training, and the chip multiplies it back.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph import Graph
from spiking_lmu.model import Model
from spiking_lmu.network import Presenter, build_network
from spiking_lmu.target import Capabilities, Problem

from .engines import EngineDeployment
from .loihi_engines import BatchedEngine, Emulation, StockEngine, quiet

#: Room above the largest current seen in training before the decode neurons saturate.
HEADROOM = 1.1
#: Kinds of neurons that have a model on the chip.
ON_CHIP = ("spiking_relu", "lif")


class LoihiTarget:
    """Runs a model on ``nengo_loihi.Simulator`` with ``target="sim"``."""

    name = "loihi"
    summary = "Loihi emulator of nengo-loihi, integer arithmetic"
    extra = "loihi"
    capabilities = Capabilities(batched=True, on_chip=True, precision="8-bit weights, integers")
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
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        engine: str = "auto",
        verify: int = 1,
        precise: bool = True,
    ) -> EngineDeployment:
        """Build the network for the emulator.

        Parameters
        ----------
        engine, verify
            See :class:`EngineDeployment`.
        precise
            False runs the chip's dynamics without quantisation (nengo-loihi's ``simreal``),
            which only the stock engine can.

        Raises
        ------
        TargetError
            The model has neurons that do not spike, or was not measured on data; an unknown
            engine; a network that the batched engine would not run exactly.
        """
        problems = self.check(model)
        if problems:
            raise TargetError(
                "model for loihi",
                got="; ".join(f"{p.where}: {p.got}" for p in problems),
                expected=problems[0].limit,
                fix=problems[0].fix,
            )
        emulation, presenter = _build(model, inputs, seed, "sim" if precise else "simreal")
        return EngineDeployment(
            self.name,
            model.graph,
            {
                p.name: "chip emulator" if p.neuron.spiking else "host"
                for p in model.graph.populations
            },
            engine=engine if precise else "stock",
            verify=verify,
            stock=lambda: StockEngine(emulation, presenter),
            batched=lambda: BatchedEngine(emulation),
        )


def _build(model: Model, inputs: int, seed: int, emulator: str) -> tuple[Emulation, Presenter]:
    loihi = import_nengo_loihi()
    graph = model.graph
    presenter = Presenter(model.timing, inputs, graph.input_size)
    ranges = {
        p.name: p.scale * float(np.abs(p.gain).max()) * model.activity[p.name].current * HEADROOM
        for p in graph.spiking
        if _from_host(graph, p.name)
    }
    with quiet():
        built = build_network(
            graph,
            model.timing,
            inputs,
            input_output=presenter,
            current_range=ranges,
            seed=seed,
        )
        loihi.add_params(built.network)
    return Emulation(built, model.timing, inputs, latency(graph), seed, emulator), presenter


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


TARGET = LoihiTarget()

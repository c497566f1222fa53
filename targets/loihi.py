"""nengo-loihi's emulator: spiking populations on the chip, everything else on the host.

Values that do not spike reach the chip as spikes of on/off decode neurons, which code
numbers between -1 and 1.  The host therefore sums each population's input current, divides
it by the largest current seen in training, and the chip multiplies it back.
"""

from __future__ import annotations

from importlib.util import find_spec
from time import perf_counter

import numpy as np

from spiking_lmu.batched import Unsupported
from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph import Graph
from spiking_lmu.model import Model
from spiking_lmu.network import Presenter, build_network
from spiking_lmu.simulate import check_input
from spiking_lmu.target import Capabilities, Problem, Run, raster_of

from .loihi_engines import BatchedEngine, Emulation, EngineRun, StockEngine, quiet

#: Room above the largest current seen in training before the decode neurons saturate.
HEADROOM = 1.1
#: Kinds of neurons that have a model on the chip.
ON_CHIP = ("spiking_relu", "lif")
ENGINES = ("auto", "batched", "stock")


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
    ) -> LoihiDeployment:
        """Build the network for the emulator.

        Parameters
        ----------
        engine
            ``batched`` runs many samples at once, exactly, or refuses; ``stock`` is upstream's
            emulator, one sample at a time; ``auto`` is batched where that is exact, else stock
            with a note.
        verify
            So many samples are run on both engines; a difference is an error.
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
        if engine not in ENGINES:
            raise TargetError(
                "engine for loihi", got=repr(engine), expected=", ".join(ENGINES), fix="use auto"
            )
        return LoihiDeployment(model, inputs, seed, engine, verify, "sim" if precise else "simreal")


class LoihiDeployment:
    """A network on the emulator, on one of the two engines."""

    def __init__(
        self, model: Model, inputs: int, seed: int, engine: str, verify: int, emulator: str
    ) -> None:
        loihi = import_nengo_loihi()
        self._graph = graph = model.graph
        presenter = Presenter(model.timing, inputs, graph.input_size)
        ranges = {
            p.name: p.scale
            * float(np.abs(p.gain).max())
            * model.activity[p.name].current
            * HEADROOM
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
        emulation = Emulation(built, model.timing, inputs, latency(graph), seed, emulator)
        self._stock = StockEngine(emulation, presenter)
        self._engine, self.notes = _choose(engine, emulation, self._stock)
        self._to_verify = 0 if self._engine is self._stock else verify
        self.batch_size = self._engine.batch_size
        self.placement = {
            p.name: "chip emulator" if p.neuron.spiking else "host" for p in graph.populations
        }

    def __enter__(self) -> LoihiDeployment:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def run(self, x: np.ndarray, *, raster: bool = False) -> Run:
        """Run ``x``, each sample from rest; the first ones of all on both engines."""
        x = check_input(self._graph, x)
        started = perf_counter()
        result = self._engine.run(x, raster)
        seconds = perf_counter() - started
        if self._to_verify:
            count = min(self._to_verify, len(x))
            _require_same(result, self._stock.run(x[:count], raster), count)
            self.notes += (f"{count} sample(s) identical to the stock emulator, spike for spike",)
            self._to_verify = 0
        rasters: tuple[dict[str, np.ndarray], ...] = ()
        if raster and result.trains is not None:
            rasters = tuple(
                {name: raster_of(train[i]) for name, train in result.trains.items()}
                for i in range(len(x))
            )
        return Run(result.outputs, result.totals, seconds, rasters)


def _choose(
    name: str, emulation: Emulation, stock: StockEngine
) -> tuple[StockEngine | BatchedEngine, tuple[str, ...]]:
    if name == "stock" or (name == "auto" and emulation.emulator != "sim"):
        return stock, ("engine: stock",)
    try:
        return BatchedEngine(emulation), ("engine: batched",)
    except Unsupported as error:
        if name == "batched":
            raise
        return stock, (f"engine: stock, since batched execution would not be exact: {error}",)


def _require_same(batched: EngineRun, stock: EngineRun, count: int) -> None:
    """Raise a TargetError unless spikes are equal and outputs agree to rounding of sums."""
    spikes = all(np.array_equal(batched.totals[n][:count], stock.totals[n]) for n in stock.totals)
    if not spikes or not np.allclose(batched.outputs[:count], stock.outputs, rtol=0, atol=1e-6):
        raise TargetError(
            "batched engine for loihi",
            got="another result than the stock emulator on the first samples",
            expected="the same spikes and outputs",
            fix="use --engine stock, and report this model",
        )


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

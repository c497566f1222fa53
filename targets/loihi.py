"""nengo-loihi's emulator: spiking populations on the chip, everything else on the host.

Values that do not spike reach the chip as spikes of on/off decode neurons, which code
numbers between -1 and 1.  The host therefore sums each population's input current, divides
it by the largest current seen in training, and the chip multiplies it back.
"""

from __future__ import annotations

from importlib.util import find_spec

from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph import Graph
from spiking_lmu.model import Model
from spiking_lmu.network import Presenter, build_network
from spiking_lmu.target import Capabilities, CoreUse, Problem, blocking

from . import learning, loihi_limits
from .engines import EngineDeployment, Makers
from .feeding import Plain, plan_feeding
from .loihi_engines import BatchedEngine, Emulation, StockEngine, quiet
from .loihi_layout import current_ranges, lay_out
from .rounding import rounding_margin


class LoihiTarget:
    """Runs a model on ``nengo_loihi.Simulator`` with ``target="sim"``."""

    name = "loihi"
    summary = "Loihi emulator of nengo-loihi, integer arithmetic"
    extra = "loihi"
    capabilities = Capabilities(
        batched=True,
        on_chip=True,
        precision="8-bit weights, integers",
        learning="PES, on the chip",
        live_weights="read, of PES",
    )
    distributions = ("nengo-loihi", "nengo", "numpy")
    online_learning = learning.LOIHI

    def available(self) -> str:
        """Whether nengo-loihi is installed; does not import it."""
        if find_spec("nengo_loihi") is not None:
            return ""
        return "nengo_loihi is not installed; run: pip install 'spiking-lmu[loihi]'"

    def check(self, model: Model) -> list[Problem]:
        """Everything that Loihi cannot do, or does differently (:mod:`.loihi_limits`)."""
        return loihi_limits.problems(model)

    def cores(self, model: Model) -> tuple[CoreUse, ...]:
        """What each core would hold."""
        return lay_out(model).cores()

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        memory: int | None = None,
        engine: str = "auto",
        precise: bool = True,
    ) -> EngineDeployment:
        """Build the network for the emulator.

        Parameters
        ----------
        memory, engine
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
        problems = blocking(self.check(model))
        if problems:
            raise TargetError(
                "model for loihi",
                got="; ".join(f"{p.where}: {p.got}" for p in problems),
                expected=problems[0].limit,
                fix=problems[0].fix,
            )
        emulator = "sim" if precise else "simreal"

        def built(graph: Graph) -> Emulation:
            return _build(model, graph, inputs, seed, emulator)

        def batched() -> BatchedEngine:
            feeding = plan_feeding(model.graph, inputs + latency(model.graph))
            return BatchedEngine(
                built(feeding.graph), feeding, margin=rounding_margin(model, inputs)
            )

        return EngineDeployment(
            self.name,
            model,
            inputs,
            {
                p.name: "chip emulator" if p.neuron.spiking else "host"
                for p in model.graph.populations
            },
            engine=engine if precise else "stock",
            memory=memory,
            makers=Makers(
                stock=lambda: StockEngine(built(model.graph)),
                batched=batched,
                strict=lambda: BatchedEngine(built(model.graph), Plain(model.graph), strict=True),
            ),
        )


def _build(model: Model, graph: Graph, inputs: int, seed: int, emulator: str) -> Emulation:
    """Build ``graph``: the model's, or what is left of it without its linear front end.

    Either way the same is on the chip, and the output lags behind by as many steps.
    """
    loihi = import_nengo_loihi()
    presenter = Presenter(model.timing, inputs, graph.input_size)
    with quiet():
        built = build_network(
            graph,
            model.timing,
            inputs,
            input_output=presenter,
            current_range=current_ranges(model),
            seed=seed,
        )
        loihi.add_params(built.network)
    return Emulation(built, presenter, model.timing, inputs, latency(model.graph), seed, emulator)


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


TARGET = LoihiTarget()

"""nengo-loihi's emulator: spiking populations on the chip, everything else on the host.

Spiking populations that are marked ``on_host`` stay there too.  Their spikes enter the chip as
they are, one axon a neuron (nengo-loihi 1.1.0, ``builder/connection.py``,
``build_host_neurons_to_chip``), and reach it one step later.

Values that do not spike reach the chip as spikes of on/off decode neurons, which code
numbers between -1 and 1.  The host therefore sums each population's input current, divides
it by the largest current seen in training, and the chip multiplies it back.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from spiking_lmu.backends.engines import EngineDeployment, Makers
from spiking_lmu.backends.feeding import Plain, plan_feeding
from spiking_lmu.backends.network import Presenter, build_network
from spiking_lmu.backends.rounding import rounding_margin
from spiking_lmu.backends.target import Capabilities, CoreUse, Problem, Rung, blocking
from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model

from . import limits as loihi_limits
from .cells import LoihiCells
from .engines import (
    ARITHMETICS,
    INTEGERS,
    REAL,
    ROUNDED,
    BatchedEngine,
    Emulation,
    StockEngine,
    quiet,
)
from .layout import current_ranges, lay_out
from .online_learning import LOIHI


class LoihiTarget:
    """Runs a model on ``nengo_loihi.Simulator``, in integers or without quantisation."""

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
    online_learning = LOIHI
    cells = LoihiCells()

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
        arithmetic: str = INTEGERS,
    ) -> EngineDeployment:
        """Build the network for the emulator.

        Parameters
        ----------
        memory, engine
            See :class:`EngineDeployment`.
        arithmetic
            ``integers`` are the chip's.  ``real`` is its dynamics without quantisation
            (nengo-loihi's ``simreal``), ``rounded`` that with the weights and biases of the
            chip, which only the batched engine can.  That adds up inputs in float32 in another
            order than ``simreal``: a voltage that is within rounding of its threshold may spike
            in one and not in the other.

        Raises
        ------
        TargetError
            The model has neurons that do not spike, or was not measured on data; an unknown
            engine or arithmetic, or the two together that do not go; a network that the
            batched engine would not run exactly.
        """
        problems = blocking(self.check(model))
        if problems:
            raise TargetError(
                "model for loihi",
                got="; ".join(f"{p.where}: {p.got}" for p in problems),
                expected=problems[0].limit,
                fix=problems[0].fix,
            )
        if arithmetic not in ARITHMETICS or (arithmetic == ROUNDED and engine == "stock"):
            raise TargetError(
                "arithmetic for loihi",
                got=f"{arithmetic!r} with engine {engine}",
                expected=f"{', '.join(ARITHMETICS)}; {ROUNDED} without engine stock",
                fix="use one of these",
            )

        def built(graph: Graph) -> Emulation:
            return _build(model, graph, inputs, seed, arithmetic)

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
                p.name: "chip emulator" if p in model.graph.on_chip else "host"
                for p in model.graph.populations
            },
            engine="batched" if arithmetic == ROUNDED else engine,
            memory=memory,
            exact=arithmetic == INTEGERS,
            makers=Makers(
                stock=lambda: StockEngine(built(model.graph)),
                batched=batched,
                strict=lambda: BatchedEngine(built(model.graph), Plain(model.graph), strict=True),
            ),
        )

    def rungs(self, model: Model, inputs: int, *, seed: int = 0) -> tuple[Rung, ...]:
        """What the emulator changes before it counts in integers, one thing after another."""
        deploy = partial(self.deploy, model, inputs, seed=seed)
        return (
            Rung(
                loihi_limits.DYNAMICS,
                "chip synapses, host values sent as spikes, lags; real numbers",
                partial(deploy, arithmetic=REAL),
            ),
            Rung(
                loihi_limits.WEIGHTS,
                "8-bit weights and 12-bit biases, scaled core by core",
                partial(deploy, arithmetic=ROUNDED),
            ),
        )


def _build(
    model: Model, graph: Graph, inputs: int, seed: int, arithmetic: str = INTEGERS
) -> Emulation:
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
        for ensemble in built.on_host:
            built.network.config[ensemble].on_chip = False
    return Emulation(built, presenter, model.timing, inputs, latency(model.graph), seed, arithmetic)


def latency(graph: Graph) -> int:
    """Steps by which the output lags behind the input on the longest way to the output.

    Each crossing between host and chip takes one step, and so does each projection on the
    chip (nengo-loihi 1.1.0, ``simulator.py``, ``StepRunner``).
    """
    steps, on_chip = dict.fromkeys(graph.order, 0), {p.name for p in graph.on_chip}
    for name in graph.order:
        for projection in graph.incoming(name):
            if projection.immediate:
                crossed = bool({projection.pre, name} & on_chip)
                steps[name] = max(steps[name], steps[projection.pre] + crossed)
    return steps[graph.output]


TARGET = LoihiTarget()

"""A model on the Loihi emulator: spiking populations on the chip, everything else on the host.

Spiking populations that are marked ``on_host`` stay there too.  Their spikes enter the chip as
they are, one axon a neuron (nengo-loihi 1.1.0, ``builder/connection.py``,
``build_host_neurons_to_chip``), and reach it one step later.

Values that do not spike reach the chip as spikes of on/off decode neurons, which code
numbers between -1 and 1.  The host therefore sums each population's input current, divides
it by the largest current seen in training, and the chip multiplies it back.
"""

from __future__ import annotations

from spiking_lmu.backends.engines import EngineDeployment, Makers
from spiking_lmu.backends.feeding import PlainFeeding, plan_feeding
from spiking_lmu.backends.network import Presenter, build_network
from spiking_lmu.backends.rounding import rounding_margin
from spiking_lmu.compat import import_nengo, import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import compares

from .engines import ARITHMETICS, INTEGERS, ROUNDED, BatchedEngine, Emulation, StockEngine, quiet
from .layout import current_ranges, lay_out


def deploy(
    target: str,
    model: Model,
    inputs: int,
    *,
    seed: int,
    memory_limit: int | None,
    engine: str,
    arithmetic: str,
) -> EngineDeployment:
    """Build the network; see :meth:`.target.LoihiTarget.deploy`.

    Raises
    ------
    TargetError
        An unknown engine or arithmetic, or the two together that do not go; a network that the
        batched engine would not run exactly.
    """
    if arithmetic not in ARITHMETICS or (arithmetic == ROUNDED and engine == "stock"):
        raise TargetError(
            "arithmetic for loihi",
            got=f"{arithmetic!r} with engine {engine}",
            expected=f"{', '.join(ARITHMETICS)}; {ROUNDED} without engine stock",
            fix="use one of these",
        )

    def built(graph: Graph) -> Emulation:
        return build(model, graph, inputs, seed, arithmetic)

    def batched() -> BatchedEngine:
        feeding = plan_feeding(model.graph, inputs + latency(model.graph))
        return BatchedEngine(built(feeding.graph), feeding, margin=rounding_margin(model, inputs))

    deployment = EngineDeployment(
        target,
        model,
        inputs,
        {
            p.name: "chip emulator" if p in model.graph.on_chip else "host"
            for p in model.graph.populations
        },
        engine="batched" if arithmetic == ROUNDED else engine,
        memory_limit=memory_limit,
        exact=arithmetic == INTEGERS,
        makers=Makers(
            stock=lambda: StockEngine(built(model.graph)),
            batched=batched,
            strict=lambda: BatchedEngine(
                built(model.graph), PlainFeeding(model.graph), strict=True
            ),
        ),
    )
    staying = [
        p for p in model.graph.spiking if p.on_host and not compares(p.neuron, model.timing.dt)
    ]
    if staying:
        layers = ", ".join(f"{p.name} ({p.size:,} neurons)" for p in staying)
        deployment.notes += (f"on the host: {layers}",)
    return deployment


def build(
    model: Model, graph: Graph, inputs: int, seed: int, arithmetic: str = INTEGERS
) -> Emulation:
    """Build ``graph``: the model's, or what is left of it without its linear front end.

    Either way the same is on the chip, and the output lags behind by as many steps.
    """
    loihi, nengo = import_nengo_loihi(), import_nengo()
    presenter = Presenter(model.timing, inputs, graph.input_size)
    with quiet():
        built = build_network(
            graph,
            model.timing,
            inputs,
            input_output=presenter,
            current_range=current_ranges(model),
            relayed=True,
            seed=seed,
        )
        loihi.add_params(built.network)
        for ensemble in built.on_host:
            built.network.config[ensemble].on_chip = False
        for connection in built.network.all_connections:
            if isinstance(connection.transform, nengo.Convolution):
                # Axons of 16 bits have offsets in multiples of four, which not all have.
                built.network.config[connection].pop_type = 32
        for name, neurons in lay_out(model).shapes.items():
            shape = loihi.BlockShape((neurons,), (model.graph[name].size,))
            built.network.config[built.ensembles[name]].block_shape = shape
    late = lags(model.graph)
    return Emulation(
        built, presenter, model.timing, inputs, late, model.graph.output, seed, arithmetic
    )


def latency(graph: Graph) -> int:
    """Steps by which the output lags behind the input."""
    return lags(graph)[graph.output]


def lags(graph: Graph) -> dict[str, int]:
    """Steps by which each population lags behind the input, on the longest way to it.

    Each crossing between host and chip takes one step, and so does each projection on the
    chip (nengo-loihi 1.1.0, ``simulator.py``, ``StepRunner``).
    """
    steps, on_chip = dict.fromkeys(graph.order, 0), {p.name for p in graph.on_chip}
    for name in graph.order:
        for projection in graph.incoming(name):
            if projection.immediate:
                crossed = bool({projection.pre, name} & on_chip)
                steps[name] = max(steps[name], steps[projection.pre] + crossed)
    return steps

"""Nengo's own simulator in float64: one sample after another, or its operators on a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from spiking_lmu.backends.target import Capabilities, Defaults, OnlineLearning, Problem, Target

if TYPE_CHECKING:
    from spiking_lmu.backends.engines import EngineDeployment
    from spiking_lmu.graph.graph import Graph
    from spiking_lmu.graph.model import Model

    from .engines import BatchedEngine, Built


class ReferenceTarget(Target):
    """Runs a model on ``nengo.Simulator``."""

    name = "reference"
    summary = "Nengo's simulator, float64"
    capabilities = Capabilities(
        batched=True,
        on_chip=False,
        precision="float64",
        learning="PES and one's own",
        live_weights="read, write",
    )
    # A neuron here may spike several times a step and keeps what is left over: precision grows
    # with the rate.
    defaults = Defaults(max_rate=1000.0)
    distributions = ("nengo", "numpy")
    rank = 0

    def check(self, model: Model) -> list[Problem]:
        """SoftLIF exists in NengoDL only."""
        return [
            Problem(
                p.name, "soft_lif neurons", "neurons of Nengo", "convert to lif, or use nengo-dl"
            )
            for p in model.graph.populations
            if p.neuron.kind == "soft_lif"
        ]

    @property
    def online_learning(self) -> OnlineLearning:
        """PES, and rules of one's own."""
        from .online_learning import REFERENCE

        return REFERENCE

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        memory_limit: int | None = None,
        engine: Literal["auto", "batched", "stock"] = "auto",
    ) -> EngineDeployment:
        """Build the network; every sample starts from rest.

        Parameters
        ----------
        memory_limit
            Bytes that a batch may take; 1 GiB if not given.
        engine
            ``batched`` runs many samples at once, exactly, or refuses; ``stock`` is upstream's
            simulator, one sample at a time; ``auto`` is batched where that is exact.

        Raises
        ------
        TargetError
            An unknown engine, or neurons that Nengo does not have.
        """
        from spiking_lmu.backends.engines import EngineDeployment, Makers
        from spiking_lmu.backends.feeding import PlainFeeding, plan_feeding
        from spiking_lmu.backends.rounding import rounding_margin

        from .engines import BatchedEngine, Built, StockEngine

        def built(graph: Graph) -> Built:
            return Built(model, graph, inputs, seed)

        def batched() -> BatchedEngine:
            feeding = plan_feeding(model.graph, inputs)
            return BatchedEngine(
                built(feeding.graph), feeding, margin=rounding_margin(model, inputs)
            )

        return EngineDeployment(
            self.name,
            model,
            inputs,
            {p.name: "nengo" for p in model.graph.populations},
            engine=engine,
            memory_limit=memory_limit,
            makers=Makers(
                stock=lambda: StockEngine(built(model.graph)),
                batched=batched,
                strict=lambda: BatchedEngine(
                    built(model.graph), PlainFeeding(model.graph), strict=True
                ),
            ),
        )


TARGET = ReferenceTarget()

"""nengo-loihi's emulator: spiking populations on the chip, everything else on the host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from spiking_lmu.backends.target import (
    Capabilities,
    CoreUse,
    Defaults,
    OnlineLearning,
    Problem,
    Rung,
    Target,
    blocking,
)
from spiking_lmu.errors import TargetError

if TYPE_CHECKING:
    from spiking_lmu.backends.engines import EngineDeployment
    from spiking_lmu.graph.cells import Cells
    from spiking_lmu.graph.model import Model


class LoihiTarget(Target):
    """Runs a model on ``nengo_loihi.Simulator``, in integers or without quantisation."""

    name = "loihi"
    summary = "Loihi emulator of nengo-loihi, integer arithmetic"
    modules = ("nengo_loihi",)
    extra = "loihi"
    capabilities = Capabilities(
        batched=True,
        on_chip=True,
        precision="8-bit weights, integers",
        learning="PES, on the chip",
        live_weights="read, of PES",
    )
    # A neuron spikes at most once a step and forgets what is left over: a higher rate costs
    # precision here.
    defaults = Defaults(max_rate=250.0)
    distributions = ("nengo-loihi", "nengo", "numpy")
    rank = 20

    @property
    def online_learning(self) -> OnlineLearning:
        """PES, by the chip's learning engine."""
        from .online_learning import LOIHI

        return LOIHI

    @property
    def cells(self) -> Cells:
        """The chip's neurons."""
        from .cells import LoihiCells

        return LoihiCells()

    def adapted(self, model: Model) -> Model:
        """Spikes of neurons with a trained LIF curve count for more (:mod:`.spike_sizes`)."""
        from .spike_sizes import matched

        return matched(model)

    def check(self, model: Model) -> list[Problem]:
        """Everything that Loihi cannot do, or does differently (:mod:`.limits`)."""
        from .limits import problems

        return problems(model)

    def cores(self, model: Model) -> tuple[CoreUse, ...]:
        """What each core would hold."""
        from .layout import lay_out

        return lay_out(self.adapted(model)).cores()

    def latency(self, model: Model) -> int:
        """A step for each way onto the chip, on it and off it."""
        from .deployment import latency

        return latency(model.graph)

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        memory_limit: int | None = None,
        engine: Literal["auto", "batched", "stock"] = "auto",
        arithmetic: Literal["integers", "rounded", "real"] = "integers",
    ) -> EngineDeployment:
        """Build the network for the emulator.

        Parameters
        ----------
        memory_limit
            Bytes that a batch may take; 1 GiB if not given.
        engine
            ``batched`` runs many samples at once, exactly, or refuses; ``stock`` is upstream's
            simulator, one sample at a time; ``auto`` is batched where that is exact.
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
        from .deployment import deploy

        problems = blocking(self.check(model))
        if problems:
            raise TargetError(
                "model for loihi",
                got="; ".join(f"{p.where}: {p.got}" for p in problems),
                expected=problems[0].limit,
                fix=problems[0].fix,
            )
        return deploy(
            self.name,
            self.adapted(model),
            inputs,
            seed=seed,
            memory_limit=memory_limit,
            engine=engine,
            arithmetic=arithmetic,
        )

    def rungs(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        memory_limit: int | None = None,
        engine: Literal["auto", "batched", "stock"] = "auto",
        arithmetic: Literal["integers", "rounded", "real"] = "integers",
    ) -> tuple[Rung, ...]:
        """What the emulator changes before it counts as it is told to, one thing after another.

        They run on the engine of the target; rounded weights, which upstream's simulator does
        not have, always on the batched one.
        """
        from .limits import DYNAMICS, WEIGHTS

        deploy = partial(self.deploy, model, inputs, seed=seed, memory_limit=memory_limit)
        real = Rung(
            DYNAMICS,
            "chip synapses, host values sent as spikes, lags; real numbers",
            partial(deploy, engine=engine, arithmetic="real"),
        )
        rounded = Rung(
            WEIGHTS,
            "8-bit weights and 12-bit biases, scaled core by core",
            partial(
                deploy, engine="batched" if engine == "stock" else engine, arithmetic="rounded"
            ),
        )
        before = {"real": (), "rounded": (real,)}
        return before.get(arithmetic, (real, rounded))


TARGET = LoihiTarget()

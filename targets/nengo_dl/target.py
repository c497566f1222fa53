"""NengoDL: many samples at once on TensorFlow, CPU or GPU, in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiking_lmu.backends.target import Capabilities, Defaults, OnlineLearning, Target

if TYPE_CHECKING:
    from spiking_lmu.graph.model import Model

    from .deployment import NengoDlDeployment


class NengoDlTarget(Target):
    """Runs a model on ``nengo_dl.Simulator`` in minibatches."""

    name = "nengo-dl"
    summary = "NengoDL on TensorFlow, float32, minibatched"
    modules = ("nengo_dl", "tensorflow")
    extra = "dl"
    capabilities = Capabilities(
        batched=True,
        on_chip=False,
        precision="float32",
        learning="PES and one's own",
        live_weights="read, write",
    )
    # As on Nengo's simulator, whose neurons these are.
    defaults = Defaults(max_rate=1000.0)
    distributions = ("nengo-dl", "tensorflow", "tf-keras", "nengo", "numpy")
    rank = 10

    @property
    def online_learning(self) -> OnlineLearning:
        """PES, and rules of one's own."""
        from .online_learning import NENGO_DL

        return NENGO_DL

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        memory_limit: int | None = None,
        device: str | None = None,
        batch_size: int | None = None,
    ) -> NengoDlDeployment:
        """Build for minibatches.

        Parameters
        ----------
        memory_limit
            Bytes that one minibatch may take; 1 GiB if not given.
        device
            TensorFlow's name of a device: ``/cpu:0``, ``/gpu:0``; TensorFlow chooses if not given.
        batch_size
            Samples a minibatch; what fits into the limit if not given.

        Raises
        ------
        TargetError
            The device is not there.
        """
        from .deployment import NengoDlDeployment

        return NengoDlDeployment(model, inputs, seed, memory_limit, device, batch_size)


TARGET = NengoDlTarget()

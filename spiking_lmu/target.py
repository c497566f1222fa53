"""What a target is: the protocol that every adapter follows.

An adapter is a module with an object ``TARGET``; it is found through the entry-point group
``spiking_lmu.targets``.  ``spiking_lmu.testing`` checks that it keeps the contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from .model import Model

Array = np.ndarray


@dataclass(frozen=True)
class Capabilities:
    """What a target can do, for the table of targets."""

    batched: bool
    on_chip: bool
    precision: str


@dataclass(frozen=True)
class Problem:
    """One reason why a target cannot run a model, with the way out."""

    where: str
    got: str
    limit: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: got {self.got}, limit {self.limit}; {self.fix}"


@dataclass(frozen=True, eq=False)
class Run:
    """What one batch gave.

    Parameters
    ----------
    outputs
        Filtered output, shape (batch, steps, outputs).  Step t is the answer to the input
        presented at step t, whatever delay the target has.
    spikes
        Number of spikes of each neuron by population, each of shape (batch, size).
    seconds
        Time that the simulation took, building not included.
    rasters
        With ``raster=True``: for each sample and population (spikes, 2), step and neuron.
    """

    outputs: Array
    spikes: dict[str, Array]
    seconds: float
    rasters: tuple[dict[str, Array], ...] = field(default=())


class Deployment(Protocol):
    """A model, built and ready to run on one target.  A context manager."""

    #: Where each population runs, by name: ``"chip emulator"``, ``"host"``, …
    placement: dict[str, str]
    #: Samples that are best run at once.
    batch_size: int
    #: Remarks for the report, such as which engine ran; may grow while running.
    notes: tuple[str, ...]

    def run(self, x: Array, *, raster: bool = False) -> Run:
        """Run a batch of shape (batch, inputs, input_size), each sample from rest."""

    def __enter__(self) -> Deployment: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Target(Protocol):
    """A place where models run."""

    name: str
    summary: str
    #: What to install: ``"loihi"`` for ``pip install 'spiking-lmu[loihi]'``; may be empty.
    extra: str
    capabilities: Capabilities
    #: Distribution names whose versions a report records.
    distributions: tuple[str, ...]

    def available(self) -> str:
        """Empty if the target can run here, else one line that says why not."""

    def check(self, model: Model) -> list[Problem]:
        """Every reason against running ``model``, cheaply; empty if there is none."""

    def deploy(self, model: Model, inputs: int, *, seed: int = 0, **options: Any) -> Deployment:
        """Build ``model`` for samples of ``inputs`` inputs.

        Raises
        ------
        TargetError
            The target refuses the model or an option.
        """


def count_spikes(trains: Array, amplitude_over_dt: float) -> Array:
    """Number of spikes from neuron outputs: (…, steps, size) → integers, same shape."""
    return np.rint(np.asarray(trains) / amplitude_over_dt).astype(np.int32)


def raster_of(counts: Array) -> Array:
    """Step and neuron of each spike, shape (spikes, 2), from counts (steps, size)."""
    return np.argwhere(counts > 0).astype(np.int32)

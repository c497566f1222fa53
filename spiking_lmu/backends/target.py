"""What a target is: the protocol that every adapter follows.

An adapter is a module with an object ``TARGET``; it is found through the entry-point group
``spiking_lmu.targets``.  ``spiking_lmu.backends.contract`` checks that it keeps the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron

Array = np.ndarray


@dataclass(frozen=True)
class Capabilities:
    """What a target can do, for the tables of targets; the last two in words."""

    batched: bool
    on_chip: bool
    precision: str
    #: Learning rules that run there while it simulates.
    learning: str = "none"
    #: What :mod:`spiking_lmu.training.online.live` can do with weights while it simulates.
    live_weights: str = "none"


@dataclass(frozen=True)
class OnlineLearning:
    """How a target runs a Nengo network whose connections learn by PES.

    A target that can has one as ``online_learning``; others lack it or have None.

    Parameters
    ----------
    simulator
        From a network, dt in seconds, a seed, and about the largest decoder that will be
        learned: a context manager that gives an object with ``run_steps`` and ``data``, as of
        Nengo's simulators.
    decoders
        From that object and a connection: what it has learned by now, shape (post, neurons),
        for spikes of height 1/dt.
    error_step
        Errors are to be rounded to multiples of this before they reach the rule; 0 is no
        rounding.  A chip that cuts off low bits of error times activity would otherwise
        let all weights drift one way.
    settings
        Numbers of the target's own, for reports.
    """

    simulator: Callable[[Any, float, int, float], AbstractContextManager[Any]]
    decoders: Callable[[Any, Any], Array]
    error_step: float = 0.0
    settings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """One thing about a model that a target cannot do, or does differently, with the way out.

    Parameters
    ----------
    where
        The population or projection.
    got, limit
        The number that was found and the one that is allowed, with units.
    severity
        ``error``: the target cannot run the model; ``hardware``: it runs on the emulator and
        would not on the chip; ``warning``: it runs, not quite as it was trained.
    rung
        For a warning: the `Rung` (or the rung of :mod:`spiking_lmu.analysis.explain`) on which
        it would show; empty if it costs no accuracy.
    """

    where: str
    got: str
    limit: str
    fix: str
    severity: str = "error"
    rung: str = ""

    def __str__(self) -> str:
        return f"{self.where}: got {self.got}, limit {self.limit}; {self.fix}"


def blocking(problems: Iterable[Problem]) -> list[Problem]:
    """Those of ``problems`` for which the target cannot run the model."""
    return [p for p in problems if p.severity == "error"]


@dataclass(frozen=True)
class CoreUse:
    """What a model takes of one core of a chip, and what there is: both by resource."""

    name: str
    used: Mapping[str, int]
    limits: Mapping[str, int]


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
    reruns
        Samples whose decision or spikes came near rounding and were run again strictly.
    """

    outputs: Array
    spikes: dict[str, Array]
    seconds: float
    rasters: tuple[dict[str, Array], ...] = field(default=())
    reruns: int = 0

    def take(self, samples: Sequence[int]) -> Run:
        """The run of these samples of the batch alone, as it was."""
        rows = list(samples)
        return Run(
            self.outputs[rows],
            {name: counts[rows] for name, counts in self.spikes.items()},
            self.seconds,
            tuple(self.rasters[i] for i in rows) if self.rasters else (),
        )


class Deployment(Protocol):
    """A model, built and ready to run on one target.  A context manager."""

    #: Where each population runs, by name: ``"chip emulator"``, ``"host"``, …
    placement: dict[str, str]
    #: Samples that are best run at once.
    batch_size: int
    #: Remarks for the report, known once deployed, such as which engine runs.
    notes: tuple[str, ...]
    #: Whether `verify` compares with a second, independent execution.
    verifies: bool

    def run(self, x: Array, *, raster: bool = False) -> Run:
        """Run a batch of shape (batch, inputs, input_size), each sample from rest."""

    def verify(self, x: Array, run: Run) -> None:
        """Run a few samples on the backend's own simulator too; nothing if not `verifies`.

        ``run`` is what `run` gave for exactly these samples.

        Raises
        ------
        TargetError
            A neuron has another number of spikes there, or an output differs by more than
            1e-9 of the largest.
        """

    def __enter__(self) -> Deployment: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Cells(Protocol):
    """A target's neuron models by themselves, to find out what they alone change."""

    def response(self, neuron: Neuron, current: Array, dt: float) -> Array:
        """Spikes a second at a constant ``current``, any shape; ``dt`` in seconds."""

    def stepper(
        self, neuron: Neuron, shape: tuple[int, ...], dt: float
    ) -> Callable[[Array], Array]:
        """Neurons at rest: a function from one step's current to its number of spikes."""


@dataclass(frozen=True)
class Rung:
    """A way to run a model that is nearer to a target than the one before it.

    Parameters
    ----------
    name
        ``"quantised weights"``.
    change
        The one thing that is different from the rung before, in a few words.
    deploy
        Builds it.
    """

    name: str
    change: str
    deploy: Callable[[], Deployment]


class Target(Protocol):
    """A place where models run.

    To be explained rung by rung (:mod:`spiking_lmu.analysis.explain`) a target can have
    ``cells``, its `Cells`, if they are not Nengo's; and a method
    ``rungs(model, inputs, *, seed)`` that gives a `Rung` for each thing that it changes one by
    one, between such neurons simulated exactly and the target itself.
    """

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
        """Every reason against running ``model``, and every warning, before anything is built.

        It can run if none of them is an error (:func:`blocking`).  A target whose chip has cores
        also has a method ``cores(model)`` that gives a `CoreUse` for each.
        """

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        memory: int | None = None,
        **options: Any,
    ) -> Deployment:
        """Build ``model`` for samples of ``inputs`` inputs.

        Parameters
        ----------
        memory
            Bytes that running one batch may take beyond what the deployment itself holds; it
            decides ``batch_size`` and, beyond rounding, no result.  The target's own choice
            if not given.

        Raises
        ------
        TargetError
            The target refuses the model or an option.
        """


def count_spikes(trains: Array, amplitude_over_dt: float) -> Array:
    """Number of spikes from neuron outputs: (…, steps, size) → integers, same shape."""
    return np.rint(np.asarray(trains) / amplitude_over_dt).astype(np.int32)


def raster_of(counts: Array) -> Array:
    """Step and neuron of each spike, shape (spikes, 2), from counts (steps, size) of integers."""
    fired = counts > 0
    return np.repeat(np.argwhere(fired), counts[fired], axis=0).astype(np.int32)

"""What a target is: the base class of every adapter, with defaults for all that is optional.

A target is a few lines; every command works with it::

    class MyTarget(Target):
        name, summary = "mine", "my simulator, float32"

        def deploy(self, model, inputs, *, seed=0, memory_limit=None):
            return MyDeployment(model, inputs)

    TARGET = MyTarget()

It is found through the entry-point group ``spiking_lmu.targets`` (:mod:`.registry`), and
:mod:`.contract` tests it.  docs/targets.md goes through an example.

This module imports nothing heavy.  An adapter should not either: the command line reads its
options off :meth:`Target.deploy` to print its help.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from spiking_lmu.graph.arrays import Array
    from spiking_lmu.graph.cells import Cells
    from spiking_lmu.graph.model import Model


@dataclass(frozen=True)
class Capabilities:
    """What a target can do, for the tables of targets.

    Parameters
    ----------
    batched
        Many samples run at once.
    on_chip
        It is a chip, or emulates one.
    precision
        Of its arithmetic, in words.
    learning
        Learning rules that run there while it simulates, in words.
    live_weights
        What :mod:`spiking_lmu.training.online.live` can do with weights while it simulates.
    """

    batched: bool = False
    on_chip: bool = False
    precision: str = "float64"
    learning: str = "none"
    live_weights: str = "none"


@dataclass(frozen=True)
class Defaults:
    """What a conversion for a target takes if nothing else is said.

    None leaves a value to the conversion, which knows the model.

    Parameters
    ----------
    max_rate
        Firing rate in Hz at the 99.9th percentile of activation.
    steps_per_input, settle_steps
        Simulation steps.
    readout_tau, synapse_tau
        Seconds.
    """

    max_rate: float | None = None
    steps_per_input: int | None = None
    settle_steps: int | None = None
    readout_tau: float | None = None
    synapse_tau: float | None = None

    def chosen(self) -> dict[str, Any]:
        """The values that are not left open, by name.

        >>> Defaults(max_rate=250.0).chosen()
        {'max_rate': 250.0}
        """
        return {name: value for name, value in asdict(self).items() if value is not None}


def common_defaults(targets: Iterable[Target]) -> Defaults:
    """What suits several targets at once: the lowest rate, and the longest times."""
    every = [target.defaults.chosen() for target in targets]
    values: dict[str, Any] = {}
    for name in {name for chosen in every for name in chosen}:
        select = min if name == "max_rate" else max
        values[name] = select(chosen[name] for chosen in every if name in chosen)
    return Defaults(**values)


@dataclass(frozen=True)
class OnlineLearning:
    """How a target runs a Nengo network whose connections learn, at least by PES.

    Parameters
    ----------
    simulator
        From a network, dt in seconds, a seed, and about the largest decoder that will be
        learned: a context manager that gives an object with ``run_steps`` and ``data``, as of
        Nengo's simulators.
    decoders
        From that object, or the simulator itself, and a connection: its weights by now, shape
        (post, neurons), for spikes of height 1/dt.
    package
        The package whose simulators these are, ``"nengo"``.
    assign
        Gives a signal of the simulator (``nengo.builder.Signal``) another value, from the next
        step on; None if only its own rules change weights.
    own_rules
        Rules of one's own run (:mod:`spiking_lmu.training.online.rule`).
    error_step
        Errors are to be rounded to multiples of this before they reach the rule; 0 is no
        rounding.  A chip that cuts off low bits of error times activity would otherwise
        let all weights drift one way.
    settings
        Numbers of the target's own, for reports.
    """

    simulator: Callable[[Any, float, int, float], AbstractContextManager[Any]]
    decoders: Callable[[Any, Any], Array]
    package: str = ""
    assign: Callable[[Any, Any, Array], None] | None = None
    own_rules: bool = False
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
    host_spikes
        Spikes that a host sent to the chip, by the connection that carries them, each of shape
        (batch,); empty for a target without a chip.  Among them are those of on/off neurons,
        which code numbers for the chip and are in no population of the model.
    """

    outputs: Array
    spikes: dict[str, Array]
    seconds: float
    rasters: tuple[dict[str, Array], ...] = field(default=())
    reruns: int = 0
    host_spikes: dict[str, Array] = field(default_factory=dict)

    def take(self, samples: Sequence[int]) -> Run:
        """The run of these samples of the batch alone, as it was."""
        rows = list(samples)
        return Run(
            self.outputs[rows],
            {name: counts[rows] for name, counts in self.spikes.items()},
            self.seconds,
            tuple(self.rasters[i] for i in rows) if self.rasters else (),
            host_spikes={name: counts[rows] for name, counts in self.host_spikes.items()},
        )


class Deployment(ABC):
    """A model, built and ready to run on one target.  A context manager."""

    #: Where each population runs, by name: ``"chip emulator"``, ``"host"``, …
    placement: dict[str, str]
    #: Samples that are best run at once.
    batch_size: int = 1
    #: Remarks for the report, known once deployed, such as which engine runs.
    notes: tuple[str, ...] = ()
    #: Whether `verify` compares with a second, independent execution.
    verifies: bool = False
    #: Whether several threads may call `run` at the same time.
    concurrent: bool = False

    @abstractmethod
    def run(self, x: Array, *, raster: bool = False) -> Run:
        """Run a batch of shape (batch, inputs, input_size), each sample from rest."""

    def verify(self, x: Array, run: Run) -> None:  # noqa: B027 (empty on purpose)
        """Run a few samples on the backend's own simulator too; nothing if not `verifies`.

        ``run`` is what `run` gave for exactly these samples.

        Raises
        ------
        TargetError
            A neuron has another number of spikes there, or an output differs by more than
            1e-9 of the largest.
        """

    def close(self) -> None:  # noqa: B027 (empty on purpose)
        """Release what is held; the end of the context calls it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


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


class Target(ABC):
    """A place where models run.  Only ``name`` and `deploy` have no default.

    What `deploy` takes by keyword besides ``seed`` and ``memory_limit`` are the target's options:
    the command line and the API offer them by their names, with types and help from the
    signature and the docstring (:mod:`.options`).
    """

    #: As in the entry point.
    name: str
    #: One line.
    summary: str = ""
    #: Modules that it needs; `available` looks for them.
    modules: tuple[str, ...] = ()
    #: What to install: ``"loihi"`` for ``pip install 'spiking-lmu[loihi]'``; may be empty.
    extra: str = ""
    capabilities: Capabilities = Capabilities()
    defaults: Defaults = Defaults()
    #: Distribution names whose versions a report records.
    distributions: tuple[str, ...] = ()
    #: Its place in tables of targets: the lower, the nearer to the definition.
    rank: int = 100

    def available(self) -> str:
        """Empty if the target can run here, else one line that says why not.

        Looks for ``modules`` without importing them.
        """
        missing = [module for module in self.modules if find_spec(module) is None]
        if not missing:
            return ""
        hint = f"run: pip install 'spiking-lmu[{self.extra}]'" if self.extra else "install it"
        return f"{missing[0]} is not installed; {hint}"

    def check(self, model: Model) -> list[Problem]:
        """Every reason against running ``model``, and every warning, before anything is built.

        It can run if none of them is an error (:func:`blocking`).
        """
        return []

    def cores(self, model: Model) -> tuple[CoreUse, ...]:
        """What each core of the target's chip would hold; nothing without cores."""
        return ()

    def latency(self, model: Model) -> int:
        """Steps after an input's first at which the answer to it leaves the network.

        A run's outputs do not show it (`Run`); what is to go back into the network has to wait.
        """
        return 0

    def adapted(self, model: Model) -> Model:
        """``model`` as `deploy` builds it, where the target makes up for what its neurons change.

        Given what it gave, it changes nothing.
        """
        return model

    @abstractmethod
    def deploy(
        self, model: Model, inputs: int, *, seed: int = 0, memory_limit: int | None = None
    ) -> Deployment:
        """Build ``model`` for samples of ``inputs`` inputs.

        Parameters
        ----------
        memory_limit
            Bytes that running one batch may take beyond what the deployment itself holds; it
            decides ``batch_size`` and, beyond rounding, no result.  The target's own choice
            if not given.

        Raises
        ------
        TargetError
            The target refuses the model or an option.
        """

    @property
    def cells(self) -> Cells:
        """Its neurons by themselves; Nengo's if it has no others."""
        from spiking_lmu.graph.cells import NengoCells

        return NengoCells()

    def rungs(self, model: Model, inputs: int, *, seed: int = 0) -> tuple[Rung, ...]:
        """A `Rung` for each thing that it changes, one by one.

        They lead from ``cells`` simulated exactly to the target itself
        (:mod:`spiking_lmu.analysis.explain`).  A target whose rungs are to run under its own
        options, or within a limit of memory, takes these here by the names that `deploy` has.
        """
        return ()

    @property
    def online_learning(self) -> OnlineLearning | None:
        """How a network learns there while it runs; None if none does."""
        return None

"""What the targets with two engines share: upstream's own, and an exact one for many samples.

The batched engine adds sums in another order than upstream does, so the last bits of a
current differ.  Where a spike or a decision could hinge on them it says so, and those samples
run again in an order equal to upstream's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from spiking_lmu.errors import TargetError
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import check_input

from .batched import Unsupported
from .rounding import rounding_margin, undecided
from .spikes import raster_of
from .target import Deployment, Run

Array = np.ndarray
NAMES = ("auto", "batched", "stock")
#: Samples beyond which a larger batch is no faster.
FASTEST_BATCH = 128
#: Memory for a batch if nothing else is said.
DEFAULT_MEMORY = 1 << 30
#: Samples run strictly at once; one after another in all that costs time.
STRICT_BATCH = 16
#: Bytes that are needed at most for each neuron and step of which the spikes are recorded.
RASTER_BYTES = 16
#: Outputs of a verified sample may differ by this share of the largest.
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class EngineRun:
    """What an engine gives: output (batch, steps, size), and spikes by population.

    ``totals`` are (batch, size); ``trains`` (batch, steps, size), or None if not asked for.
    ``near`` are the samples, bool (batch,), in which a spike could hinge on rounding; None for
    an engine whose every sum is upstream's.  ``host_spikes`` are (batch,), by connection.
    """

    outputs: Array
    totals: dict[str, Array]
    trains: dict[str, Array] | None
    near: Array | None = None
    host_spikes: dict[str, Array] = field(default_factory=dict)


class Engine(Protocol):
    """Runs batches, each sample from rest."""

    #: Bytes that a batch takes for each sample.
    sample_bytes: int

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run ``x`` (batch, inputs, size); ``raster`` asks for trains."""

    def close(self) -> None:
        """Release what is held."""


@dataclass(frozen=True)
class Makers:
    """How to make the engines of a target; each is made when it is first needed.

    ``stock`` is upstream's, one sample at a time; ``batched`` the fast one; ``strict`` runs
    batches too, every sum in upstream's order.
    """

    stock: Callable[[], Engine]
    batched: Callable[[], Engine]
    strict: Callable[[], Engine]


class EngineDeployment(Deployment):
    """A model on one of a target's engines.

    Parameters
    ----------
    target
        The target's name, for messages.
    engine
        ``batched`` runs many samples at once, exactly, or refuses; ``stock`` is upstream's,
        one sample at a time; ``auto`` is batched where that is exact, else stock with a note.
    memory_limit
        Bytes that a batch may take; 1 GiB if not given.
    exact
        Whether the batched engine gives the stock engine's spikes, so that `verify` compares.

    Raises
    ------
    TargetError
        An unknown engine, or a network that would not be run exactly.
    """

    def __init__(
        self,
        target: str,
        model: Model,
        inputs: int,
        placement: dict[str, str],
        *,
        engine: str,
        memory_limit: int | None,
        makers: Makers,
        exact: bool = True,
    ) -> None:
        if engine not in NAMES:
            raise TargetError(
                f"engine for {target}", got=repr(engine), expected=", ".join(NAMES), fix="use auto"
            )
        self._target, self._model, self.placement = target, model, placement
        self._inputs = inputs
        self._margin = rounding_margin(model, inputs)
        self._makers, self._made, self._making = makers, dict[str, Engine](), Lock()
        self._name, note = self._choose(engine)
        self.notes = (f"engine: {note}",)
        self._memory_limit = DEFAULT_MEMORY if memory_limit is None else memory_limit
        batched = self._name == "batched"
        self.verifies, self.concurrent = batched and exact, batched
        sample = self._engine(self._name).sample_bytes
        fitting = FASTEST_BATCH if batched else 1
        self.batch_size = int(np.clip(self._memory_limit // max(sample, 1), 1, fitting))
        neurons = sum(p.size for p in model.graph.spiking)
        self._raster_bytes = sample + RASTER_BYTES * neurons * model.timing.total_steps(inputs)

    def _engine(self, name: str) -> Engine:
        with self._making:
            if name not in self._made:
                self._made[name] = getattr(self._makers, name)()
            return self._made[name]

    def _choose(self, name: str) -> tuple[str, str]:
        """The engine to use, and what to say about it."""
        if name != "stock":
            try:
                self._engine("batched")
            except Unsupported as error:
                if name == "batched":
                    raise
                note = f"stock, since batched execution would not be exact: {error}"
                self._engine("stock")
                return "stock", note
            return "batched", "batched"
        self._engine("stock")
        return "stock", "stock"

    def close(self) -> None:
        """Close every engine that was made."""
        for engine in self._made.values():
            engine.close()

    def run(self, x: Array, *, raster: bool = False) -> Run:
        """Run ``x``, each sample from rest."""
        x = check_input(self._model.graph, x, self._inputs)
        # Rasters take so much more memory than anything else that the batch is cut for them.
        size = max(1, self._memory_limit // self._raster_bytes) if raster else len(x)
        with one_thread():
            runs = [self._run(x[i : i + size], raster) for i in range(0, len(x), size)]
        return runs[0] if len(runs) == 1 else _join(runs)

    def _run(self, x: Array, raster: bool) -> Run:
        started = perf_counter()
        result = self._engine(self._name).run(x, raster)
        again = self._near_rounding(result)
        for start in range(0, len(again), STRICT_BATCH):
            part = again[start : start + STRICT_BATCH]
            _replace(result, part, self._engine("strict").run(x[part], raster))
        seconds = perf_counter() - started
        trains = result.trains if raster and result.trains is not None else {}
        rasters = tuple(
            {name: raster_of(train[i]) for name, train in trains.items()} for i in range(len(x))
        )
        return Run(
            result.outputs,
            result.totals,
            seconds,
            rasters if raster else (),
            reruns=len(again),
            host_spikes=result.host_spikes,
        )

    def _near_rounding(self, result: EngineRun) -> Array:
        """Which samples have spikes, or a decision, that could hinge on rounding.

        With a class at every input each of them is a decision.  A regression decides nothing:
        with the same spikes its outputs are those of the stock engine to the last digits, to
        which :meth:`verify` holds them (:data:`TOLERANCE`).
        """
        if result.near is None:
            return np.zeros(0, int)
        near, task = result.near, self._model.task
        if task.classifies and result.outputs.shape[2] > 1:
            timing = self._model.timing
            ends = timing.presentation_ends(self._inputs) if task.every else [-1]
            decisions = result.outputs[:, ends]
            close = undecided(decisions.reshape(-1, decisions.shape[2]), self._margin)
            near = near | close.reshape(len(near), -1).any(axis=1)
        return np.flatnonzero(near)

    def verify(self, x: Array, run: Run) -> None:
        """Run ``x`` on the stock engine too; ``run`` is what :meth:`run` gave for it.

        Raises
        ------
        TargetError
            A neuron, or a connection from host to chip, has another number of spikes, or an
            output differs by more than 1e-9 of the largest.
        """
        if not self.verifies:
            return
        with one_thread():
            stock = self._engine("stock").run(check_input(self._model.graph, x), False)
        spikes = all(np.array_equal(run.spikes[n], stock.totals[n]) for n in stock.totals)
        sent = run.host_spikes.keys() == stock.host_spikes.keys() and all(
            np.array_equal(run.host_spikes[n], stock.host_spikes[n]) for n in stock.host_spikes
        )
        close = TOLERANCE * max(1.0, float(np.abs(stock.outputs).max()))
        # So asked, a difference that is no number is one.
        if not (spikes and sent and np.abs(run.outputs - stock.outputs).max() <= close):
            raise TargetError(
                f"batched engine for {self._target}",
                got="another result than the stock engine",
                expected="the same spikes and outputs",
                fix="use engine=stock, and report this model",
            )


def one_thread() -> AbstractContextManager[Any]:
    """One BLAS thread.

    In thousands of small products, threads that wait for one another cost more than they give,
    and on a busy machine several times as much; and the order of a sum depends on their number.
    It is of the whole process: who runs threads of his own enters it before he starts them.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


def _join(runs: Sequence[Run]) -> Run:
    """Parts of a batch as one."""
    return Run(
        np.concatenate([run.outputs for run in runs]),
        {n: np.concatenate([run.spikes[n] for run in runs]) for n in runs[0].spikes},
        sum(run.seconds for run in runs),
        tuple(raster for run in runs for raster in run.rasters),
        reruns=sum(run.reruns for run in runs),
        host_spikes={
            n: np.concatenate([run.host_spikes[n] for run in runs]) for n in runs[0].host_spikes
        },
    )


def _replace(result: EngineRun, samples: Array, strict: EngineRun) -> None:
    """Put the strict results of ``samples`` in place of the fast ones."""
    result.outputs[samples] = strict.outputs
    for name, totals in strict.totals.items():
        result.totals[name][samples] = totals
    for name, sent in strict.host_spikes.items():
        result.host_spikes[name][samples] = sent
    if result.trains is not None and strict.trains is not None:
        for name, trains in strict.trains.items():
            result.trains[name][samples] = trains

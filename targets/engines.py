"""What the targets with two engines share: upstream's own, and an exact one for many samples.

The exact engine is trusted as far as it is checked: the first samples of a deployment run on
both, and a difference is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from spiking_lmu.batched import Unsupported
from spiking_lmu.errors import TargetError
from spiking_lmu.graph import Graph
from spiking_lmu.simulate import check_input
from spiking_lmu.target import Run, raster_of

Array = np.ndarray
NAMES = ("auto", "batched", "stock")


@dataclass(frozen=True, eq=False)
class EngineRun:
    """What an engine gives: output (batch, steps, size), and spikes by population.

    ``totals`` are (batch, size); ``trains`` (batch, steps, size), or None if not asked for.
    """

    outputs: Array
    totals: dict[str, Array]
    trains: dict[str, Array] | None


class Engine(Protocol):
    """Runs batches, each sample from rest."""

    batch_size: int

    def run(self, x: Array, raster: bool) -> EngineRun:
        """Run ``x`` (batch, inputs, size); ``raster`` asks for trains."""

    def close(self) -> None:
        """Release what is held."""


class EngineDeployment:
    """A model on one of a target's two engines.

    Parameters
    ----------
    target
        The target's name, for messages.
    engine
        ``batched`` runs many samples at once, exactly, or refuses; ``stock`` is upstream's,
        one sample at a time; ``auto`` is batched where that is exact, else stock with a note.
    verify
        So many samples are run on both.
    stock, batched
        Make the engines; the stock one is made in any case.

    Raises
    ------
    TargetError
        An unknown engine, or a network that would not be run exactly.
    """

    def __init__(
        self,
        target: str,
        graph: Graph,
        placement: dict[str, str],
        *,
        engine: str,
        verify: int,
        stock: Callable[[], Engine],
        batched: Callable[[], Engine],
    ) -> None:
        if engine not in NAMES:
            raise TargetError(
                f"engine for {target}", got=repr(engine), expected=", ".join(NAMES), fix="use auto"
            )
        self._target, self._graph, self.placement = target, graph, placement
        self._stock = stock()
        self._engine, note = self._choose(engine, batched)
        self.notes: tuple[str, ...] = (f"engine: {note}",)
        self.batch_size = self._engine.batch_size
        self._to_verify = 0 if self._engine is self._stock else verify

    def _choose(self, name: str, batched: Callable[[], Engine]) -> tuple[Engine, str]:
        if name == "stock":
            return self._stock, "stock"
        try:
            return batched(), "batched"
        except Unsupported as error:
            if name == "batched":
                self._stock.close()
                raise
            return self._stock, f"stock, since batched execution would not be exact: {error}"

    def __enter__(self) -> EngineDeployment:
        return self

    def __exit__(self, *_: object) -> None:
        self._stock.close()
        if self._engine is not self._stock:
            self._engine.close()

    def run(self, x: Array, *, raster: bool = False) -> Run:
        """Run ``x``, each sample from rest; the first ones of all on both engines.

        Raises
        ------
        TargetError
            The engines differ.
        """
        from threadpoolctl import threadpool_limits

        x = check_input(self._graph, x)
        started = perf_counter()
        # Thousands of small products: BLAS threads that wait for one another cost more than
        # they give, and on a busy machine several times as much.
        with threadpool_limits(limits=1, user_api="blas"):
            result = self._engine.run(x, raster)
        seconds = perf_counter() - started
        if self._to_verify:
            count = min(self._to_verify, len(x))
            self._require_same(result, self._stock.run(x[:count], raster), count)
            self.notes += (f"{count} sample(s) identical to the stock engine, spike for spike",)
            self._to_verify = 0
        trains = result.trains if raster and result.trains is not None else {}
        rasters = tuple(
            {name: raster_of(train[i]) for name, train in trains.items()} for i in range(len(x))
        )
        return Run(result.outputs, result.totals, seconds, rasters if raster else ())

    def _require_same(self, batched: EngineRun, stock: EngineRun, count: int) -> None:
        """Spikes equal, and outputs to rounding of sums: 1e-9 of the largest."""
        spikes = all(
            np.array_equal(batched.totals[n][:count], stock.totals[n]) for n in stock.totals
        )
        close = 1e-9 * max(1.0, float(np.abs(stock.outputs).max()))
        if not spikes or np.abs(batched.outputs[:count] - stock.outputs).max() > close:
            raise TargetError(
                f"batched engine for {self._target}",
                got="another result than the stock engine on the first samples",
                expected="the same spikes and outputs",
                fix="use --engine stock, and report this model",
            )

"""What a firing rate gives on a target: from its response curve at once, or by running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from spiking_lmu.backends.rate import RATE, last_step_alone
from spiking_lmu.backends.target import Target
from spiking_lmu.conversion.convert import Options, convert, spiking_graph
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import MakeStepper, run_reference
from spiking_lmu.graph.timing import Timing

from .calibration import Screened
from .statistics import relative_error
from .tradeoff import Point
from .tradeoff_run import Grid, run_tradeoff

Array = np.ndarray
#: Samples of a response curve's evaluation that are computed at once.
BATCH = 250
#: Rate neurons whose counterparts fire as they were trained, whatever rate is asked for.
FIXED = ("linear", "lif_rate", "soft_lif")


def searchable(model: Model) -> tuple[str, ...]:
    """Populations of a rate model whose firing rate is a choice of the conversion."""
    return tuple(p.name for p in model.graph.populations if p.neuron.kind not in FIXED)


class TargetEvaluator:
    """Converts ``model`` with other rates and evaluates it for one target.

    Parameters
    ----------
    model
        A rate model with its activity.
    options
        Everything of the conversion that is not searched.
    target
        Whose response curves and runs count.
    x, y
        Training inputs (samples, inputs, input_size) and classes (samples,).
    grid
        Settle steps and filters.
    seed
        Of deployments, and of the noise in response curves.
    advance
        Told after each batch on the target how many samples it had.
    """

    def __init__(
        self,
        model: Model,
        options: Options,
        target: Target,
        x: Array,
        y: Array,
        grid: Grid,
        *,
        seed: int = 0,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        self._model, self._options, self._target = model, options, target
        self._x, self._y, self._grid, self._seed = x, y, grid, seed
        self._advance = advance

    @cached_property
    def _wanted(self) -> Array:
        """Outputs of the rate model, (samples, outputs)."""
        with RATE.deploy(self._model, self._x.shape[1]) as rate:
            starts = range(0, len(self._x), BATCH)
            runs = [rate.run(self._x[start : start + BATCH]) for start in starts]
        return np.concatenate([run.outputs[:, -1] for run in runs])

    def screen(self, rates: Mapping[str, float]) -> Screened:
        """Outputs from response curves (`response_outputs`) against the rate model's."""
        options = replace(self._options, rates=dict(rates))
        graph, _ = spiking_graph(self._model, options, self._model.activity)
        dt = self._model.timing.dt
        cells = response_cells(self._target, window(self._grid, dt), self._seed)
        starts = range(0, len(self._x), BATCH)
        parts = [response_outputs(graph, self._x[i : i + BATCH], dt, cells) for i in starts]
        got, wanted = np.concatenate(parts), self._wanted
        right, rate_right = got.argmax(axis=1) == self._y, wanted.argmax(axis=1) == self._y
        return Screened(
            rates=dict(rates),
            lost=int(rate_right.sum()) - int(right.sum()),
            disagreements=int((right != rate_right).sum()),
            relative_error=relative_error(got, wanted),
        )

    def run(self, rates: Mapping[str, float], samples: int) -> tuple[Point, ...]:
        """All timings of the grid, from one run on the target."""
        spiking = convert(self._model, replace(self._options, rates=dict(rates)))
        x, y = self._x[:samples], self._y[:samples]
        found = run_tradeoff(
            spiking, self._target, x, y, self._grid, seed=self._seed, advance=self._advance
        )
        return found.points


def window(grid: Grid, dt: float) -> float:
    """Steps that the readout averages over at best.

    A lowpass of τ averages as well as the mean of 2τ/dt steps does, if it had the time.
    """
    longest = grid.settle_steps[-1] + 1
    return max(min(longest, max(1.0, 2 * tau / dt)) for tau in grid.readout_taus)


def response_cells(target: Target, steps: float, seed: int) -> MakeStepper:
    """Neurons that give, at once, the mean number of spikes a step over ``steps`` steps.

    The rate is that of the target's response curve, or else of Nengo's.  In a window a regular
    train has one of two whole numbers of spikes, n or n+1, by chance of phase: with mean n+f
    a variance of f(1-f).  Normal noise of that variance is added.
    """
    curve = target.cells.response
    rng = np.random.default_rng(seed)

    def cells(neuron: Neuron, shape: tuple[int, ...], dt: float) -> Callable[[Array], Array]:
        def step(current: Array) -> Array:
            count = curve(neuron, current, dt) * dt * steps
            part = count % 1.0
            noisy = count + np.sqrt(part * (1.0 - part)) * rng.normal(size=shape)
            result: Array = np.maximum(noisy, 0.0) / steps
            return result

        return step

    return cells


def response_outputs(graph: Graph, x: Array, dt: float, cells: MakeStepper) -> Array:
    """Outputs after the last input, (batch, outputs), of a spiking graph without synapses.

    Without dynamics one step an input is enough; and where the linear part at the front is all
    that remembers anything, one step in all.
    """
    short, fed = last_step_alone(graph, x.shape[1])
    return run_reference(short, fed(x), Timing(dt=dt), cells=cells)[:, -1]

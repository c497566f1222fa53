"""Level coding: the spikes of one step are the value of a hidden unit, rounded to a few levels.

A unit ``h = f(z)`` becomes K neurons that compare its current z with K thresholds.  They remember
nothing beyond a step and spike at most once in it, so the spikes of one step say between which
thresholds z is, and with weights as far apart as the levels

    h ≈ l₀ + Σ_k w_k · s_k,        w_k = ±(l_{k+1} - l_k),

where l₀ is the level next to 0: a neuron whose threshold is above it spikes where z is higher, the
others where z is lower, so that a unit near 0 costs no spikes.  What is left of a rate network
after the conversion is a rate network with L = K + 1 values for each activation.  It needs one step
an input and no filter, since there is nothing to average.

The levels are those of least squared error on training activity (Lloyd, 1982, *Least squares
quantization in PCM*; Max, 1960, *Quantizing for minimum distortion*); the thresholds are the
currents at which f is halfway between two of them.

A comparator is a LIF neuron with a tau_rc of a tenth of a step and no refractory period.  A
shorter one would be nearer to a pure threshold and loses spikes in float32.

What other populations compute in numbers (a memory, an input) enters as sign and binary digits,
each a comparator that stays on the host of a target with a chip (:func:`input_digits`).  A chip
has one scale for all weights onto a neuron, and the highest digit's would leave few of its 8 bits
to what the units send one another; so a high digit is sent over several neurons, each with a part
of its weight.

Between two layers of a convolutional network, K² times as many weights would take the place of
each weight.  Where they are too many (:data:`MOST_STRAIGHT`), spikes are decoded to the values of
the units, and the weights are what they were (:func:`through_numbers`).  It is the same network,
and no chip can hold it: there, spikes have to reach the next neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import FIRES_ABOVE, LINEAR, Neuron, comparator, response
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import Dense, Sparse

from .measure import run_rate

Array = np.ndarray

#: Levels that a unit can have, and binary digits of what comes from the host.
LEVELS, DIGITS = range(2, 66), range(1, 13)
#: Values looked at for the levels of one layer, and of one unit.
MAX_VALUES, MAX_UNIT_VALUES = 200_000, 20_000
#: Rounds of Lloyd's algorithm.
ROUNDS = 60
#: Smallest current at which a rectified linear unit leaves its lowest level.
LEAST_CURRENT = 1e-3
#: Middles this close to the ends of tanh's and sigmoid's range are taken as that close.
LEAST_GAP = 1e-6
#: A chip's weights have 8 bits: whole numbers of 2/255 of the largest onto the same neurons.
WEIGHT_GRID = 2.0 / 255.0
#: What rounding weights adds to a current, as a share of the distance between two thresholds.
ROUNDING_SHARE = 0.05
#: Weights that are this many times smaller than the largest cannot be told from larger ones.
WEIGHT_RANGE = 64.0
#: Current by which a neuron stays below its threshold until the host says that it may begin.
CLEAR = 0.1
#: Digits whose weights a chip can hold side by side, from 1/64 of the largest to the largest.
SIDE_BY_SIDE = 7
#: nengo-loihi makes the largest weight 255, and drops the last bit where signs are mixed.  Beside a
#: weight so many times as large, the highest digit's is 128, and all lower ones are whole.
WHOLE = 255.0 / 128.0
#: A threshold farther away than so many times what can arrive decides nothing, and is as far.
REACH = 1.05
#: Neurons that one digit of one value is sent over at most.
MOST_COPIES = 16
#: Weights from the neurons of one layer to those of another, if their transform is not dense.
MOST_STRAIGHT = 1 << 24


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of one population.

    Parameters
    ----------
    values
        What a unit can put out, ascending: (units, L), or (1, L) if all units have the same.
    thresholds
        Currents (gain and bias included) from one level to the next: (units or 1, L - 1).
    middles
        The same as outputs: what is above counts as the higher level.
    """

    values: Array
    thresholds: Array
    middles: Array

    @property
    def count(self) -> int:
        """L."""
        return self.values.shape[1]

    @property
    def silent(self) -> Array:
        """For each unit (or all) the level without spikes, the one next to 0; (units or 1,)."""
        return np.abs(self.values).argmin(axis=1)

    def round(self, outputs: Array) -> Array:
        """Each output as its level: (batch, units) → the same shape."""
        # Fewer than 128 comparisons of whole arrays take less time than a search for each value.
        index = np.zeros(outputs.shape, np.int8)
        for k in range(self.count - 1):
            index += outputs > self.middles[:, k]
        if len(self.values) == 1:
            rounded: Array = self.values[0].take(index)
            return rounded
        return self.values[np.arange(len(self.values)), index]


def lloyd_max(values: Array, count: int) -> Array:
    """The ``count`` levels of least squared error for ``values``, ascending.

    Values between two levels count for the nearer; each level is the mean of its values, but
    that one level is 0 if there are values on both sides of it or at it: a unit without spikes
    then is what it was before the first input.

    >>> lloyd_max(np.array([0.5, 0.6, 1.4, 1.5, 1.6]), 2).round(2).tolist()
    [0.55, 1.5]
    >>> lloyd_max(np.array([-1.0, -0.9, 0.1, 0.8, 1.0]), 3).round(2).tolist()
    [-0.95, 0.0, 0.9]
    """
    ordered = np.sort(np.asarray(values, float).ravel())
    shares = (np.arange(count) + 0.5) / count
    # Quantiles alone leave no level for the rare ends, even distances none for the bulk.
    levels: Array = 0.5 * np.quantile(ordered, shares)
    levels += 0.5 * np.linspace(ordered[0], ordered[-1], count)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    pinned = ordered[0] <= 0 <= ordered[-1]
    for _ in range(ROUNDS):
        if pinned:
            levels[np.abs(levels).argmin()] = 0.0
        inner = np.searchsorted(ordered, 0.5 * (levels[1:] + levels[:-1]))
        edges = np.concatenate([[0], inner, [len(ordered)]])
        number = np.diff(edges)
        better = np.where(number > 0, np.diff(sums[edges]) / np.maximum(number, 1), levels)
        if pinned:
            better[np.abs(levels).argmin()] = 0.0
        if np.array_equal(better, levels):
            break
        levels = better
    return np.sort(levels)


def fit_levels(
    neuron: Neuron, outputs: Array, count: int, *, per_unit: bool = False, seed: int = 0
) -> Levels:
    """Levels for a population of ``neuron`` from what it put out on training data.

    Parameters
    ----------
    outputs
        (values, units).
    count
        L.
    per_unit
        Whether each unit has levels of its own; else all have those of all their outputs.

    Raises
    ------
    SpecError
        ``count`` is out of range, or the population never changes.
    """
    if count not in LEVELS:
        expected = f"{LEVELS[0]} to {LEVELS[-1]}"
        raise SpecError("levels", got=repr(count), expected=expected, fix="try 5")
    rng = np.random.default_rng(seed)
    outputs = np.asarray(outputs, float)
    if not np.ptp(outputs) > 0:
        raise SpecError(
            "activity on training data",
            got="a population whose outputs never change",
            expected="outputs that depend on the input",
            fix="check the trained weights and the training data",
        )
    if per_unit:
        chosen = rng.permutation(len(outputs))[:MAX_UNIT_VALUES]
        values = np.stack([lloyd_max(unit, count) for unit in outputs[chosen].T])
    else:
        flat = outputs.ravel()
        if flat.size > MAX_VALUES:
            flat = rng.choice(flat, MAX_VALUES)
        values = lloyd_max(flat, count)[None]
    return levels_at(neuron, values)


def levels_at(neuron: Neuron, values: Array) -> Levels:
    """The thresholds that go with levels ``values`` (units or 1, L) of a population."""
    values = np.asarray(values, float)
    thresholds = current_of(neuron, 0.5 * (values[:, 1:] + values[:, :-1]))
    return Levels(values, thresholds, response(neuron, thresholds))


def current_of(neuron: Neuron, outputs: Array) -> Array:
    """The current at which a rate neuron puts out ``outputs``; the inverse of its response.

    Where no current does (above a saturating neuron's range, at 0 of a rectifying one) it is
    that of the nearest output in range.
    """
    share = np.asarray(outputs, float) / neuron.amplitude
    if neuron.kind == "relu":
        return np.maximum(share, LEAST_CURRENT)
    if neuron.kind == "tanh":
        return np.arctanh(np.clip(share, LEAST_GAP - 1.0, 1.0 - LEAST_GAP))
    if neuron.kind == "sigmoid":
        share = np.clip(share, LEAST_GAP, 1.0 - LEAST_GAP)
        return np.log(share / (1.0 - share))
    # The others rise from 0, and none has a handy inverse.
    low, high = np.zeros(share.shape), np.full(share.shape, 1e6)
    for _ in range(80):
        middle = 0.5 * (low + high)
        above = response(neuron, middle) > np.asarray(outputs)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)


@dataclass(frozen=True)
class LevelSchedule:
    """How level-coded units take turns with the rest of a network.

    A step passes on a chip for each projection that leads onto it, off it, or from one of its
    populations to another.

    Parameters
    ----------
    steps_per_input
        1 if one step an input is enough: all ways from the input to each population take equally
        many steps, and what feeds back is on the chip.  Else as many as the longest way, so that
        all values of an input have arrived when the next begins.
    staying
        Names of the projections from one level-coded population to another whose spikes go
        straight there.  What others deliver passes through numbers on the host.
    """

    steps_per_input: int
    staying: frozenset[str]


def schedule(graph: Graph, free_running: bool = False) -> LevelSchedule:
    """The fastest schedule of a rate graph whose nonlinear populations become level-coded.

    With ``free_running``, an input lasts until its answer is there.
    """
    coded = {p.name for p in graph.populations if p.neuron.kind != "linear"}
    lags: dict[str, int] = {}
    together = not free_running
    for name in graph.order:
        ways = {
            lags[p.pre] + bool({p.pre, name} & coded) for p in graph.incoming(name) if p.immediate
        }
        together = together and len(ways) <= 1
        lags[name] = max(ways, default=int(name in coded))
    for p in graph.projections:
        if not p.immediate:
            both = p.pre in coded and p.post in coded
            crossed = 0 if both else int(p.pre in coded) + int(p.post in coded)
            together = together and lags[p.pre] + crossed == lags[p.post]
    straight = {p.name for p in graph.projections if {p.pre, p.post} <= coded}
    if together:
        return LevelSchedule(1, frozenset(straight))
    held = {p.name for p in graph.projections if p.name in straight and p.immediate}
    longest = max(lag + (name in coded) for name, lag in lags.items())
    return LevelSchedule(longest + 1, frozenset(held))


@dataclass(frozen=True, eq=False)
class Recording:
    """What the nonlinear populations of a rate graph did on training data, by name.

    Parameters
    ----------
    outputs
        Float32 (values, units).
    drives
        Largest current, without sign and bias, that numbers from the host amount to.
    """

    outputs: dict[str, Array]
    drives: dict[str, float]


def record(
    graph: Graph,
    x: Array,
    plan: LevelSchedule | None = None,
    *,
    every: bool = False,
    lengths: Array | None = None,
) -> Recording:
    """Run ``graph`` on training inputs (samples, inputs, input size).

    Outputs are kept of evenly spaced inputs; of a population that nothing later depends on only
    those at the last input, where the decision is made, unless there is one at ``every`` input.
    ``lengths`` (samples,) says where each sample ends, if they differ; what comes after is padding
    and counts for nothing.
    """
    plan = plan or schedule(graph)
    names = [p.name for p in graph.populations if p.neuron.kind != "linear"]
    later = set(graph.order) if every else _remembered(graph)
    samples, inputs = x.shape[:2]
    widest = max((graph[name].size for name in names), default=1)
    ends = np.full(samples, inputs) if lengths is None else np.asarray(lengths)
    stride = max(1, int(ends.sum()) * widest // (20 * MAX_VALUES))
    outputs: dict[str, list[Array]] = {name: [] for name in names}
    drives = dict.fromkeys(names, 0.0)
    previous: dict[str, Array] = {}
    begun = 0  # samples of this batch and of those before it
    left = ends  # inputs of each sample of this batch

    def observe(step: int, values: dict[str, Array], totals: dict[str, Array]) -> None:
        nonlocal previous, begun, left
        if step == 0:
            batch = len(next(iter(values.values())))
            previous, left, begun = {}, ends[begun : begun + batch], begun + batch
        alive, after = left > step, left - 1 - step
        if not alive.any():
            return
        for name in names:
            population, total = graph[name], totals[name]
            for p in graph.incoming(name):
                if p.name in plan.staying and (p.immediate or previous):
                    total = total - p.apply((values if p.immediate else previous)[p.pre])
            largest = float(np.abs(population.gain * total[alive]).max())
            drives[name] = max(drives[name], largest)
            kept = alive & (after % stride == 0) if name in later else after == 0
            outputs[name].append(values[name][kept].astype(np.float32))
        previous = values

    run_rate(graph, x, observe=observe)
    return Recording({n: np.concatenate(parts) for n, parts in outputs.items()}, drives)


def _remembered(graph: Graph) -> set[str]:
    """Populations on which a later input's values depend."""
    found = {p.pre for p in graph.projections if not p.immediate}
    while more := {p.pre for p in graph.projections if p.post in found} - found:
        found |= more
    return found


def split_currents(graph: Graph, plan: LevelSchedule) -> Graph:
    """The same rate graph with what each population takes from the host in one of its own.

    ``<name>.current`` sums all but the projections that stay on the chip; times the gain it is
    what :func:`input_digits` write.
    """
    coded = {p.name for p in graph.populations if p.neuron.kind != "linear"}
    moved = {p.name for p in graph.projections if p.post in coded and p.name not in plan.staying}
    driven = {p.post for p in graph.projections if p.name in moved}
    populations: list[Population] = []
    for p in graph.populations:
        if p.name in driven:
            populations.append(Population(f"{p.name}.current", p.size))
        populations.append(p)
    projections = [
        replace(p, post=f"{p.post}.current") if p.name in moved else p for p in graph.projections
    ]
    projections += [
        Projection(f"{name}.current", name, name=f"{name}.from_current") for name in sorted(driven)
    ]
    return replace(graph, populations=tuple(populations), projections=tuple(projections))


def rounding(levels: Mapping[str, Levels]) -> dict[str, Callable[[Array], Array]]:
    """For :func:`.measure.run_rate`: a rate graph so altered does what the level-coded one does."""
    return {name: fitted.round for name, fitted in levels.items()}


def definition(
    graph: Graph, levels: Mapping[str, Levels], drives: Mapping[str, float], digits: int
) -> dict[str, Callable[[Array], Array]]:
    """For :func:`.measure.run_rate` of :func:`split_currents`: what level coding does to ``graph``.

    Activations are rounded to ``levels``, and what enters each population of ``drives`` to so many
    binary digits.  The answers are those of the level-coded graph on a target without a chip, in a
    fraction of the time.
    """

    def written(gain: Array, largest: float) -> Callable[[Array], Array]:
        safe = np.where(gain == 0, 1.0, gain)
        return lambda current: rounding_inputs(gain * current, largest, digits) / safe

    currents = {
        f"{name}.current": written(graph[name].gain, largest)
        for name, largest in drives.items()
        if largest > 0
    }
    return {**rounding(levels), **currents}


def rounding_inputs(currents: Array, largest: float, digits: int) -> Array:
    """What :func:`input_digits` make of ``currents``: whole numbers of largest / (2^digits - 1)."""
    most = 2**digits - 1
    unit = largest / most
    whole = np.sign(currents) * np.floor(np.abs(currents) / unit + 0.5)
    rounded: Array = np.clip(whole, -most, most) * unit
    return rounded


def code_model(
    model: Model,
    count: int,
    *,
    digits: int = 6,
    per_unit: bool = False,
    training_inputs: Array | None = None,
    lengths: Array | None = None,
    free_running: bool = False,
    recording: Recording | None = None,
) -> tuple[Graph, Timing]:
    """Level-code a rate model with ``count`` levels for each unit.

    Parameters
    ----------
    digits, per_unit
        See :func:`level_code` and :func:`fit_levels`.
    free_running
        See :func:`schedule`.
    training_inputs
        Inputs (samples, inputs, input size) that the levels are fitted to.  Without them levels
        are evenly spaced over the activity that the model brings, which costs accuracy.
    lengths
        Inputs of each of them, if they differ; see :func:`record`.
    recording
        What that recorded of them, if it is known.

    Raises
    ------
    SpecError
        Neither training inputs nor measured activity are there; or as :func:`level_code`.
    """
    graph = model.graph
    names = [p.name for p in graph.populations if p.neuron.kind != "linear"]
    plan = schedule(graph, free_running)
    if recording is None and training_inputs is not None:
        recording = record(graph, training_inputs, plan, every=model.task.every, lengths=lengths)
    if recording is not None:
        levels = {
            name: fit_levels(graph[name].neuron, recording.outputs[name], count, per_unit=per_unit)
            for name in names
        }
        drives = recording.drives
    else:
        levels, drives = {}, {}
        for name in names:
            population, activity = graph[name], model.activity.get(name)
            if activity is None or activity.p999 <= 0:
                raise SpecError(
                    f"population {name}",
                    got="no measured activity",
                    expected="activity on training data",
                    fix="name training data with data=",
                )
            levels[name] = levels_at(population.neuron, even_levels(population, activity, count))
            drives[name] = float(np.abs(population.gain).max()) * activity.largest_current
    return level_code(graph, levels, drives, digits=digits, dt=model.timing.dt, plan=plan)


def even_levels(population: Population, activity: Activity, count: int) -> Array:
    """Evenly spaced levels over the range of a population's outputs, (1, count)."""
    least = -activity.p999 if population.neuron.kind == "tanh" else 0.0
    return np.linspace(least, activity.p999, count)[None]


def level_code(
    graph: Graph,
    levels: Mapping[str, Levels],
    drives: Mapping[str, float],
    *,
    digits: int = 6,
    dt: float = 0.001,
    plan: LevelSchedule | None = None,
) -> tuple[Graph, Timing]:
    """The level-coded graph of a rate graph, and how fast it can be run.

    Parameters
    ----------
    levels
        For each nonlinear population, see :func:`fit_levels`.
    drives
        The largest current that each takes from the host, see :func:`record`.
    digits
        Binary digits of these currents besides the sign.
    plan
        The schedule, if it is another than :func:`schedule` finds.  Projections that it has
        staying on the chip, but that do not come from level-coded populations, are left out:
        the caller delivers what they do.

    Raises
    ------
    SpecError
        ``digits`` out of range, or a population without levels.
    """
    if digits not in DIGITS:
        expected = f"{DIGITS[0]} to {DIGITS[-1]}"
        raise SpecError("input bits", got=repr(digits), expected=expected, fix="try 6")
    plan = plan or schedule(graph)
    missing = [p.name for p in graph.populations if p.neuron.kind != "linear"]
    missing = [name for name in missing if name not in levels]
    if missing:
        raise SpecError(
            f"levels of {missing[0]}",
            got="none",
            expected="levels of every population with neurons",
            fix="name training data",
        )
    if through_numbers(graph, plan, next(iter(levels.values())).count if levels else 2):
        return _decoded_between(graph, levels, dt), Timing(1, 0, 0.0, dt)
    split = split_currents(graph, plan)
    coder = _Coder(graph, levels, plan, dt, frozenset(_remembered(graph)))
    populations: list[Population] = []
    projections = [p for p in split.projections if p.post not in levels]
    for population in split.populations:
        if population.name in levels:
            parts, links = coder.code(population, drives.get(population.name, 0.0), digits)
            populations += parts
            projections += links
        else:
            populations.append(population)
    coded = Graph(tuple(populations), tuple(projections), graph.input, graph.output)
    return coded, Timing(plan.steps_per_input, 0, 0.0, dt)


def through_numbers(graph: Graph, plan: LevelSchedule, count: int) -> bool:
    """Whether units with ``count`` levels reach one another as numbers, and not as spikes."""
    return any(
        p.name in plan.staying
        and not isinstance(p.transform, Dense)
        and graph[p.pre].size * graph[p.post].size * (count - 1) ** 2 > MOST_STRAIGHT
        for p in graph.projections
    )


def _decoded_between(graph: Graph, levels: Mapping[str, Levels], dt: float) -> Graph:
    """The level-coded graph in which all that neurons read are numbers.

    A population x becomes ``x.current`` → ``x.spikes`` → ``x``, the first and the last linear; it
    keeps its projections.
    """
    populations: list[Population] = []
    projections = [
        replace(p, post=f"{p.post}.current") if p.post in levels else p for p in graph.projections
    ]
    for population in graph.populations:
        name, size = population.name, population.size
        if name not in levels:
            populations.append(population)
            continue
        fitted = _for_each(levels[name], size)
        signs, weights = _signs(fitted)
        copies = signs.shape[1]
        above = signs * (population.bias[:, None] - fitted.thresholds)
        each, unit = np.arange(size * copies), np.repeat(np.arange(size), copies)
        shape = (size * copies, size)
        onto = Sparse(shape, each, unit, population.gain[unit])
        decoder = Sparse(shape[::-1], unit, each, weights.ravel())
        populations += [
            Population(f"{name}.current", size),
            Population(
                f"{name}.spikes",
                size * copies,
                comparator(dt),
                gain=signs.ravel(),
                bias=(above + FIRES_ABOVE).ravel(),
            ),
            Population(name, size, LINEAR, bias=_silent_level(fitted)),
        ]
        projections += [
            Projection(f"{name}.current", f"{name}.spikes", onto, name=f"{name}.from_current"),
            Projection(f"{name}.spikes", name, decoder, name=f"{name}.decoder"),
        ]
    return Graph(tuple(populations), tuple(projections), graph.input, graph.output)


@dataclass(frozen=True)
class _Coder:
    """Makes the parts that take the place of one population."""

    graph: Graph
    levels: Mapping[str, Levels]
    plan: LevelSchedule
    dt: float
    #: Populations on which a later input's values depend.
    remembered: frozenset[str]

    def code(
        self, population: Population, drive: float, digits: int
    ) -> tuple[list[Population], list[Projection]]:
        """Current, digits, comparators and their sum; and what leads from each to the next."""
        name, size = population.name, population.size
        fitted = self._each_unit(name)
        signs = _signs(fitted)[0]
        copies = signs.shape[1]
        bias = population.bias.copy()
        populations: list[Population] = []
        links: list[Projection] = []
        spikes = f"{name}.spikes"
        staying = [p for p in self.graph.incoming(name) if p.name in self.plan.staying]
        straight = [p for p in staying if p.pre in self.levels]
        largest, arriving = 0.0, 0.0
        # What arrives at most; of what the caller delivers nothing is known here.
        reach = np.full((size, 1), 0.0 if len(straight) == len(staying) else np.inf)
        between: list[Projection] = []
        for p in straight:
            source = self._each_unit(p.pre)
            gained = population.gain[:, None] * p.transform.matrix(self.graph[p.pre].size)
            each = gained @ _decoder(source)
            weight = np.repeat(each, copies, axis=0)
            reach += np.abs(each).sum(axis=1, keepdims=True)
            tau = None if p.immediate else 0.0
            between.append(Projection(f"{p.pre}.spikes", spikes, weight, tau, name=p.name))
            bias += gained @ _silent_level(source)
            largest = max(largest, float(np.abs(weight).max(initial=0.0)))
            # About a quarter of the neurons spike at a time: half of one side's.
            arriving += weight.shape[1] / 4
        heaviest = _heaviest(fitted.thresholds, largest, arriving)
        if len(staying) < len(self.graph.incoming(name)):
            unit = drive / (2**digits - 1)
            reach += drive
            whole = digits > SIDE_BY_SIDE and not straight
            if whole:
                heaviest = unit * 2.0 ** (SIDE_BY_SIDE - 1)
            most = heaviest / unit if unit > 0 else np.inf
            parts, inner = input_digits(
                name, f"{name}.current", population.gain, drive, digits, self.dt, most
            )
            populations += parts
            links += inner
            for bit, part in enumerate(reversed(parts)):
                times = part.size // (2 * size)
                each = np.full((size, copies), unit * 2.0**bit / times)
                both = _spread(each, times)
                links.append(Projection(part.name, spikes, both, name=f"{part.name}_in"))
            if whole:
                # It never spikes: what it does is the scale that its weights give to all others.
                silent = np.full(1, FIRES_ABOVE - 1.0)
                scale = Population(
                    f"{name}.scale", 1, comparator(self.dt), bias=silent, on_host=True
                )
                each = np.full((size * copies, 1), WHOLE * heaviest)
                populations.append(scale)
                links.append(Projection(scale.name, spikes, each, name=f"{scale.name}_in"))
        links += between
        # A chip has one scale for biases and weights: a bias that is never overcome would take it.
        farthest = REACH * reach + CLEAR
        above = signs * np.clip(bias[:, None] - fitted.thresholds, -farthest, farthest)
        if name in self.remembered and populations and above.max() > -CLEAR:
            # A chip runs a step before anything from the host has reached it.  What spiked in it
            # would be remembered, and the rate network begins with units at 0.
            away = float(above.max()) + CLEAR
            above = above - away
            times = _parts(away, heaviest)
            on = Population(
                f"{name}.on",
                times,
                comparator(self.dt),
                bias=np.full(times, FIRES_ABOVE + 1.0),
                on_host=True,
            )
            each = np.repeat((away / times * signs).reshape(-1, 1), times, axis=1)
            populations.append(on)
            links.append(Projection(on.name, spikes, each, name=f"{on.name}_in"))
        populations.append(
            Population(
                spikes,
                size * copies,
                comparator(self.dt),
                gain=signs.ravel(),
                bias=(above + FIRES_ABOVE).ravel(),
            )
        )
        populations.append(Population(name, size, LINEAR, bias=_silent_level(fitted)))
        links.append(Projection(spikes, name, _decoder(fitted), name=f"{name}.decoder"))
        return populations, links

    def _each_unit(self, name: str) -> Levels:
        """Levels with a row for each unit."""
        return _for_each(self.levels[name], self.graph[name].size)


def _for_each(fitted: Levels, size: int) -> Levels:
    """Levels with a row for each of ``size`` units."""
    arrays = (fitted.values, fitted.thresholds, fitted.middles)
    return Levels(*(np.broadcast_to(a, (size, a.shape[1])) for a in arrays))


def input_digits(
    name: str,
    source: str,
    gain: Array,
    largest: float,
    digits: int,
    dt: float,
    most: float = np.inf,
) -> tuple[list[Population], list[Projection]]:
    """Comparators that write ``gain`` · ``source`` as a sign and binary digits, spikes in one step.

    The population ``<name>.bit<b>`` has 2 · n neurons: one a value for positive and one for
    negative values.  They spike if digit b of the rounded size is 1.  The highest digit compares
    with half the range; each lower one with what the higher ones leave
    (successive approximation).  Sizes above ``largest`` have all digits 1.

    Parameters
    ----------
    source
        A linear population of n values.
    largest
        The size that is written as 2^digits - 1.
    most
        What a neuron may stand for, in units of the lowest digit: where 2^b is more, digit b has
        several times 2 · n neurons that do the same, up to ``MOST_COPIES``.

    Returns
    -------
    The populations, highest digit first, and the projections onto them.

    Raises
    ------
    SpecError
        ``largest`` is not more than 0.
    """
    if not largest > 0:
        raise SpecError(
            f"current of {name} from the host",
            got=f"{largest:g} at most",
            expected="more than 0 on training data",
            fix="check the weights before it and the training data",
        )
    size = len(gain)
    both = np.concatenate([gain, -gain]) * ((2**digits - 1) / largest)
    populations: list[Population] = []
    projections: list[Projection] = []
    for bit in reversed(range(digits)):
        times = _parts(2.0**bit, most)
        part = Population(
            f"{name}.bit{bit}",
            times * 2 * size,
            comparator(dt),
            # Rounded to the nearest: half a unit is added before digits are taken.
            bias=np.full(times * 2 * size, FIRES_ABOVE + 0.5 - 2.0**bit),
            on_host=True,
        )
        onto = _onto(part.size, size, np.tile(both, times))
        projections.append(Projection(source, part.name, onto, name=f"{part.name}_current"))
        for higher, earlier in zip(reversed(range(bit + 1, digits)), populations, strict=True):
            taken = np.full(part.size, -(2.0**higher))
            less: Any = taken
            if max(part.size, earlier.size) > 2 * size:
                less = _onto(part.size, earlier.size, taken, 2 * size)
            link = f"{part.name}_less_{2**higher}"
            projections.append(Projection(earlier.name, part.name, less, name=link))
        populations.append(part)
    return populations, projections


def _signs(fitted: Levels) -> tuple[Array, Array]:
    """For each comparator, 1 if it spikes above its threshold and -1 below; and its weight."""
    above = np.arange(fitted.count - 1) >= fitted.silent[:, None]
    signs = np.where(above, 1.0, -1.0)
    return signs, signs * np.diff(fitted.values, axis=1)


def _silent_level(fitted: Levels) -> Array:
    """What each unit is without spikes, (units,)."""
    return fitted.values[np.arange(len(fitted.values)), fitted.silent]


def _decoder(fitted: Levels) -> Array:
    """From the spikes of all comparators to the units, (units, units · K)."""
    weights = _signs(fitted)[1]
    units, copies = weights.shape
    decoder = np.zeros((units, units, copies))
    decoder[np.arange(units), np.arange(units)] = weights
    return decoder.reshape(units, units * copies)


def _heaviest(thresholds: Array, largest: float, arriving: float) -> float:
    """The largest weight from the host that leaves those between units enough of a chip's bits.

    ``arriving`` spikes a step with weights up to ``largest``, each rounded to the grid, add noise
    of a standard deviation of 1/√12 of the grid times their root.
    """
    if not largest > 0:
        return np.inf
    distances = np.diff(thresholds, axis=1)
    distance = float(np.median(distances if distances.size else np.abs(thresholds)))
    noise = WEIGHT_GRID * float(np.sqrt(arriving / 12.0))
    rounded = ROUNDING_SHARE * distance / noise if distance > 0 else np.inf
    return min(rounded, WEIGHT_RANGE * largest)


def _parts(weight: float, most: float) -> int:
    """Into how many parts of ``most`` or less a weight is divided, as far as that goes."""
    return int(np.clip(np.ceil(weight / most), 1, MOST_COPIES))


def _onto(rows: int, columns: int, weights: Array, period: int | None = None) -> Sparse:
    """Onto neuron k from value k modulo ``period``, by default the number of values."""
    each = np.arange(rows)
    return Sparse((rows, columns), each, each % (period or columns), weights)


def _spread(values: Array, times: int = 1) -> Sparse:
    """From digits to the comparators of n units, (units · K, 2 n · times).

    Each of the ``times`` copies has n neurons for positive and n for negative values.
    """
    size, copies = values.shape
    ways = 2 * times
    rows = np.repeat(np.arange(size * copies), ways)
    columns = np.repeat(np.arange(size), copies)[:, None] + size * np.arange(ways)
    signs = np.tile([1.0, -1.0], times)
    both = values.ravel()[:, None] * signs
    return Sparse((size * copies, size * ways), rows, columns.ravel(), both.ravel())

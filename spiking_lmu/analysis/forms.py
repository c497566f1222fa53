"""What a calibration varies before and beside firing rates: steps an input, synapses, the code.

Where what a layer reads of itself, or an answer at every input, has to form while an input is
shown, the steps that it is shown for matter, and whether its spikes are counted; where neurons read
neurons, so does the synapse between them.  They are tried one after the other on the target, at the
usual rates.  Where rates lose what can be told from chance, levels
(:mod:`spiking_lmu.conversion.levels`) are tried beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spiking_lmu.backends.target import Target
from spiking_lmu.conversion.convert import (
    Options,
    convert,
    count_from,
    feeds_back,
    gathers,
    rate_model,
)
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.model import Model
from spiking_lmu.runs.runner import Job
from spiking_lmu.runs.service import RunService

from .choice import PRESENTATIONS, TARGET_BUDGET, choose
from .samples import LEAST
from .tradeoff import ByBest, Point, grid_for, run_tradeoff

#: Time constants that are tried between neurons, as shares of the usual one.
SYNAPSES = (0.5, 2.0, 4.0)
#: Relative error of the outputs at which decisions that are all right have little to spare.
FAR = 0.2


@dataclass(frozen=True)
class Form(ByBest):
    """One form of a conversion, and what it gave on the target.

    Parameters
    ----------
    what
        In words: ``"20 steps an input, synapses of 4 ms"``.
    options
        Of the conversion.
    samples
        So many training samples.
    point
        The timing that the search goes by.
    """

    what: str
    options: Options
    samples: int
    point: Point

    @property
    def best(self) -> Point:
        """The same."""
        return self.point


def in_words(options: Options) -> str:
    """What a form is."""
    if options.code == "level":
        return f"{options.levels} levels, {options.input_bits} digits"
    synapses = f"synapses of {1000 * options.synapse_tau:g} ms"
    counted = "spikes counted, " if options.feedback == "count" else ""
    return f"{options.steps_per_input} steps an input, {counted}{synapses}"


def presentations(model: Model, usual: Options, given: Mapping[str, Any]) -> Iterator[Options]:
    """More and fewer steps an input than the usual ones, with times in proportion."""
    rate = rate_model(model, usual.dt)
    if given.get("steps_per_input") is not None or usual.memory == "line":
        return
    if not (feeds_back(rate) or model.task.every or gathers(rate.graph)):
        return
    for steps in PRESENTATIONS:
        if steps == usual.steps_per_input or steps <= (given.get("count_from") or 0):
            continue
        share = steps / usual.steps_per_input
        own: dict[str, Any] = {"synapse_tau": min(10.0, share * usual.synapse_tau)}
        if usual.count_from:
            own["count_from"] = count_from(steps, usual.dt)
        if model.task.every:
            own["readout_tau"] = share * usual.readout_tau
        elif not gathers(rate.graph):
            own["settle_steps"] = max(steps, usual.settle_steps)
        own = {name: value for name, value in own.items() if given.get(name) is None}
        yield replace(usual, steps_per_input=steps, **own)


def feedbacks(model: Model, usual: Options, given: Mapping[str, Any]) -> Iterator[Options]:
    """A lowpass in the place of a count, where spikes feed back."""
    if usual.feedback == "count" and given.get("feedback") is None:
        yield replace(usual, feedback="lowpass", count_from=0)


def synapses(model: Model, usual: Options, given: Mapping[str, Any]) -> Iterator[Options]:
    """Faster and slower synapses than the usual ones, where neurons read neurons."""
    spike = {p.name for p in model.graph.populations if p.neuron.kind != "linear"}
    counted = usual.feedback == "count"
    between = any(
        {p.pre, p.post} <= spike and not (p.delay and counted) for p in model.graph.projections
    )
    if between and given.get("synapse_tau") is None and usual.memory != "line":
        for share in SYNAPSES:
            yield replace(usual, synapse_tau=min(10.0, share * usual.synapse_tau))


def affordable(model: Model, options: Options, inputs: int, samples: int) -> bool:
    """Whether a run on the target is short enough to be one of several."""
    graph = model.graph
    weights = sum(p.transform.connections(graph[p.pre].size) for p in graph.projections)
    steps = options.steps_per_input * inputs + options.settle_steps
    return bool(steps * weights * samples <= TARGET_BUDGET)


def levels(
    model: Model,
    data: Dataset,
    target: Target,
    given: Mapping[str, Any],
    run: Callable[[Model, str], Point],
    samples: int,
    source: str,
) -> tuple[Form, Model] | None:
    """The levels and digits that suit ``target``, and the model so converted; None where none do.

    ``run`` tells what a spiking model gives on the samples that the calibration goes by.
    """
    if len(data) < LEAST:
        return None
    of_levels: dict[str, Any] = {
        name: given.get(name) for name in ("levels", "input_bits", "per_unit")
    }
    try:
        choice = choose(model, data, target, code="level", progress=False, **of_levels)
    except SpecError:
        if given.get("code") == "level":
            raise
        # The target holds none of them: rates are left.
        return None
    spiking = convert(model, choice.options, training_inputs=choice.fit, source=source)
    what = in_words(choice.options)
    return Form(what, choice.options, samples, run(spiking, what)), spiking


def run_levels(name: str, spiking: Model, job: Job, data: Dataset, service: RunService) -> Point:
    """What a level-coded model gives; it has one timing."""
    timing = spiking.timing
    grid = grid_for(spiking, (timing.settle_steps,), (timing.readout_tau,))
    return run_tradeoff(name, spiking, job, data, service, grid).points[0]

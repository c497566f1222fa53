"""From what a ladder shows to the option that is worth turning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp

import numpy as np

from spiking_lmu.conversion.convert import feeds_back, gathers
from spiking_lmu.conversion.levels import DIGITS
from spiking_lmu.conversion.line import MOST_BITS
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.trainable import untrainable

from ..metrics import metric_of
from .ladder import Ladder, Step
from .layers import HiddenLayer, sources
from .rungs import BITS, QUANTISATION, RESPONSE, SPIKES, TIMING, line_code

#: Neurons whose period is a whole number of steps resolve rates up to about this share of the
#: highest well: the next slower one is a fifth lower.
RESOLVED = 0.25
#: Spikes of the most active neurons that the readout should see before it is read.
ENOUGH_SPIKES = 10.0
#: Time constants after which a filter is said to have settled: 98 % of the way.
SETTLED = 4.0
#: Output error that rounding may leave; it falls with the distance of levels, and of digits.
ROUNDED = 0.1
#: Levels that are worth trying; more than the last leave a chip's 8-bit weights no room.
LEVELS = (3, 5, 7, 9, 17, 33)
#: Levels and digits that a recurrence is safe to begin with; training data say whether fewer do.
SAFE_LEVELS, SAFE_DIGITS = 17, 8
#: Seconds: shorter filters average too few spikes; and what is a good start.
SHORTEST_READOUT, USUAL_READOUT = 0.005, 0.01


@dataclass(frozen=True)
class Advice:
    """One thing to try.

    Parameters
    ----------
    rung
        What it is about.
    finding
        What was seen, with its number.
    fix
        What to do.
    options
        Arguments of :class:`spiking_lmu.conversion.Options` that do it; empty where no option
        of ``spiking-lmu convert`` does.
    """

    rung: str
    finding: str
    fix: str
    options: dict[str, float | str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.finding}: {self.fix}"


def advise(ladder: Ladder, model: Model) -> tuple[Advice, ...]:
    """What to try on the rung that the ladder suspects; empty if it suspects none."""
    step = ladder.suspected
    if step is None:
        return ()
    rules: dict[str, Callable[[Model, Step], Iterator[Advice]]] = {
        RESPONSE: _response,
        TIMING: _timing,
        SPIKES: _spikes,
        QUANTISATION: _quantisation,
        BITS: _bits,
    }
    found = list(rules[step.name](model, step)) if step.name in rules else []
    if step.name in (TIMING, SPIKES) and feeds_back(Model(model.rate)):
        found = [*_recurrence(model, step), *found]
    return tuple(found or _known(ladder, model, step) or [_unknown(step)])


def _known(ladder: Ladder, model: Model, step: Step) -> list[Advice]:
    """What the target itself says about the rung; first about the layer that it disturbs most."""
    before = ladder.steps[ladder.steps.index(step) - 1]
    was = {layer.name: layer.relative_error for layer in before.layers}
    added = {layer.name: layer.relative_error - was.get(layer.name, 0.0) for layer in step.layers}
    layer_of = {p.name: p.post for p in model.graph.projections}
    layer_of |= {f"{p.name}.current": p.name for p in model.graph.populations}
    problems = sorted(
        (p for p in ladder.problems if p.rung == step.name),
        key=lambda p: -added.get(layer_of.get(p.where, p.where), 0.0),
    )
    return [Advice(step.name, f"{p.where} has {p.got} (limit {p.limit})", p.fix) for p in problems]


def _response(model: Model, step: Step) -> Iterator[Advice]:
    for layer in step.layers:
        wanted = _largest_wanted(model, layer)
        usual = _usual_rate(model, layer)
        limited = wanted > RESOLVED * layer.ceiling
        if usual is not None and limited:
            rate = _round(min(RESOLVED * layer.ceiling, usual * layer.ceiling / wanted))
            if rate < usual:
                what = (
                    f"{layer.saturated:.0%} of the neurons of {layer.name} fire at the ceiling, "
                    f"{layer.ceiling:,.0f} Hz"
                    if layer.saturated
                    else f"neurons of {layer.name} fire at up to {layer.highest_rate:,.0f} Hz, "
                    "where rates come in coarse steps"
                )
                fix = f"lower max_rate to about {rate:g}"
                yield Advice(step.name, what, fix, {"max_rate": rate})
                continue
        what = (
            f"the neurons of {layer.name} follow their rate neurons with an error of "
            f"{layer.relative_error:.1%}"
        )
        if _trained_lif(model, layer):
            finer = _finer(model)
            fix = "halve the steps, in whole numbers of which its intervals come: " + " ".join(
                f"{name}={value:g}" for name, value in finer.items()
            )
            yield Advice(step.name, what, fix, dict(finer))
            continue
        fix = "train the network with the response curve of the neurons that it gets"
        yield Advice(step.name, what, fix)


def _trained_lif(model: Model, layer: HiddenLayer) -> bool:
    """Whether a layer fires at the rates of a LIF curve that it was trained with."""
    kinds = {p.name: p.neuron.kind for p in model.rate.populations}
    spikes = model.graph[layer.name].neuron.kind == "lif"
    return spikes and kinds.get(layer.name) in ("lif_rate", "soft_lif")


def _finer(model: Model) -> dict[str, float]:
    """The same times in steps half as long, those of each input too where there are several."""
    timing = model.timing
    finer: dict[str, float] = {"dt": timing.dt / 2}
    if timing.steps_per_input > 1 or any(p.delay for p in model.rate.projections):
        finer["steps_per_input"] = 2 * timing.steps_per_input
    if timing.settle_steps:
        finer["settle_steps"] = 2 * timing.settle_steps
    return finer


def _bits(model: Model, step: Step) -> Iterator[Advice]:
    code = line_code(model)
    if code is not None and code.bits < MOST_BITS:
        what = f"inputs are rounded to {code.bits} bit{'s' * (code.bits > 1)}"
        more = code.bits + 1
        yield Advice(step.name, what, f"raise bits to {more}", {"bits": more})


def _waiting(model: Model) -> tuple[str, int]:
    """The option that says how long an answer has to form, and its steps."""
    timing = model.timing
    if model.task.every or gathers(model.rate):
        return "steps_per_input", timing.steps_per_input
    return "settle_steps", timing.settle_steps


def _timing(model: Model, step: Step) -> Iterator[Advice]:
    timing = model.timing
    option, waits = _waiting(model)
    settle = waits * timing.dt
    if timing.readout_tau and settle < SETTLED * timing.readout_tau:
        seen = 1 - exp(-settle / timing.readout_tau)
        tau = _round(settle / SETTLED)
        what = (
            f"the readout's filter of {1000 * timing.readout_tau:g} ms has come {seen:.0%} of its "
            f"way in {waits} " + ("steps to settle" if option == "settle_steps" else "steps")
        )
        if settle >= SETTLED * SHORTEST_READOUT:
            steps = int(np.ceil(SETTLED * timing.readout_tau / timing.dt))
            fix = f"lower readout_tau to {tau:g}, or raise {option} to {steps}"
            yield Advice(step.name, what, fix, {"readout_tau": tau})
        else:
            tau = min(timing.readout_tau, USUAL_READOUT)
            steps = int(np.ceil(SETTLED * tau / timing.dt))
            fix = f"try readout_tau={tau:g} {option}={steps}"
            yield Advice(step.name, what, fix, {"readout_tau": tau, option: steps})
    # Synapses are in series with one another and with the time that there is.
    settling = timing.settle_steps if option == "settle_steps" else 0
    time = (timing.steps_per_input + settling) * timing.dt
    taus = sorted({p.tau for p in model.graph.projections if p.tau}, reverse=True)
    if taus and time < SETTLED * taus[0]:
        tau = _round(time / SETTLED / 2)
        which = "each input" if option == "steps_per_input" else "the last input"
        what = f"a synapse of {1000 * taus[0]:g} ms, and {1000 * time:g} ms for {which}"
        more = " and settle_steps" if option == "settle_steps" else ""
        fix = f"lower synapse_tau to {tau:g}, or raise steps_per_input{more}"
        yield Advice(step.name, what, fix, {"synapse_tau": tau})


def _spikes(model: Model, step: Step) -> Iterator[Advice]:
    timing = model.timing
    option, waits = _waiting(model)
    # A lowpass averages over about two time constants; what is gathered, over a presentation.
    window = 2 * timing.readout_tau or (waits * timing.dt if gathers(model.rate) else timing.dt)
    for layer in step.layers:
        usual = _usual_rate(model, layer)
        if usual is None:
            continue
        counted = usual * window
        silent = f"; {layer.silent:.0%} of its neurons fire for no sample" if layer.silent else ""
        what = (
            f"the most active neurons of {layer.name} send {counted:.2g} spikes in the "
            f"{1000 * window:g} ms that the readout averages over{silent}"
        )
        rate = _round(min(ENOUGH_SPIKES / window, RESOLVED * layer.ceiling))
        if rate > 1.2 * usual:
            yield Advice(step.name, what, f"raise max_rate to about {rate:g}", {"max_rate": rate})
            continue
        if gathers(model.rate):
            fix = f"show each input for longer: steps_per_input={2 * waits}"
            yield Advice(step.name, what, fix, {"steps_per_input": 2 * waits})
            continue
        tau = 2 * timing.readout_tau or USUAL_READOUT
        longer = max(2 * waits, int(np.ceil(SETTLED * tau / timing.dt)))
        if option == "settle_steps" and waits:
            longer = 2 * waits
        fix = f"average for longer: readout_tau={tau:g} {option}={longer}"
        yield Advice(step.name, what, fix, {"readout_tau": tau, option: longer})


def _recurrence(model: Model, step: Step) -> Iterator[Advice]:
    """A rate that is read anew at every input: levels need no reading, and more steps a better."""
    timing, graph = model.timing, model.graph
    back = {p.post for p in model.rate.projections if p.delay}
    layers = [layer for layer in step.layers if layer.name in back] or list(step.layers)
    worst = max(layers, key=lambda layer: layer.relative_error)
    yield _with_options(
        step,
        f"{worst.name} feeds back on itself, and what it reads of itself in "
        f"{timing.steps_per_input} steps an input is {worst.relative_error:.0%} off",
        "let the spikes of one step be its value, rounded",
        {"code": "level", "levels": SAFE_LEVELS, "input_bits": SAFE_DIGITS},
    )
    taus = [p.tau for p in graph.projections if p.tau]
    steps, tau = 2 * timing.steps_per_input, _round(2 * max(taus, default=0.0))
    settle = max(steps, timing.settle_steps)
    counted = any(p.mean_from is not None for p in graph.projections)
    if counted:
        yield _with_options(
            step,
            f"few spikes are counted in {timing.steps_per_input} steps an input",
            "as rates, show each input for longer",
            {"steps_per_input": steps, "settle_steps": settle},
        )
    elif tau and timing.steps_per_input > 1:
        counts: dict[str, float | str] = {"feedback": "count"}
        if {p.neuron.kind for p in model.rate.populations} & {"tanh", "sigmoid"}:
            # Of their pieces each would round by itself.
            counts["neuron"] = "lif"
        yield _with_options(
            step,
            f"a synapse of {1000 * tau / 2:g} ms forgets some spikes of an input",
            "as rates, count those of each input",
            counts,
        )
    if tau and not counted:
        yield _with_options(
            step,
            f"a synapse of {1000 * tau / 2:g} ms averages few spikes",
            "as rates, show each input for longer",
            {"steps_per_input": steps, "synapse_tau": tau, "settle_steps": settle},
        )


def _with_options(step: Step, what: str, do: str, options: dict[str, float | str]) -> Advice:
    """Advice that ends with the options to convert with."""
    named = (
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in options.items()
    )
    return Advice(step.name, what, f"{do}: {' '.join(named)}", options)


def _quantisation(model: Model, step: Step) -> Iterator[Advice]:
    """Levels and digits that are finer by as much as the error is too large."""
    graph = model.graph
    levels = max(
        graph[spikes].size // graph[layer.name].size + 1
        for layer in step.layers
        for spikes in sources(graph, layer.name)
    )
    digits = max(
        sum(p.name.startswith(f"{layer.name}.bit") for p in graph.populations)
        for layer in step.layers
    )
    finer = max(2.0, step.error / ROUNDED)
    better = [n for n in LEVELS if n > levels and n - 1 >= (levels - 1) * finer]
    what = f"{levels} levels and {digits} digits leave an output error of {step.error:.0%}"
    if levels >= LEVELS[-1]:
        fix = f"train the model on with fine_tune(model, data, levels={levels}), and convert again"
        if untrainable(model.rate) is not None:
            fix = "train the model on where it comes from, with more noise on its activations"
        yield Advice(step.name, what, fix)
        return
    options: dict[str, float | str] = {"levels": better[0] if better else LEVELS[-1]}
    if digits:
        options["input_bits"] = min(DIGITS[-1], digits + int(np.ceil(np.log2(finer))))
    fix = "raise " + " ".join(f"{name}={value}" for name, value in options.items())
    yield Advice(step.name, what, fix, options)


def _unknown(step: Step) -> Advice:
    metric, lost = metric_of(step.score), -step.gain
    size = f"{lost:.1f} points" if metric.points else f"{lost:.3g} {metric.label}"
    cost = f"costs {size}" if lost > 0 else f"leaves an output error of {step.error:.0%}"
    return Advice(
        step.name,
        f"{step.change}: this {cost}",
        "see what check says about the model, and try calibrate",
    )


def _hertz(model: Model, layer: HiddenLayer) -> float | None:
    """Rate in Hz for an activation of one; None where a layer became several neurons a unit."""
    population = model.graph[layer.name]
    if population.neuron.kind != "spiking_relu" or layer.name not in model.activity:
        return None
    return population.scale / population.neuron.amplitude


def _usual_rate(model: Model, layer: HiddenLayer) -> float | None:
    """Hz at the 99.9th percentile of activation in training."""
    hertz = _hertz(model, layer)
    return None if hertz is None else hertz * model.activity[layer.name].p999


def _largest_wanted(model: Model, layer: HiddenLayer) -> float:
    """Hz at which the layer's most active neuron would fire if nothing bounded it."""
    hertz = _hertz(model, layer)
    if hertz is None:
        return layer.highest_rate
    return hertz * model.activity[layer.name].largest


def _round(value: float) -> float:
    """To two digits.

    >>> _round(187.3), _round(0.01249)
    (190.0, 0.012)
    """
    return float(f"{value:.2g}")

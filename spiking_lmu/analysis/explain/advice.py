"""From what a ladder shows to the option that is worth turning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp

import numpy as np

from spiking_lmu.graph.model import Model

from .ladder import Ladder, Step
from .layers import HiddenLayer
from .rungs import RESPONSE, SPIKES, TIMING

#: Neurons whose period is a whole number of steps resolve rates up to about this share of the
#: highest well: the next slower one is a fifth lower.
RESOLVED = 0.25
#: Spikes of the most active neurons that the readout should see before it is read.
ENOUGH_SPIKES = 10.0
#: Time constants after which a filter is said to have settled: 98 % of the way.
SETTLED = 4.0
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
    options: dict[str, float] = field(default_factory=dict)

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
    }
    found = list(rules[step.name](model, step)) if step.name in rules else []
    return tuple(found or _known(ladder, model, step) or [_unknown(step)])


def _known(ladder: Ladder, model: Model, step: Step) -> list[Advice]:
    """What the target itself says about the rung; first about the layer that it disturbs most."""
    before = ladder.steps[ladder.steps.index(step) - 1]
    was = {layer.name: layer.relative_error for layer in before.layers}
    added = {layer.name: layer.relative_error - was[layer.name] for layer in step.layers}
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
        yield Advice(
            step.name,
            f"the neurons of {layer.name} follow their rate neurons with an error of "
            f"{layer.relative_error:.1%}",
            "train the network with the response curve of the neurons that it gets",
        )


def _timing(model: Model, step: Step) -> Iterator[Advice]:
    timing = model.timing
    settle = timing.settle_steps * timing.dt
    if timing.readout_tau and settle < SETTLED * timing.readout_tau:
        seen = 1 - exp(-settle / timing.readout_tau)
        tau = _round(settle / SETTLED)
        what = (
            f"the readout's filter of {1000 * timing.readout_tau:g} ms has come {seen:.0%} of its "
            f"way in {timing.settle_steps} steps to settle"
        )
        if settle >= SETTLED * SHORTEST_READOUT:
            steps = int(np.ceil(SETTLED * timing.readout_tau / timing.dt))
            fix = f"lower readout_tau to {tau:g}, or raise settle_steps to {steps}"
            yield Advice(step.name, what, fix, {"readout_tau": tau})
        else:
            tau = min(timing.readout_tau, USUAL_READOUT)
            steps = int(np.ceil(SETTLED * tau / timing.dt))
            fix = f"try readout_tau={tau:g} settle_steps={steps}"
            yield Advice(step.name, what, fix, {"readout_tau": tau, "settle_steps": steps})
    # Synapses are in series with one another and with the time that there is.
    time = (timing.steps_per_input + timing.settle_steps) * timing.dt
    taus = sorted({p.tau for p in model.graph.projections if p.tau}, reverse=True)
    if taus and time < SETTLED * taus[0]:
        tau = _round(time / SETTLED / 2)
        what = f"a synapse of {1000 * taus[0]:g} ms, and {1000 * time:g} ms for the last input"
        fix = f"lower synapse_tau to {tau:g}, or raise steps_per_input and settle_steps"
        yield Advice(step.name, what, fix, {"synapse_tau": tau})


def _spikes(model: Model, step: Step) -> Iterator[Advice]:
    timing = model.timing
    # A lowpass averages over about two time constants.
    window = 2 * timing.readout_tau or timing.dt
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
        tau = 2 * timing.readout_tau or USUAL_READOUT
        settle = 2 * timing.settle_steps or int(np.ceil(SETTLED * tau / timing.dt))
        fix = f"average for longer: readout_tau={tau:g} settle_steps={settle}"
        yield Advice(step.name, what, fix, {"readout_tau": tau, "settle_steps": settle})


def _unknown(step: Step) -> Advice:
    lost = -step.step.difference if step.step else 0.0
    cost = f"costs {lost:.1f} points" if lost > 0 else f"leaves an output error of {step.error:.0%}"
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

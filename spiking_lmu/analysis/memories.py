"""Where to keep a network's memory: on the host, or on the chip as a line of spikes.

How many bits, which code and how many levels are worth trying is seen on the rate model, whose
inputs and activations are rounded (:func:`line_coding`).  Each choice is converted, run on training
samples that it was not fitted to, and counted: accuracy, spikes, operations, cores, steps and
energy.

The rule: of all choices that lose no more than what is tolerated, the one with the least energy,
chip and host together, by the published figures of :mod:`spiking_lmu.analysis.energy`; of equal
ones the first.  Where none stays within that, the one that loses least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spiking_lmu.backends.convert import convert as convert_for
from spiking_lmu.backends.registry import given_target
from spiking_lmu.conversion.convert import MEMORIES, rate_model, require_unconverted
from spiking_lmu.conversion.levels import Levels, fit_levels, record, rounding
from spiking_lmu.conversion.line import CODES, MOST_BITS, LineCode, remembering
from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.errors import SpecError, SpikingLmuError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.task import Task
from spiking_lmu.runs.progress import Progress, shown
from spiking_lmu.runs.result import Result
from spiking_lmu.runs.service import RunSettings
from spiking_lmu.runs.shards import one_line

from .comparison import Comparison, compare
from .fitting import require_fit
from .metrics import METRIC, answers_alone, output_error, score_of, signed, value_of
from .samples import held_out

if TYPE_CHECKING:
    from spiking_lmu.backends.target import Target
    from spiking_lmu.datasets.dataset import Dataset

#: Numbers of bits of an input that are tried, about the fewest that may do.
TRIED_BITS = 3
#: Levels that are tried where a rate cannot be read: of neurons that feed back, or that answer at
#: every input.
LEVELS = (5, 9, 17, 33, 65)
#: Shares of what may be lost that rounding of inputs, and of inputs and activations, may take: a
#: chip's weights take theirs.
OF_INPUTS, OF_BOTH = 0.5, 0.75
#: Samples that bits and levels are seen on; and that they are fitted to.
SEEN, FITTED_TO = 500, 100
#: Fewer samples than these say little by their decisions, and those that were learned nothing:
#: outputs have to be near as well.  Of two classes whose difference is normally distributed about
#: 0 an error of e, over the spread, changes a share of arctan(e) / π.  That must not be more than
#: so many points, half of it by rounding inputs alone.
MANY, CHANGED = 300, 2.0
#: Samples that activity is measured on, and that a choice is judged by.
FITTED, JUDGED = 200, 200
#: Points of accuracy that may be lost; of a regression, percent of the rate model's error.
TOLERATE, TOLERATE_ERROR = 0.5, 10.0


@dataclass(frozen=True)
class LineCoding:
    """The cheapest way to write inputs and activations that the rate model bears.

    Parameters
    ----------
    bits, line_code
        See :class:`spiking_lmu.conversion.line.LineCode`.
    levels
        Of level-coded units, of each its own; 0 where units are not.
    loss
        Of the rate model with all of it rounded so: points, or percent of the error.
    within
        Whether that is within what it was to be.
    tried
        In order: bits, code, levels, loss, and the distance of the outputs over their spread.
    """

    bits: int
    line_code: str
    levels: int
    loss: float
    within: bool
    tried: tuple[tuple[int, str, int, float, float], ...]


def line_coding(
    model: Model,
    data: Dataset,
    *,
    fitted: Dataset | None = None,
    levels: bool | None = None,
    tolerate: float | None = None,
) -> LineCoding:
    """Bits, code and levels of a line, chosen on the rate model with rounded numbers.

    Fewest bits first, each rounded by itself and then with sigma-delta, until half of what may be
    lost is not; then fewest levels, until three quarters are not.  With fewer than 300 samples the
    outputs of a classifier have to be near too.  Takes seconds, since nothing is converted.

    Parameters
    ----------
    model
        A rate model.
    data
        Training samples that judge, of which 500 are looked at.
    fitted
        Those that levels are fitted to; the same if not given.
    levels
        Whether units are level-coded; as :func:`reads_rates` says if not given.
    tolerate
        See :func:`choose_memory`.

    Raises
    ------
    SpecError
        A spiking model, or data that are not the model's.
    """
    require_unconverted(model)
    require_fit("model", model, data)
    model = rate_model(model)
    usual = TOLERATE if METRIC[data.task.metric].points else TOLERATE_ERROR
    tolerate = usual if tolerate is None else tolerate
    seen = data.subset(np.arange(min(len(data), SEEN)))
    fitted = seen if fitted is None else fitted
    fitted = fitted.subset(np.arange(min(len(fitted), FITTED_TO)))
    x, fit = model.scaled(seen.x), model.scaled(fitted.x)
    exact = _answers(model, seen, x)
    tried: list[tuple[int, str, int, float, float]] = []

    def bears(share: float, code: LineCode, count: int = 0) -> bool:
        rounded: dict[str, Levels] = {}
        if count:
            outputs = record(
                model.graph, code.rounded(fit), every=model.task.every, lengths=fitted.lengths
            ).outputs
            rounded = {
                p.name: fit_levels(p.neuron, outputs[p.name], count, per_unit=True)
                for p in model.graph.populations
                if p.neuron.kind != "linear"
            }
        got = _answers(model, seen, code.rounded(x), rounded)
        values = (value_of(seen.task, seen.y, o, seen.lengths) for o in (exact, got))
        lost = _loss(seen.task, *values)
        alone = (answers_alone(seen.task, o, seen.lengths) for o in (got, exact))
        error = output_error(seen.task, *alone)
        tried.append((code.bits, code.code, count, lost, error))
        changed = 100.0 * np.arctan(error) / np.pi
        most = max(CHANGED, tolerate) * (1.0 if count else OF_INPUTS)
        sure = not seen.task.classifies or len(seen) >= MANY or changed <= most
        return bool(lost <= share * tolerate and sure)

    both = np.concatenate([inputs.reshape(-1, inputs.shape[-1]) for inputs in (fit, x)])
    first = LineCode.fitting(1, both)
    codes = [replace(first, bits=k, code=c) for k in range(1, MOST_BITS + 1) for c in CODES]
    code = next((c for c in codes if bears(OF_INPUTS, c)), None)
    within, code = code is not None, code or codes[-2]
    if not reads_rates(model) if levels is None else levels:
        within = any(bears(OF_BOTH, code, n) for n in LEVELS)
    *_, (_, _, count, lost, _) = tried
    return LineCoding(code.bits, code.code, count, lost, within, tuple(tried))


def _answers(
    model: Model, data: Dataset, x: Array, levels: Mapping[str, Levels] | None = None
) -> Array:
    """Of a rate model, on inputs and activations that may be rounded."""
    outputs = run_rate(model.graph, x, alter=rounding(levels or {}))
    return outputs if model.task.every else outputs[np.arange(len(x)), data.lengths - 1]


def _loss(task: Task, rate: float, value: float) -> float:
    """Points of the metric below the rate model, or percent of its error above."""
    metric = METRIC[task.metric]
    if metric.points:
        return 100.0 * (rate - value)
    change = rate - value if metric.rises else value - rate
    return 100.0 * change / max(abs(rate), 1e-12)


@dataclass(frozen=True)
class TriedMemory:
    """One place for the memory, measured.

    Parameters
    ----------
    memory, bits
        ``host`` or ``line``, and the bits of an input there; 0 on the host.
    levels
        Of level-coded units; 0 where they are rate-coded.
    line_code
        How the line holds inputs.
    score, low, high
        The task's metric on the samples, with its 95 % interval.
    loss
        Below the rate model on the same samples: points of accuracy, or percent of its error.
    spikes, synops, macs, updates
        Of a sample: spikes; effective accumulates; multiply-accumulates, which are the host's;
        updates of neurons.
    cores, steps
        Of the chip, and of the simulation of one sample.
    joules
        For a sample, by device.
    problem
        Why it could not be tried, in a line; then there are no numbers.
    """

    memory: str
    bits: int
    levels: int = 0
    line_code: str = CODES[0]
    score: float | None = None
    low: float | None = None
    high: float | None = None
    loss: float | None = None
    spikes: float | None = None
    synops: float | None = None
    macs: float | None = None
    updates: float | None = None
    cores: int | None = None
    steps: int | None = None
    joules: Mapping[str, float | None] | None = None
    problem: str = ""

    @property
    def what(self) -> str:
        """In words: ``"line, 2 bits"``."""
        bits = "" if self.memory == "host" else f", {self.bits} bit{'s' * (self.bits > 1)}"
        bits += f" of {self.line_code}" * (self.line_code != CODES[0])
        return f"{self.memory}{bits}" + (f", {self.levels} levels" if self.levels else "")

    @property
    def energy(self) -> float | None:
        """Joules of a sample with chip and host together, for the host that takes least."""
        both = [v for k, v in (self.joules or {}).items() if " with " in k and v is not None]
        return min(both, default=None)


@dataclass(frozen=True, eq=False)
class MemoryChoice(Result):
    """All places for a memory that were tried, and the one that was chosen.

    Parameters
    ----------
    model
        The network, converted as chosen.
    target, data
        Their names.
    samples
        Training samples that each was judged by.
    unseen
        Whether the network was trained without these samples, as far as its record says.
    metric, rate
        The task's metric, and what the rate model has on the same samples.
    tolerate
        What may be lost.
    tried
        In order.
    chosen
        One of them.
    """

    model: Model
    target: str
    data: str
    samples: int
    unseen: bool
    metric: str
    rate: float
    tolerate: float
    tried: tuple[TriedMemory, ...]
    chosen: TriedMemory

    @property
    def summary(self) -> str:
        """What was chosen and why, in a sentence."""
        metric, chosen = METRIC[self.metric], self.chosen
        within = chosen.loss is not None and chosen.loss <= self.tolerate
        loss = f"{signed(chosen.loss or 0.0)} {'points' if metric.points else '% of the error'}"
        why = "least energy of those that lose" if within else "loses least; none loses"
        return (
            f"{chosen.what}: {why} at most {self.tolerate:g} (here {loss}), on {self.samples} "
            f"training samples that it was {'not ' if self.unseen else ''}trained on"
        )


def choose_memory(
    model: Model,
    data: Dataset,
    target: str | Target | None = None,
    *,
    bits: Sequence[int] | None = None,
    samples: int = JUDGED,
    tolerate: float | None = None,
    source: str = "",
    settings: RunSettings | None = None,
    progress: bool | Progress = True,
    **fixed: Any,
) -> MemoryChoice:
    """Try a network's memory on the host and as a line of spikes, and choose.

    ``choose_memory(rate, data.train)`` shows a table in a notebook; its ``model`` is the network,
    converted as chosen.

    Parameters
    ----------
    model
        A rate model.
    data
        Training samples.  Where the model's record says how many of them it was trained without,
        it is judged by those.
    target
        On which each choice runs; the one that changes a model most, such as a chip, if none is
        named.
    bits
        Of an input on the line, each a choice; three numbers about the one that
        :func:`line_coding` finds, with its code and its levels, if not given.
    samples
        Samples that judge; up to 200 others measure activity.
    tolerate
        Points of accuracy that may be lost (0.5 if not given); of a regression, percent of the
        rate model's error (10).
    source
        Name of the model, for the record.
    settings
        How samples are run.
    progress
        Show each choice, be silent, or tell one's own.
    fixed
        Fields of :class:`spiking_lmu.conversion.Options` that are the same for all.

    Raises
    ------
    SpecError
        A spiking model, too few samples, or nothing that could be run.
    TargetError
        An unknown target.
    """
    require_unconverted(model)
    place = given_target(target)
    fitted, judged, unseen = divided(model, data, samples)
    require_fit("model", model, judged)
    settings = replace(settings or RunSettings(verify=0, workers=1), progress=False)
    given = {name: value for name, value in fixed.items() if value is not None}
    usual = TOLERATE if METRIC[judged.task.metric].points else TOLERATE_ERROR
    tolerate = usual if tolerate is None else tolerate
    style: dict[str, Any] = {} if reads_rates(model) else {"code": "level"}
    style |= given
    coded, on_line = style.get("code") == "level", dict[str, Any]()
    if bits is None or (coded and "levels" not in style):
        # More samples than the target runs, of those that were held out too.
        _, many, _ = divided(model, data, SEEN)
        found_code = line_coding(model, many, fitted=fitted, levels=coded, tolerate=tolerate)
        if bits is None:
            first = int(np.clip(found_code.bits - 1, 1, MOST_BITS + 1 - TRIED_BITS))
            bits = range(first, first + TRIED_BITS)
            on_line["line_code"] = found_code.line_code
        if coded and "levels" not in style:
            style |= {"levels": found_code.levels, "per_unit": True}
    levels = int(style["levels"]) if coded else 0
    if not coded:
        on_line["reset"] = "subtract"
    # What is given for the line alone is nothing to the host.
    on_line |= {name: style.pop(name) for name in ("line_code", "reset", "every") if name in style}
    code = on_line.get("line_code", CODES[0])
    candidates = [TriedMemory(MEMORIES[0], 0, levels)]
    candidates += [TriedMemory("line", k, levels, code) for k in bits]
    found: list[tuple[TriedMemory, Model | None]] = []
    rate = None
    with shown(progress) as told:
        told.start(f"memory on {place.name}", 0, len(candidates), "choices")
        for candidate in candidates:
            told.advance(0, f"{candidate.what} on {place.name}")
            options: dict[str, Any] = {**style, "memory": candidate.memory}
            if candidate.memory == "line":
                options |= {"bits": candidate.bits, **on_line}
            try:
                spiking = convert_for(model, place, fitted, source=source, **options)
                run = compare({"model": spiking}, judged, place, traces=0, settings=settings)
                problem = run.outcomes[0].problem
            except SpikingLmuError as error:
                problem = one_line(error)
            told.advance(1)
            if problem:
                found.append((replace(candidate, problem=problem), None))
                continue
            rate = _rate_value(run)
            found.append((_measured(candidate, spiking, run, place, rate), spiking))
    ran = [(tried, spiking) for tried, spiking in found if spiking is not None]
    if not ran or rate is None:
        raise SpecError(
            "choice of a memory",
            got=found[0][0].problem,
            expected="a conversion that the target runs",
            fix="leave out what is fixed",
        )
    chosen, spiking = pick(ran, tolerate)
    every = tuple(tried for tried, _ in found)
    choice = MemoryChoice(
        spiking,
        place.name,
        data.what,
        len(judged),
        unseen,
        judged.task.metric,
        rate,
        tolerate,
        every,
        chosen,
    )
    spiking.provenance["conversion"]["memory_choice"] = {
        "summary": choice.summary,
        "tried": [asdict(tried) for tried in every],
        "samples": len(judged),
        "data_digest": judged.digest,
    }
    return choice


def pick(ran: Sequence[tuple[TriedMemory, Model]], tolerate: float) -> tuple[TriedMemory, Model]:
    """By the module's rule."""
    within = [one for one in ran if one[0].loss is not None and one[0].loss <= tolerate]
    if within:
        return min(within, key=lambda one: np.inf if one[0].energy is None else one[0].energy)
    return min(ran, key=lambda one: np.inf if one[0].loss is None else one[0].loss)


def has_line(model: Model) -> bool:
    """Whether a network has a memory that only the input drives, and none before it."""
    return remembering(split(rate_model(model).graph))


def reads_rates(model: Model) -> bool:
    """Whether its units can be rate-coded: they do not feed back, and answer once."""
    graph = rate_model(model).graph
    linear = {p.name for p in graph.populations if p.neuron.kind == "linear"}
    feeding = any(p.delay and p.pre not in linear for p in graph.projections)
    adding_up = any(p.delay and p.pre == graph.output for p in graph.projections)
    return not (model.task.every or feeding or adding_up)


def divided(model: Model, data: Dataset, samples: int) -> tuple[Dataset, Dataset, bool]:
    """Samples to fit, samples to judge, and whether the latter were held out of training."""
    if len(data) < 2:
        raise SpecError("data", got=f"{len(data)} samples", expected="two or more", fix="give more")
    rng, last = np.random.default_rng(0), held_out(model, data)[::-1]
    unseen = len(last) >= min(samples, len(data) // 2)
    order = rng.permutation(last if unseen else len(data))
    judged = order[: min(samples, len(data) // 2)]
    rest = np.setdiff1d(np.arange(len(data)), last if unseen else judged)
    rest = rest if len(rest) else np.setdiff1d(np.arange(len(data)), judged)
    fitted = rng.permutation(rest)[:FITTED]
    return data.subset(fitted), data.subset(judged), unseen


def _rate_value(run: Comparison) -> float:
    outcome = run.rate["model"]
    return value_of(run.task, run.labels, outcome.outputs, run.lengths)


def _measured(
    candidate: TriedMemory, spiking: Model, run: Comparison, place: Target, rate: float
) -> TriedMemory:
    outcome = run.outcomes[0]
    score = score_of(run.task, run.labels, outcome.outputs, run.lengths)
    loss = _loss(run.task, rate, score.value)
    entry = run.costs[0].entries[0]
    return replace(
        candidate,
        score=score.value,
        low=score.low,
        high=score.high,
        loss=loss,
        spikes=entry.spikes,
        synops=entry.operations.effective_acs,
        macs=entry.operations.effective_macs,
        updates=entry.operations.neuron_updates,
        cores=len(place.cores(spiking)),
        steps=outcome.steps,
        joules=dict(entry.joules),
    )

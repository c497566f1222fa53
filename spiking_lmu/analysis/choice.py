"""Which conversion suits a network: measured on training samples, cheapest first.

The rule: of all candidates within the tolerated loss, the one with the fewest simulation steps, and
of those that take up to 15 % more the one with the fewest spikes.  A sequence is as long as its
inputs whatever follows, and a hundred steps to settle after 784 inputs are a small price where
they save nine tenths of the spikes.  In order,

1. does the recurrence matter?  The rate network runs with all that neurons send to the next input
   at zero; where decisions hardly change, it is converted like a feedforward one;
2. level coding (:mod:`spiking_lmu.conversion.levels`), which usually needs the fewest steps: 3, 5,
   7, 9, 13, 17, 33, 65 levels, each one cheap run of the rate network with rounded activations and
   inputs, until one makes 99 % of the decisions of the rate network, or 99.8 % on samples that the
   model learned, which it decides more surely than others.  A candidate is left as soon as that
   cannot be.  Where up to 17 levels none does, the fewest of which that cannot be ruled out;
3. binary digits of what enters a chip: 6; and 8 where so many levels are sure with 8 and the loss
   or the changed decisions with 6 are too many;
4. the candidate on the target itself: a hundred samples, and four times as many again and again
   up to 500 (``confirm``), as long as they do not say surely that it loses too much;
5. where no number of levels will do, rates over more and more steps, on the target.  Where level
   coding takes several steps an input, rates that take fewer in all come before it.  Those that
   take up to 15 % more are tried after it, for the sake of spikes: they take its place where, on
   as many samples as it ran on there, they make as many equal decisions as step 2 asks for, or
   as it made; or, where none does, where that cannot be ruled out.

A candidate is first looked at on a quarter of the samples, and on the others only if it may do.

Decisions of few samples say little, and those of learned samples are sure: with fewer than 300 the
outputs have to be near the rate model's too.  A regression is judged by how much its error against
the truth grows.

Why 99 %: ten thousand samples tell a loss of 0.3 points, and there are never so many.  (Where 1 %
are decided otherwise, the paired difference has a standard error of 0.3 points for a thousand
samples.)  So equal decisions stand for it.  Of those that differ some are lost and some are
gained; where 10,000 test images were run, the loss was about a sixth of their share or less
(docs/recurrence.md): under 0.2 points of 1 %.  A thousand samples tell 99 % from 98 %.

Samples that levels and rates are fitted to are not those on which candidates are judged, and none
of them is a test sample.  Candidates are judged by samples that the model held out of its training,
where it did: on those that it learned, its decisions are surer than they will be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from spiking_lmu.backends.convert import SAMPLES
from spiking_lmu.backends.convert import convert as convert_for
from spiking_lmu.backends.engines import one_thread
from spiking_lmu.backends.rate import last_step_alone
from spiking_lmu.backends.registry import given_target, load_target
from spiking_lmu.backends.target import Deployment, Run, Target, blocking
from spiking_lmu.compat import environment
from spiking_lmu.compat.quiet import no_warnings
from spiking_lmu.conversion.convert import (
    Options,
    default_options,
    feeds_back,
    gathers,
    rate_model,
    require_unconverted,
)
from spiking_lmu.conversion.convert import convert as convert_with
from spiking_lmu.conversion.levels import (
    Levels,
    Recording,
    definition,
    fit_levels,
    record,
    schedule,
    split_currents,
    through_numbers,
)
from spiking_lmu.conversion.measure import measure_activity, run_rate
from spiking_lmu.datasets import own_data, require_dataset
from spiking_lmu.errors import SpecError, SpikingLmuError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Activity, Model, require_model
from spiking_lmu.graph.trainable import sturdier
from spiking_lmu.runs.processes import cores
from spiking_lmu.runs.progress import Progress, shown
from spiking_lmu.runs.result import Result

from .fitting import require_fit
from .memories import choose_memory
from .metrics import gained, output_error, paired_with, signed, value_of
from .samples import LEAST, held_out, name_of
from .statistics import accuracy

if TYPE_CHECKING:
    from spiking_lmu.datasets.dataset import Dataset

#: Numbers of levels that are tried; from the last two on a network is fragile.
LEVELS, FRAGILE = (3, 5, 7, 9, 13, 17, 33, 65), 17
#: Binary digits that are tried of what enters a chip.
DIGITS = (6, 8)
#: Share of equal decisions that must not be ruled out in the rate loop; and on the target, on
#: fewer samples.
AGREEMENT, AGREEMENT_ON_TARGET = 0.99, 0.97
#: The share with which the search for levels ends: on samples that the model did not learn, and on
#: those that it did, which it decides more surely than others.  Where no more levels than
#: ``SURE_UP_TO`` reach it, the fewest that are not ruled out will do.
SURE, SURE_OF_LEARNED, SURE_UP_TO = 0.99, 0.998, 17
#: Points of the metric, and of a regression the percentage by which its error may grow.
TOLERATE, TOLERATE_GROWTH = 0.3, 8.0
#: A rate model's error, over the spread of the truth, of which less is not told apart.
LEAST_ERROR = 0.02
#: With fewer samples none that is decided otherwise leaves room for a loss of more than a point
#: (three in n).  Then the outputs, too, have to be near the rate model's: of two classes whose
#: difference is normally distributed about 0, the least sure that can be, an error of e changes a
#: share of arctan(e) / π.  This must not be more than so many points, or what is tolerated.
MANY, CHANGED = 300, 1.0
#: Decisions that change less than this without the recurrence do not need it.
IDLE = 0.01
#: What is more than this on the samples that are looked at first need not be counted on all.
PLAIN = 0.1
#: Samples that levels are fitted to, that candidates are judged by, and that the target runs: at
#: first, and so many times more until there are enough.
FITTED, JUDGED, CONFIRMED = 200, 2000, 500
FEWEST_RUN, TIMES = 100, 4
#: Said where nothing was measured and much may be lost.
FEEDS_BACK = (
    "neurons of this network feed back on themselves, and fixed times may lose much of what they "
    "remember; convert with training data, and the conversion is measured"
)
#: Samples held out of training that are preferred to more that the model learned.
ENOUGH = 500
#: Multiplications that the rate loop may take for one candidate, about ten seconds of one core;
#: samples that it runs at once, and on how many cores at most.
LOOP_BUDGET, LOOP_BATCH, LOOP_THREADS = 1.6e11, 64, 4
#: Batches that run on a target side by side, where it can; each takes memory of its own.
RUN_THREADS = 2
#: Share of the samples on which a candidate of the rate loop is looked at first, at least so many.
FIRST, LEAST_FIRST = 0.25, 50
#: Steps by which two candidates may differ and count as equally fast.
AS_FAST = 1.15
#: Settle steps of rate coding, and steps an input where the recurrence matters and has no filter.
SETTLING, PRESENTATIONS = (20, 50, 100, 200, 400), (10, 20, 60)
#: Simulation steps times weights times samples that a rate-coded candidate may take on a target.
TARGET_BUDGET = 2e11
#: Simulation steps times neurons times samples that run on a target, about twenty seconds of one
#: core on the Loihi emulator; the first stage runs whatever it takes.
NEURON_BUDGET = 1.6e9


@dataclass(frozen=True)
class Candidate:
    """One candidate.

    Parameters
    ----------
    what
        In words: ``"5 levels"``.
    where
        ``"rate loop"``, or the name of the target.
    samples
        So many training samples.
    agreement
        Share of equal decisions with the rate model; None of a regression.
    loss
        Points of the task's metric below the rate model; of a regression the percentage by which
        the normalised error against the truth grows.
    low, high
        95 % interval of the loss.
    steps
        Simulation steps of a sample.
    spikes
        Of a sample, all populations together; None where they were not counted.
    passed
        Whether it is within what is tolerated.
    error
        RMS distance of the outputs from the rate model's, over their spread.
    """

    what: str
    where: str
    samples: int
    agreement: float | None
    loss: float
    low: float
    high: float
    steps: int
    spikes: float | None
    passed: bool
    error: float = 0.0

    @property
    def rank(self) -> tuple[float, float]:
        """By what candidates are compared that are not good enough: loss, then error."""
        return max(self.loss, 0.0), self.error

    def __str__(self) -> str:
        alike = "" if self.agreement is None else f"{100 * self.agreement:.1f} % equal decisions, "
        spikes = "" if self.spikes is None else f", {self.spikes:,.0f} spikes"
        return (
            f"{self.what} ({self.where}, n = {self.samples}): {alike}loss {signed(self.loss)} "
            f"[{signed(self.low)}, {signed(self.high)}], output error {100 * self.error:.1f} %, "
            f"{self.steps:,} steps{spikes}"
        )


@dataclass(frozen=True)
class Choice(Result):
    """What suits a network, and why.

    Parameters
    ----------
    options
        For :func:`spiking_lmu.conversion.convert`.
    fit
        The training samples that it is to be fitted to.
    expected
        The candidate that was chosen, as it was measured last.
    recurrence
        Share of decisions (of a regression: error over spread) that change without the
        recurrence; None without one.
    tried
        All candidates in their order.
    reached
        Whether the choice is within the tolerated loss.
    advice
        What would help where it is not, or where it is fragile; may be empty.
    seconds
        That it took.
    recording, activity
        What the rate network does on the samples of ``fit``; see
        :func:`spiking_lmu.conversion.convert`.
    """

    options: Options
    fit: Dataset
    expected: Candidate
    recurrence: float | None
    tried: tuple[Candidate, ...]
    reached: bool
    advice: str
    seconds: float
    recording: Recording | None = field(default=None, repr=False)
    activity: Mapping[str, Activity] | None = field(default=None, repr=False)

    def convert(self, model: Model, source: str = "") -> Model:
        """The model, converted as chosen and fitted to the samples set aside for that."""
        spiking = convert_with(
            model,
            self.options,
            training_inputs=self.fit,
            recording=self.recording,
            activity=self.activity,
            source=source,
        )
        spiking.provenance["conversion"]["choice"] = self.record
        return spiking

    @property
    def record(self) -> dict[str, Any]:
        """What a converted model says of how it was chosen; JSON-safe."""
        return {
            "summary": self.summary,
            "tried": [asdict(tried) for tried in self.tried],
            "recurrence": self.recurrence,
            "reached": self.reached,
            "data_digest": self.fit.digest,
        }

    @property
    def summary(self) -> str:
        """What was chosen and what is expected, in a line or two."""
        measured = [t for t in self.tried if t.what == self.expected.what]
        unit = "points" if self.expected.agreement is not None else "% of the rate model's error"
        losses = ", ".join(
            f"{signed(t.loss)} [{signed(t.low)}, {signed(t.high)}] "
            f"{'in the rate loop' if t.where == LOOP else f'on {t.where}'} (n = {t.samples})"
            for t in measured
        )
        spikes = self.expected.spikes
        plural = "" if self.expected.steps == 1 else "s"
        text = f"{self.expected.what}, {self.expected.steps:,} step{plural}"
        text += "" if spikes is None else f", {spikes:,.0f} spikes"
        text += f"; loss on training samples in {unit}: {losses}"
        if self.recurrence is not None:
            text += f"; without its recurrence {100 * self.recurrence:.1f} % change"
        return text + (f". {self.advice}" if self.advice else "")


def choose(
    model: Model,
    data: Dataset,
    target: Target | str | None = None,
    *,
    tolerate: float | None = None,
    samples: int = JUDGED,
    confirm: int = CONFIRMED,
    seed: int = 0,
    progress: bool | Progress = True,
    **fixed: Any,
) -> Choice:
    """Choose the conversion of ``model`` for ``target`` by training samples.

    ::

        choice = choose(rate, data.train, "loihi")
        print(choice.summary)
        spiking = choice.convert(rate)

    Parameters
    ----------
    model
        A rate model.
    data
        Training samples; at least 20.
    target
        A target or its name; not given, the one nearest to the definition.
    tolerate
        Points of the metric that may be lost (0.3 if not given); of a regression, percent by which
        its error may grow (8).
    samples
        So many judge a candidate, fewer where a run of the rate model is long.
    confirm
        So many of them run on the target, unless fewer say that a candidate loses too much.  500
        tell a loss of a point; one of 0.3 takes thousands.
    seed
        Of which samples judge and which are fitted to.
    progress
        Show each candidate, be silent, or tell one's own.
    fixed
        Fields of :class:`spiking_lmu.conversion.Options` that are not to be chosen.  One of rate
        coding rules level coding out, and the other way round.

    Raises
    ------
    SpecError
        Fewer than 20 samples, a spiking model, or an unknown option.
    DatasetError
        Data that are not what the model takes and answers.
    """
    started = perf_counter()
    require_unconverted(model)
    require_dataset(data)
    if len(data) < LEAST:
        got, least = f"{len(data)} samples", f"at least {LEAST}"
        raise SpecError("data", got=got, expected=least, fix="give more of them")
    require_fit(name_of(model), model, data)
    place = load_target(target) if isinstance(target, str) else given_target(target, nearest=True)
    with shown(progress) as told, one_thread():
        told.start(f"conversion for {place.name}", 0, None, "candidates")
        free = bool(fixed.get("free_running"))
        judge = _Judge(model, data, tolerate, max(samples, confirm), seed, told, free)
        judge.confirm = confirm
        idle, effect = judge.recurrence()
        level, rate = wants_code(fixed, "level"), wants_code(fixed, "rate")
        searches: list[Callable[[], tuple[Options, Candidate] | None]] = []
        if rate:
            searches.append(lambda: judge.rates(place, fixed, idle, shorter=level))
        if level:
            searches.append(lambda: judge.levels(place, fixed))
        if rate and level:
            searches.append(lambda: judge.rates(place, fixed, idle, shorter=False))
        best: tuple[Options, Candidate] | None = None
        for search in searches:
            found = search()
            if best is None or (
                found is not None and (found[1].passed or found[1].rank < best[1].rank)
            ):
                best = found or best
            if best is not None and best[1].passed:
                break
        if rate and best is not None and best[1].passed and best[0].code == "level":
            best = judge.thriftier(place, fixed, idle, best)
    if best is None:
        raise SpecError(
            "choice of a conversion",
            got="; ".join(judge.refused) or "no candidate that can be run",
            expected=f"one that {place.name} can hold",
            fix="leave out what is fixed, or convert with options of your own",
        )
    options, expected = best
    advice = _advice(options, expected, judge)
    return Choice(
        options,
        judge.fit,
        expected,
        effect,
        tuple(judge.tried),
        expected.passed,
        advice,
        perf_counter() - started,
        judge.recording,
        judge.activity,
    )


def convert(
    model: Model,
    target: str | Target | Sequence[str | Target] = (),
    data: Dataset | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    tolerate: float | None = None,
    training_samples: int = SAMPLES,
    seed: int = 0,
    source: str = "",
    progress: bool | Progress = True,
    **choices: Any,
) -> Model:
    """Make a trained rate model spike.

    ``convert(rate, "loihi", data.train)`` chooses what suits the network and the Loihi emulator
    by training samples (:func:`choose`); without data by those that the model was trained on, if
    it names a source of :mod:`spiking_lmu.datasets`.  ``convert(rate, max_rate=125,
    settle_steps=200)`` takes one's own.  With data and choices, rates and levels are fitted to
    the data.

    Parameters
    ----------
    model
        A rate model.
    target
        One or several; of several it is chosen for the first with a chip.
    data
        Training samples, never test samples.  Where neither they nor those that the model names
        are there, the activity that the model brings is used, with fixed times: a network that
        feeds back on itself may then lose much.
    folder
        Where the files of the data that the model names are.
    tolerate, progress
        See :func:`choose`.
    training_samples, seed
        So many samples, drawn with the seed, where options are given.
    source
        Name of the model, for the record.
    choices
        Fields of :class:`spiking_lmu.conversion.Options` by name; and ``memory="auto"``, which has
        :func:`~spiking_lmu.analysis.memories.choose_memory` measure where the memory is to be.

    Returns
    -------
    The spiking model; its ``rate_graph`` is the graph that it was converted from.  It shows, and
    its provenance has as ``["conversion"]["remarks"]``, how activity becomes spikes and what else
    is worth knowing: what was chosen and what is expected of it, or that nothing was measured.

    Raises
    ------
    SpecError
        The model spikes already, has neurons without a spiking counterpart, or no activity is
        known; or a choice that there is not.
    DatasetError
        Data that are not what the model takes and answers.
    TargetError
        An unknown target.
    """
    require_model(model)
    given = {name: value for name, value in choices.items() if value is not None}
    if given.get("memory") == "auto":
        return _by_memory(model, target, data, folder, tolerate, source, progress, given)
    unmeasured = ""
    if data is None and not given and model.rate_graph is None:
        data, unmeasured = _own_training_data(model, folder)
    if data is not None:
        require_fit(source or name_of(model), model, data)
        if not given and len(data) < LEAST:
            unmeasured = f"{len(data)} samples, fewer than {LEAST}"
    if given or data is None or len(data) < LEAST or model.rate_graph is not None:
        spiking = convert_for(
            model,
            target,
            data,
            training_samples=training_samples,
            seed=seed,
            source=source,
            **choices,
        )
        remarks = [coding_of(spiking)]
        if unmeasured:
            spiking.provenance["conversion"]["unmeasured"] = unmeasured
            remarks.append(f"not measured, fixed times are taken ({unmeasured})")
        if data is None and feeds_back(rate_model(model)):
            remarks.append(FEEDS_BACK)
        spiking.provenance["conversion"]["remarks"] = remarks
        return spiking
    places = targets_in_order(target)
    first = places[0] if places else None
    choice = choose(model, data, first, tolerate=tolerate, seed=seed, progress=progress)
    spiking = choice.convert(model, source)
    spiking.provenance["conversion"] |= {
        "environment": environment(),
        "training_data": f"{data.name} {data.split}",
        "seed": seed,
    }
    chosen_on = f"chosen on samples of {data.name} {data.split}: {choice.summary}"
    spiking.provenance["conversion"]["remarks"] = [coding_of(spiking), chosen_on]
    return spiking


def targets_in_order(target: str | Target | Sequence[str | Target]) -> list[Target]:
    """One or several targets, those with a chip first."""
    several = [target] if isinstance(target, str | Target) else list(target)
    places = [load_target(one) if isinstance(one, str) else one for one in several]
    return sorted(places, key=lambda place: not place.capabilities.on_chip)


def coding_of(model: Model) -> str:
    """How the activity of a converted model's neurons becomes spikes, in words."""
    options = model.provenance["conversion"]["options"]
    if options["code"] == "level" and options["memory"] == "line":
        often = options.get("every", 1)
        said = f"{options['levels']} levels, {options['bits']} bit(s) of an input"
        return said + (f", an answer at every {often} inputs" if often > 1 else "")
    if options["code"] == "level":
        return f"{options['levels']} levels, input in {options['input_bits']} bits and a sign"
    named = ", ".join(f"{name} {rate:g}" for name, rate in options["rates"].items())
    counted = ", spikes that feed back counted" if options.get("feedback") == "count" else ""
    rates = named or format(options["max_rate"], "g")
    return f"{rates} Hz at the 99.9th percentile of activation{counted}"


def _by_memory(
    model: Model,
    target: str | Target | Sequence[str | Target],
    data: Dataset | None,
    folder: str | os.PathLike[str] | None,
    tolerate: float | None,
    source: str,
    progress: bool | Progress,
    given: Mapping[str, Any],
) -> Model:
    """The model with its memory where :func:`.memories.choose_memory` finds it cheapest."""
    places = targets_in_order(target)
    if data is None:
        data = own_data(model, None if folder is None else Path(folder)).train
    fixed = {name: value for name, value in given.items() if name not in ("memory", "bits")}
    bits = [given["bits"]] if "bits" in given else None
    found = choose_memory(
        model,
        data,
        places[0] if places else None,
        bits=bits,
        tolerate=tolerate,
        source=source,
        progress=progress,
        **fixed,
    )
    found.model.provenance["conversion"]["remarks"] = [coding_of(found.model), found.summary]
    return found.model


def _own_training_data(
    model: Model, folder: str | os.PathLike[str] | None
) -> tuple[Dataset | None, str]:
    """The data that a model names as those it was trained on; or None, and why."""
    try:
        data = own_data(model, None if folder is None else Path(folder)).train
    except SpikingLmuError as error:
        return None, str(error)
    graph = model.graph
    if (data.channels, data.outputs) != (graph.input_size, graph.output_size):
        return None, f"{data.what} do not fit the model"
    return data, ""


def divide(
    model: Model, data: Dataset, fitted: int, judged: int, seed: int
) -> tuple[Dataset, Dataset]:
    """Samples to fit to, and others to judge by, out of training data.

    Those to judge by are held out of the model's training, if there are enough of them.
    """
    rng, kept = np.random.default_rng(seed), held_out(model, data)
    if min(judged, ENOUGH) <= len(kept) <= len(data) - fitted:
        others = np.setdiff1d(np.arange(len(data)), kept)
        chosen = others[rng.permutation(len(others))[:fitted]]
        return data.subset(chosen), data.subset(kept[rng.permutation(len(kept))[:judged]])
    order = rng.permutation(len(data))
    return data.subset(order[:fitted]), data.subset(order[fitted : fitted + judged])


def wants_code(fixed: Mapping[str, Any], code: str) -> bool:
    """Whether candidates of this code are left by what is fixed."""
    # Whether answers are to be inputs is asked of either.
    given = {name for name, value in fixed.items() if value is not None} - {"free_running"}
    if "code" in given:
        return bool(fixed["code"] == code)
    of_levels = {"levels", "input_bits", "per_unit"}
    return not (given - of_levels) if code == "level" else not given & of_levels


def _advice(options: Options, expected: Candidate, judge: _Judge) -> str:
    tune = f"{sturdier(judge.graph)} makes it sturdier"
    if not expected.passed and expected.loss <= judge.tolerate and judge.classifies:
        return (
            f"Its outputs are {100 * expected.error:.1f} % from the rate model's, and "
            f"{expected.samples} samples are too few to tell what that costs; {tune}"
        )
    if not expected.passed:
        text = f"Nothing that was tried stays within {judge.tolerate:g} {judge.unit}; {tune}"
        return "; ".join([text, *judge.refused])
    if options.code == "level" and options.levels > FRAGILE:
        return f"With {options.levels} levels it is fragile; {tune}"
    return ""


def _room(options: Options) -> tuple[int, int]:
    """What level coding takes more room with."""
    return options.levels, options.input_bits


class _Deployed:
    """A model on a target; a deployment stays open while samples have the same length.

    To build a large network for a chip can take longer than to run it.
    """

    def __init__(self, target: Target, model: Model) -> None:
        self._target, self.model = target, model
        self._opened, self._inputs = ExitStack(), 0
        self._deployment: Deployment

    def of(self, inputs: int) -> Deployment:
        """A deployment for samples of so many inputs."""
        if inputs != self._inputs:
            self.close()
            self._deployment = self._opened.enter_context(self._target.deploy(self.model, inputs))
            self._inputs = inputs
        return self._deployment

    def close(self) -> None:
        """End the deployment that is open."""
        self._inputs = 0
        self._opened.close()


def _batches(deployment: Deployment, x: Array, rows: Array) -> Iterator[tuple[Array, Run]]:
    """Runs of ``rows`` of ``x``, batch after batch, or two side by side where that goes."""
    threads = min(cores(), RUN_THREADS) if deployment.concurrent else 1
    size = max(1, min(deployment.batch_size, -(-len(rows) // threads)))
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]

    def run(part: Array) -> Run:
        return deployment.run(np.asarray(x[part], float))

    if threads == 1 or len(parts) == 1:
        yield from zip(parts, map(run, parts), strict=True)
        return
    # Both contexts are of the whole process, and deployments enter them too.
    with one_thread(), no_warnings(), ThreadPoolExecutor(threads) as pool:
        yield from zip(parts, pool.map(run, parts), strict=True)


def _stages(most: int) -> Iterator[int]:
    """So many samples, then more, up to ``most``."""
    count = min(FEWEST_RUN, most)
    while count < most:
        yield count
        count = min(TIMES * count, most)
    yield most


class _Judge:
    """Runs candidates and keeps what they gave."""

    def __init__(
        self,
        model: Model,
        data: Dataset,
        tolerate: float | None,
        samples: int,
        seed: int,
        progress: Progress,
        free_running: bool = False,
    ) -> None:
        self.model, self._progress, self.tried = model, progress, list[Candidate]()
        self.graph = rate_model(model).graph
        self.task = model.task
        self.classifies, self.every = model.task.classifies, model.task.every
        usual = TOLERATE if self.classifies else TOLERATE_GROWTH
        self.tolerate = usual if tolerate is None else tolerate
        self.unit = "points" if self.classifies else "% of the rate model's error"
        fitted = min(FITTED, len(data) // 2)
        judged = min(samples, len(data) - fitted, self._affordable(data))
        self.fit, self.held = divide(model, data, fitted, judged, seed)
        unseen = data.indices[held_out(model, data)]
        self.learned = not np.isin(self.held.indices, unseen).all()
        self.lengths = self.held.lengths
        #: So many samples say first whether a candidate can be meant at all.
        self.first = max(int(FIRST * len(self.held)), min(LEAST_FIRST, len(self.held)))
        self.x, self.fit_x = model.scaled(self.held.x), model.scaled(self.fit.x)
        self._plan = schedule(self.graph, free_running)
        self._split = split_currents(self.graph, self._plan)
        self.rate = self._run(self.graph)
        self.confirm = CONFIRMED
        #: What the rate network does on the samples that are fitted to, once it was asked for.
        self.recording: Recording | None = None
        self.activity: Mapping[str, Activity] | None = None
        #: Rate-coded candidates that ran on the target.
        self._rated = set[str]()
        #: Candidates that lose or change too much for sure.
        self._out = set[str]()
        #: Candidates that the target cannot hold, and why.
        self.refused = list[str]()

    def _affordable(self, data: Dataset) -> int:
        graph = self.graph
        linear = {p.name for p in graph.populations if p.neuron.kind == "linear"}
        weights = sum(
            p.transform.connections(graph[p.pre].size)
            for p in graph.projections
            if not {p.pre, p.post} <= linear
        )
        steps = 1 if self._only_last_matters(graph) else data.x.shape[1]
        return max(20, int(LOOP_BUDGET / max(1, 2 * weights * steps)))

    def _only_last_matters(self, graph: Graph) -> bool:
        return not self.every and last_step_alone(graph, 1)[0] is not graph

    # -- the rate loop

    def _run(
        self,
        graph: Graph,
        alter: Mapping[str, Callable[[Array], Array]] | None = None,
        rows: slice = slice(None),
    ) -> Array:
        """Answers (answers, outputs) of a rate graph on some of the samples that judge."""
        x = self.x[rows]
        if not self.every and not self.held.ragged:
            short, fed = last_step_alone(graph, x.shape[1], alter or ())
            if short is not graph:
                return run_rate(short, fed(np.asarray(x, float)), alter=alter)[:, -1]
        threads = min(cores(), LOOP_THREADS)
        with one_thread():
            outputs = run_rate(graph, x, alter=alter, batch=LOOP_BATCH, threads=threads)
        last = (np.arange(len(outputs)), self.lengths[rows] - 1)
        answers: Array = outputs[self.held.mask[rows] if self.every else last]
        return answers

    def recurrence(self) -> tuple[bool, float | None]:
        """Whether the recurrence can be left out of account, and what changes without it."""
        graph = self.graph
        kinds = {p.name: p.neuron.kind for p in graph.populations}
        back = {p.name for p in graph.projections if p.delay and kinds[p.pre] != "linear"}
        if not back:
            return True, None
        without = replace(
            graph,
            projections=tuple(
                p for p in graph.projections if p.name not in back or p.weights is None
            ),
        )

        def effect_of(answers: Array) -> float:
            rate = self.rate[: len(answers)]
            if self.classifies:
                return float((answers.argmax(axis=1) != rate.argmax(axis=1)).mean())
            return output_error(self.task, answers, rate)

        answers = self._run(without, rows=slice(self.first))
        if effect_of(answers) < PLAIN:
            rest = self._run(without, rows=slice(self.first, None))
            answers = np.concatenate([answers, rest])
        effect = effect_of(answers)
        return effect < IDLE, effect

    def _shaped(self, answers: Array, samples: int) -> Array:
        """Answers one after another as a data set has them."""
        if not self.every:
            return answers
        mask = self.held.mask[:samples]
        shaped = np.zeros((*mask.shape, answers.shape[1]))
        shaped[mask] = answers
        return shaped

    def _loss(self, answers: Array, rate: Array, samples: int) -> tuple[float, float, float]:
        """Points of the metric, or percent of the rate model's error, and a 95 % interval."""
        task = self.task if self.classifies else replace(self.task, metric="nrmse")
        y, lengths = self.held.y[:samples], self.lengths[:samples]
        ours, theirs = (self._shaped(a, samples) for a in (answers, rate))
        gain, low, high = gained(paired_with(task, y, ours, theirs, lengths))
        scale = 1.0
        if not self.classifies:
            scale = 100 / max(value_of(task, y, theirs, lengths), LEAST_ERROR)
        return -scale * gain, -scale * high, -scale * low

    def _kept(self, tried: Candidate) -> Candidate:
        """The same, among those that were tried."""
        self.tried.append(tried)
        self._progress.advance(1, f"{tried.what} ({tried.where}): loss {signed(tried.loss)}")
        return tried

    def _measured(
        self,
        what: str,
        where: str,
        answers: Array,
        samples: int,
        steps: int,
        spikes: float | None,
        alike: float,
    ) -> Candidate:
        """A candidate by its answers on the first ``samples`` of those that judge."""
        n = len(answers)
        rate = self.rate[:n]
        loss, low, high = self._loss(answers, rate, samples)
        error = output_error(self.task, answers, rate)
        share: float | None = None
        passed = loss <= self.tolerate
        if self.classifies:
            same = accuracy(answers.argmax(axis=1), rate.argmax(axis=1))
            share = same.value
            if where == LOOP:
                # A few hundred samples leave it open whether 98.7 % are fewer than 99.
                passed = passed and same.high >= alike
            else:
                # One sample of a hundred is a point, more than what is tolerated.
                passed = loss <= self.tolerate + 100 / n and share >= alike
            changed = 100 * np.arctan(error) / np.pi
            near = changed <= max(CHANGED, self.tolerate)
            passed = passed and (len(self.held) >= MANY or bool(near))
        return Candidate(what, where, samples, share, loss, low, high, steps, spikes, passed, error)

    # -- level coding

    def levels(self, target: Target, fixed: Mapping[str, Any]) -> tuple[Options, Candidate] | None:
        """The fewest levels and digits that will do; the best where none will."""
        given = {k: v for k, v in fixed.items() if v is not None and k != "code"}
        self.recording = record(
            self.graph, self.fit_x, self._plan, every=self.every, lengths=self.fit.lengths
        )
        counts = [given["levels"]] if "levels" in given else list(LEVELS)
        if target.capabilities.on_chip:
            counts = [n for n in counts if not through_numbers(self.graph, self._plan, n)]
            if not counts:
                self.refused.append(f"levels: {target.name} cannot hold that many weights")
                return None
        looped: list[tuple[Options, Candidate]] = []
        ran: list[tuple[Options, Candidate]] = []
        too_large: list[tuple[int, int]] = []

        def deployed(options: Options, what: str) -> Candidate | None:
            """As the target runs it; None where it holds nothing that takes so much room."""
            if any(np.all(np.subtract(_room(options), other) >= 0) for other in too_large):
                return None
            confirmed = self._on_target(what, options, target)
            if confirmed is None:
                too_large.append(_room(options))
            else:
                ran.append((options, confirmed))
            return confirmed

        for options, found in self._level_candidates(counts, given, looped):
            confirmed = deployed(options, found.what)
            if confirmed is not None and confirmed.passed:
                return options, confirmed
        if ran:
            return self._least(ran)
        # Those with the least loss, as far as the target has room for them.
        for options, found in sorted(looped, key=lambda one: one[1].rank):
            confirmed = deployed(options, found.what)
            if confirmed is not None:
                return options, confirmed
        return None

    def _level_candidates(
        self,
        counts: Sequence[int],
        given: Mapping[str, Any],
        looped: list[tuple[Options, Candidate]],
    ) -> Iterator[tuple[Options, Candidate]]:
        """Those that may do, in the order of the rule; all that were looped go into ``looped``."""
        digits = [given["input_bits"]] if "input_bits" in given else DIGITS
        few = [count for count in counts if count <= SURE_UP_TO] or counts[:1]

        def looped_with(count: int, bits: int, whole: bool = False) -> tuple[Options, Candidate]:
            looped.append(self._loop(count, bits, given, whole=whole))
            return looped[-1]

        def more(count: int) -> Sequence[int]:
            """Digits beyond the fewest, where there are any at all."""
            return () if through_numbers(self.graph, self._plan, count) else digits[1:]

        def sure(one: tuple[Options, Candidate]) -> bool:
            return one[1].passed and self._surely(one[1])

        out: list[int] = []
        for count in few:
            # More levels cost spikes alone.
            least = looped_with(count, digits[0])
            if sure(least):
                yield least
                continue
            if self.classifies and least[1].what in self._out:
                out.append(count)
                continue
            for one in (looped_with(count, bits) for bits in more(count)):
                if sure(one):
                    # So many levels are enough, and fewer digits cost less where they may do.
                    if least[1].passed and least[1].samples < len(self.held):
                        least = looped_with(count, digits[0], whole=True)
                    if least[1].passed:
                        yield least
                    yield one
        for count in out:
            yield from filter(sure, (looped_with(count, bits) for bits in more(count)))
        unsure = [one for one in looped if one[1].passed and not self._surely(one[1])]
        for options, found in sorted(unsure, key=lambda one: _room(one[0])):
            if found.samples < len(self.held):
                options, found = looped_with(options.levels, options.input_bits, whole=True)
            if found.passed:
                yield options, found
        for count in counts[len(few) :]:
            for bits in (digits[0], *more(count)):
                one = looped_with(count, bits)
                if one[1].passed:
                    yield one

    @staticmethod
    def _least(ran: list[tuple[Options, Candidate]]) -> tuple[Options, Candidate] | None:
        """The candidate that loses least."""
        return min(ran, key=lambda one: one[1].rank, default=None)

    def _surely(self, found: Candidate) -> bool:
        """Whether so many decisions are equal that other samples will hardly show a loss."""
        return found.agreement is None or found.agreement >= self._sure

    @property
    def _sure(self) -> float:
        return SURE_OF_LEARNED if self.learned else SURE

    def _fitted(self, count: int, given: Mapping[str, Any]) -> dict[str, Levels]:
        assert self.recording is not None
        per_unit = bool(given.get("per_unit", False))
        return {
            name: fit_levels(self.graph[name].neuron, outputs, count, per_unit=per_unit)
            for name, outputs in self.recording.outputs.items()
        }

    def _loop(
        self, count: int, digits: int, given: Mapping[str, Any], *, whole: bool = False
    ) -> tuple[Options, Candidate]:
        """So many levels and digits in the rate loop; ``whole`` even if it will not be sure."""
        assert self.recording is not None
        chosen = {**given, "levels": count}
        if through_numbers(self.graph, self._plan, count):
            what, drives = f"{count} levels", dict[str, float]()
        else:
            what, drives = f"{count} levels, {digits} bits in", self.recording.drives
            chosen["input_bits"] = digits
        alter = definition(self.graph, self._fitted(count, given), drives, digits)
        steps, n = self.x.shape[1] * self._plan.steps_per_input, self.first
        answers = self._run(self._split, alter, slice(n))
        tried = self._measured(what, LOOP, answers, n, steps, None, AGREEMENT)
        while n < len(self.held) and not self._hopeless(tried, answers):
            if not whole and not self._may(answers):
                break
            n, some = min(n + self.first, len(self.held)), slice(n, n + self.first)
            answers = np.concatenate([answers, self._run(self._split, alter, some)])
            tried = self._measured(what, LOOP, answers, n, steps, None, AGREEMENT)
        if self._hopeless(tried, answers):
            self._out.add(what)
        return Options(code="level", **chosen), self._kept(tried)

    def _may(self, answers: Array) -> bool:
        """Whether so few of the answers so far differ that it may be sure in the end."""
        if not self.classifies:
            return True
        differ = (answers.argmax(axis=1) != self.rate[: len(answers)].argmax(axis=1)).sum()
        return bool(differ <= (1.0 - self._sure) * len(self.rate))

    def _asked(self, other: Candidate) -> float:
        """The share of equal decisions with which rates take the place of another candidate."""
        return self._sure if other.agreement is None else min(self._sure, other.agreement)

    def _hopeless(self, tried: Candidate, answers: Array, alike: float = AGREEMENT) -> bool:
        """Whether the first samples say already that the others will not make it pass."""
        if tried.low > self.tolerate or tried.agreement is None:
            return tried.low > self.tolerate
        rate = self.rate[: len(answers)]
        return accuracy(answers.argmax(axis=1), rate.argmax(axis=1)).high < alike

    # -- on the target

    def _fits(self, what: str, options: Options, target: Target) -> Model | None:
        """The converted model, if the target can hold it; what does not fit is told once."""
        if options.code == "rate" and self.activity is None:
            self.activity = measure_activity(self.graph, self.fit_x, self.fit.lengths)
        spiking = convert_with(
            self.model,
            options,
            training_inputs=self.fit,
            recording=self.recording,
            activity=self.activity,
        )
        reasons = blocking(target.check(spiking))
        if not reasons:
            return spiking
        refusal = f"{what}: {target.name} cannot hold it ({reasons[0]})"
        if refusal not in self.refused:
            self.refused.append(refusal)
            self._progress.advance(1, refusal)
        return None

    def _on_target(
        self,
        what: str,
        options: Options,
        target: Target,
        *,
        instead_of: Candidate | None = None,
    ) -> Candidate | None:
        """The candidate as the target runs it; None if that cannot hold it.

        With ``instead_of`` on as many samples, and only as long as it may take that one's place.
        """
        spiking = self._fits(what, options, target)
        if spiking is None:
            return None
        alike = self._asked(instead_of) if instead_of else AGREEMENT_ON_TARGET
        timing, longest = spiking.timing, self.x.shape[1]
        outputs = np.zeros((0, longest, spiking.graph.output_size))
        spikes, steps = 0.0, timing.total_steps(longest)
        with closing(_Deployed(target, spiking)) as deployed:
            most = instead_of.samples if instead_of else self._most(spiking.graph, steps)
            for count in _stages(min(most, len(self.x))):
                more, spent = self._run_on(deployed, slice(len(outputs), count))
                outputs, spikes = np.concatenate([outputs, more]), spikes + spent
                answers = self._last(outputs)
                tried = self._measured(
                    what, target.name, answers, count, steps, spikes / count, AGREEMENT_ON_TARGET
                )
                if self._hopeless(tried, answers, alike):
                    self._out |= {what} if instead_of else set()
                    break
        return self._kept(tried)

    def _most(self, spiking: Graph, steps: int) -> int:
        """So many samples can be run on a target."""
        weights = sum(
            p.transform.connections(self.graph[p.pre].size) for p in self.graph.projections
        )
        neurons = sum(p.size for p in spiking.spiking)
        budget = int(
            min(TARGET_BUDGET / max(1, steps * weights), NEURON_BUDGET / max(1, steps * neurons))
        )
        return min(self.confirm, max(FEWEST_RUN, budget))

    def _last(self, outputs: Array) -> Array:
        """The answers among outputs (samples, inputs, n) of the first samples."""
        count = len(outputs)
        last = (np.arange(count), self.lengths[:count] - 1)
        answers: Array = outputs[self.held.mask[:count] if self.every else last]
        return answers

    def _run_on(self, deployed: _Deployed, samples: slice) -> tuple[Array, float]:
        """Outputs at the end of each input, and all spikes, of some samples."""
        x, timing = self.x[samples], deployed.model.timing
        lengths, longest = self.lengths[samples], x.shape[1]
        outputs = np.zeros((len(x), longest, deployed.model.graph.output_size))
        spikes = 0.0
        # The last input stays while the readout settles, and padding would take its place.
        apart = timing.settle_steps and not self.every
        for last in np.unique(lengths).tolist() if apart else [longest]:
            rows = np.flatnonzero(lengths == last) if apart else np.arange(len(x))
            for part, run in _batches(deployed.of(last), x[:, :last], rows):
                outputs[part, :last] = run.outputs[:, timing.presentation_ends(last)]
                spikes += sum(float(counts.sum()) for counts in run.spikes.values())
        return outputs, spikes

    # -- rate coding

    def rates(
        self, target: Target, fixed: Mapping[str, Any], idle: bool, *, shorter: bool
    ) -> tuple[Options, Candidate] | None:
        """The fewest steps with which rates will do; the best where none will.

        With ``shorter`` only those that take fewer steps than levels do; else what is left.
        """
        weights = sum(
            p.transform.connections(self.graph[p.pre].size) for p in self.graph.projections
        )
        inputs = self.x.shape[1]
        best: tuple[Options, Candidate] | None = None
        for what, options in self._rate_candidates(target, fixed, idle):
            steps = options.steps_per_input * inputs + options.settle_steps
            if what in self._rated or (shorter and steps >= self._plan.steps_per_input * inputs):
                continue
            self._rated.add(what)
            if best is not None and steps * weights * FEWEST_RUN > TARGET_BUDGET:
                self._progress.advance(0, f"{what}: {steps:,} steps are too long to be tried")
                continue
            found = self._on_target(what, options, target)
            if found is None:
                continue
            if best is None or found.rank < best[1].rank:
                best = options, found
            if found.passed:
                return options, found
        return best

    def thriftier(
        self,
        target: Target,
        fixed: Mapping[str, Any],
        idle: bool,
        best: tuple[Options, Candidate],
    ) -> tuple[Options, Candidate]:
        """Rates that are as fast as ``best`` but for a few steps and spike less; else ``best``.

        Those with the fewest steps that decide as surely like the rate model as levels have to, or
        as ``best`` does; where none do, those of which that cannot be ruled out.
        """
        inputs, ran = self.x.shape[1], list[tuple[Options, Candidate]]()
        asked = self._asked(best[1])
        for what, options in self._rate_candidates(target, fixed, idle):
            steps = options.steps_per_input * inputs + options.settle_steps
            if what in self._rated or steps > AS_FAST * best[1].steps:
                continue
            self._rated.add(what)
            found = self._on_target(what, options, target, instead_of=best[1])
            if found is None or not found.passed or what in self._out:
                continue
            if (found.spikes or 0.0) < (best[1].spikes or 0.0):
                ran.append((options, found))
                if found.agreement is None or found.agreement >= asked:
                    return ran[-1]
        return min(ran, key=lambda one: one[1].rank, default=best)

    def _rate_candidates(
        self, target: Target, fixed: Mapping[str, Any], idle: bool
    ) -> Iterator[tuple[str, Options]]:
        suggested, on_chip = target.defaults.chosen(), target.capabilities.on_chip
        given = {k: v for k, v in fixed.items() if v is not None}
        if self.every or gathers(self.graph):
            # An answer forms while its input is shown; the usual times, shorter and longer.
            usual = default_options(self.model)
            for steps in PRESENTATIONS:
                share = steps / usual.steps_per_input
                own = {
                    "steps_per_input": steps,
                    "settle_steps": usual.settle_steps,
                    "readout_tau": share * usual.readout_tau,
                    "synapse_tau": share * usual.synapse_tau,
                }
                options = default_options(
                    self.model, {**suggested, **own}, on_chip=on_chip, **given
                )
                yield f"rates, {options.steps_per_input} step(s) an input", options
            return
        one = idle or not feeds_back(rate_model(self.model))
        # Without memory the times between layers follow from those to settle.
        remembers = any(p.delay for p in self.graph.projections)
        for steps in (1,) if one else PRESENTATIONS:
            for settle in SETTLING if one else (max(20, 5 * steps),):
                own = {
                    "steps_per_input": steps,
                    "settle_steps": settle,
                    "readout_tau": settle / 5 * self.model.timing.dt,
                }
                if remembers:
                    own["synapse_tau"] = max(0.005, steps / 5 * self.model.timing.dt)
                options = default_options(
                    self.model, {**suggested, **own}, on_chip=on_chip, **given
                )
                words = f"rates, {options.steps_per_input} step(s) an input"
                yield f"{words}, {options.settle_steps} to settle", options


LOOP = "rate loop"

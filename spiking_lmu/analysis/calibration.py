"""Which form, firing rates, readout filter and settle steps suit one target: the search.

Steps an input and synapses come first, and levels last (:mod:`.forms`).  Between them, rates:
cheapest evaluations first.  The target's response curves alone, without dynamics, *screen* many
rates: all populations together, then one after another (coordinate search).  The best few, and
the rate that would have been taken without a search, then run on the target itself.  That
starts with few images; twice as many for the better half, until one or two have seen them all
(successive halving: Jamieson & Talwalkar, "Non-stochastic best arm identification and
hyperparameter optimization", AISTATS 2016).  Each run gives all settle steps and filters.

Of two results the one that loses fewer decisions against the rate model is better.  But a
difference of no more than one standard error, the root of the number of samples that exactly one
of the two decides rightly, plus one, is noise; there the smaller relative error of the outputs
decides.  Decisions gained are as good as none lost: to repeat the rate model is all that a
conversion can do but by chance, and among many timings some gain by chance.  A regression decides
nothing, and goes by the relative error alone.

What a rate gives is told by an `Evaluator`, so that the search knows nothing of targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import sqrt
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import numpy as np

from spiking_lmu.backends.convert import SAMPLES as ACTIVITY_SAMPLES
from spiking_lmu.backends.convert import choose_options
from spiking_lmu.backends.rate import last_step_alone
from spiking_lmu.backends.registry import given_target
from spiking_lmu.backends.target import Target
from spiking_lmu.compat import environment
from spiking_lmu.conversion.convert import Options, convert, rate_model, spiking_graph
from spiking_lmu.conversion.measure import activity_on
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError, require_at_least
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model, require_model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import MakeStepper, run_reference
from spiking_lmu.graph.timing import Timing
from spiking_lmu.runs.result import Result
from spiking_lmu.runs.runner import Job
from spiking_lmu.runs.service import RunService, RunSettings, open_service

from .choice import wants_code
from .fitting import require_fit
from .forms import (
    FAR,
    Form,
    affordable,
    feedbacks,
    in_words,
    levels,
    presentations,
    run_levels,
    synapses,
)
from .metrics import answers_alone, right
from .samples import LEAST, held_out, name_of
from .statistics import relative_error
from .tradeoff import (
    CHOICES,
    READOUT_TAUS,
    SETTLE_STEPS,
    ByBest,
    Grid,
    Point,
    grid_for,
    pick,
    run_tradeoff,
)

#: Firing rates that are tried, in Hz: half an octave apart.
RATES = (22.0, 31.0, 44.0, 62.0, 88.0, 125.0, 177.0, 250.0, 354.0, 500.0, 707.0, 1000.0, 1414.0)
CRITERION = (
    "decisions lost against the rate model on training images, none if some are gained; where "
    "the difference is within one standard error, relative error of the outputs"
)
#: Samples of a response curve's evaluation that are computed at once.
BATCH = 250
#: Rate neurons whose counterparts fire as they were trained, whatever rate is asked for.
FIXED = ("linear", "lif_rate", "soft_lif")
#: Training samples on which timings and rates are compared.
SAMPLES = 256
Rates = dict[str, float]
Report = Callable[[str, int | None], None]
Compared = TypeVar("Compared", bound="Scored")


class Scored(Protocol):
    """What candidates are compared by; a `Point` is one."""

    @property
    def lost(self) -> int:
        """Right decisions of the rate model minus one's own."""

    @property
    def disagreements(self) -> int:
        """Answers that exactly one of the two decides rightly."""

    @property
    def relative_error(self) -> float:
        """Of the outputs against the rate model's."""


@dataclass(frozen=True)
class Screened:
    """Rates, in Hz by population, and what their response curves alone lose."""

    rates: Rates
    lost: int
    disagreements: int
    relative_error: float


@dataclass(frozen=True)
class Trial(ByBest):
    """Rates that ran on the target, on so many samples, and all points that this gave."""

    rates: Rates
    samples: int
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The point that the search goes by."""
        return ranked(self.points)[0]


class Evaluator(Protocol):
    """Tells what rates give."""

    def screen(self, rates: Rates) -> Screened:
        """From response curves alone, on all samples."""

    def run(self, rates: Rates, samples: int) -> tuple[Point, ...]:
        """All timings, on the first so many samples, on the target."""


@dataclass(frozen=True)
class SearchBudget:
    """How much to try.

    Parameters
    ----------
    populations
        Those whose rates are to be found; may be empty.
    usual
        The rate in Hz without a search; always among those that run.
    samples
        So many images in the last round.
    rates
        Tried for every population, in Hz.
    finalists
        How many rates start on the target.
    first
        Images of the first round, if there are several rounds.
    sweeps
        At most so often is every population's rate searched by itself.
    """

    populations: tuple[str, ...]
    usual: float
    samples: int = 256
    rates: tuple[float, ...] = RATES
    finalists: int = 6
    first: int = 64
    sweeps: int = 2

    def __post_init__(self) -> None:
        for name in ("samples", "first", "finalists"):
            if getattr(self, name) < 1:
                raise SpecError(
                    name,
                    got=str(getattr(self, name)),
                    expected="at least 1",
                    fix="try calibration_samples=256",
                )


@dataclass(frozen=True)
class Calibration:
    """What was chosen, and all that was tried.

    Parameters
    ----------
    rates
        In Hz by population.
    point
        The timing, with what it lost on the images of the last round.
    screened
        In the order in which they were tried.
    rounds
        Of runs on the target, each best first.
    forms
        Steps an input, synapses and levels that were tried on the target; empty where there was
        nothing to vary.
    """

    rates: Rates
    point: Point
    screened: tuple[Screened, ...]
    rounds: tuple[tuple[Trial, ...], ...] = field(default=())
    forms: tuple[Form, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything, compact and JSON-safe: a point is a row of the named columns."""
        return {
            "criterion": CRITERION,
            "chosen": {"rates": self.rates, **_row(self.point)},
            "screened": [
                {"rates": s.rates, "lost": s.lost, "relative_error": round(s.relative_error, 5)}
                for s in self.screened
            ],
            "columns": list(_row(self.point)),
            "rounds": [
                {
                    "samples": trials[0].samples,
                    "trials": [
                        {"rates": t.rates, "points": [list(_row(p).values()) for p in t.points]}
                        for t in trials
                    ],
                }
                for trials in self.rounds
            ],
            "forms": [
                {"what": form.what, "samples": form.samples, **_row(form.best)}
                for form in self.forms
            ],
        }


def search(
    budget: SearchBudget,
    evaluator: Evaluator,
    how: str = "best",
    report: Report = lambda _text, _samples: None,
) -> Calibration:
    """Find rates and a timing.

    Parameters
    ----------
    budget, evaluator
        How much to try, and who tells what it gives.
    how
        Which point of the last round is taken: see :func:`spiking_lmu.analysis.tradeoff.pick`;
        for ``best``, the best by this module's criterion.
    report
        Told in a few words what is about to be evaluated, and on how many samples the target
        will run for it (None: it will not).
    """
    screened = _screen(budget, evaluator, report)
    usual = dict.fromkeys(budget.populations, budget.usual)
    candidates = [s.rates for s in ranked(screened)[: budget.finalists]]
    if usual not in candidates:
        candidates = [*candidates[: max(1, budget.finalists - 1)], usual]
    rounds = []
    samples = budget.samples if len(candidates) == 1 else min(budget.first, budget.samples)
    while True:
        trials = []
        for number, rates in enumerate(candidates):
            report(f"on the target, rates {number + 1} of {len(candidates)}", samples)
            trials.append(Trial(rates, samples, tuple(evaluator.run(rates, samples))))
        trials = ranked(trials)
        rounds.append(tuple(trials))
        if samples >= budget.samples:
            break
        candidates = [t.rates for t in trials[: max(2, (len(trials) + 1) // 2)]]
        samples = min(2 * samples, budget.samples)
    points = [point for trial in rounds[-1] for point in trial.points]
    point = ranked(points)[0] if how == "best" else pick(points, how)
    rates = next(t.rates for t in rounds[-1] if any(p is point for p in t.points))
    return Calibration(rates, point, tuple(screened), tuple(rounds))


def ranked(results: Sequence[Compared]) -> list[Compared]:
    """Best first, by the criterion of this module."""
    if not results:
        return []
    best = min(results, key=lambda result: (_lost(result), result.relative_error))
    noise = sqrt(best.disagreements + 1)

    def key(result: Compared) -> tuple[int, float]:
        more = _lost(result) - _lost(best)
        return more if more > noise else 0, result.relative_error

    return sorted(results, key=key)


def _lost(result: Scored) -> int:
    return max(result.lost, 0)


def _screen(budget: SearchBudget, evaluator: Evaluator, report: Report) -> list[Screened]:
    """Response curves: all populations together, then each by itself from the best so far."""
    known: dict[tuple[float, ...], Screened] = {}

    def screen(rates: Rates) -> Screened:
        key = tuple(rates.values())
        if key not in known:
            named = ", ".join(f"{name} {rate:g} Hz" for name, rate in rates.items())
            report(f"response curve: {named}", None)
            known[key] = evaluator.screen(rates)
        return known[key]

    names = budget.populations
    if not names:
        return []
    best = ranked([screen(dict.fromkeys(names, rate)) for rate in budget.rates])[0]
    for _ in range(budget.sweeps if len(names) > 1 else 0):
        before = best
        for name in names:
            line = [screen({**best.rates, name: rate}) for rate in budget.rates]
            best = ranked([best, *line])[0]
        if best is before:
            break
    return list(known.values())


def _row(point: Point) -> dict[str, float | int]:
    return {
        "settle_steps": point.settle_steps,
        "readout_tau": point.readout_tau,
        "value": round(point.value, 6),
        "lost": point.lost,
        "relative_error": round(point.relative_error, 5),
        "spikes": round(point.spikes, 1),
    }


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
        Everything of the conversion that is not searched; among it rates of single populations.
    job
        The target whose response curves and runs count, with its options.
    data
        Training samples in random order.
    grid
        Settle steps and filters.
    service
        Runs them; its seed is also that of the noise in response curves.
    name
        Of the model, for progress.
    """

    def __init__(
        self,
        model: Model,
        options: Options,
        job: Job,
        data: Dataset,
        grid: Grid,
        service: RunService,
        name: str = "model",
    ) -> None:
        self._model, self._options, self._job = model, options, job
        self._data, self._grid, self._service, self._name = data, grid, service, name
        self._doing = ""

    def note(self, text: str, samples: int | None) -> None:
        """What is about to be evaluated, for progress."""
        self._doing = f" · {text}"

    @cached_property
    def _wanted(self) -> Array:
        """Outputs of the rate model, as the task has them."""
        rows = self._service.rate(self._name, self._model, self._data).rows()
        return rows.reshape(len(rows), -1, self._model.graph.output_size) if self._every else rows

    @property
    def _every(self) -> bool:
        return self._model.task.every

    def _with(self, rates: Mapping[str, float]) -> Options:
        return replace(self._options, rates={**self._options.rates, **rates})

    def screen(self, rates: Mapping[str, float]) -> Screened:
        """Outputs from response curves (`response_outputs`) against the rate model's."""
        graph, _ = spiking_graph(self._model, self._with(rates), self._model.activity)
        dt = self._model.timing.dt
        seed, data, task = self._service.settings.seed, self._data, self._data.task
        x, y, lengths = self._model.scaled(data.x), data.y, data.lengths
        steps = window(self._grid, dt, self._options.steps_per_input if self._every else None)
        cells = response_cells(self._job.target, steps, seed)
        starts = range(0, len(x), BATCH)
        parts = [
            response_answers(
                graph, x[i : i + BATCH], lengths[i : i + BATCH], dt, cells, self._every
            )
            for i in starts
        ]
        got, wanted = np.concatenate(parts), self._wanted
        ours, theirs = right(task, y, got, lengths), right(task, y, wanted, lengths)
        return Screened(
            rates=dict(rates),
            lost=int(theirs.sum()) - int(ours.sum()),
            disagreements=int((ours != theirs).sum()),
            relative_error=relative_error(
                *(answers_alone(task, values, lengths) for values in (got, wanted))
            ),
        )

    def run(self, rates: Mapping[str, float], samples: int) -> tuple[Point, ...]:
        """All timings of the grid, from one run on the target."""
        spiking = convert(self._model, self._with(rates))
        job = replace(self._job, samples=samples)
        name = self._name + self._doing
        found = run_tradeoff(name, spiking, job, self._data, self._service, self._grid)
        return found.points


def window(grid: Grid, dt: float, presented: int | None = None) -> float:
    """Steps that the readout averages over at best.

    A lowpass of τ averages as well as the mean of 2τ/dt steps does, if it had the time: until
    the readout has settled, or for the ``presented`` steps that each answer has.
    """
    longest = grid.settle_steps[-1] + 1 if presented is None else presented
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


def response_answers(
    graph: Graph, x: Array, lengths: Array, dt: float, cells: MakeStepper, every: bool
) -> Array:
    """`response_outputs` at the end of each sample, or outputs at every input.

    Without dynamics nothing at one input depends on what is padded after it.
    """
    inputs = x.shape[1]
    if not every and (lengths == inputs).all():
        return response_outputs(graph, x, dt, cells)
    outputs = run_reference(graph, x, Timing(dt=dt), cells=cells)
    return outputs if every else outputs[np.arange(len(x)), lengths - 1]


@dataclass(frozen=True, eq=False)
class CalibrationResult(Result):
    """A spiking model whose rates and timing suit one target, and how they were found.

    Parameters
    ----------
    model
        The spiking model.
    options
        Of its conversion.
    target, data
        Names of the target and of the training data.
    samples
        Of the last round.
    search
        What was chosen, and all that was tried.
    """

    model: Model
    options: Options
    target: str
    data: str
    samples: int
    search: Calibration


def calibrate(
    model: Model,
    data: Dataset,
    target: str | Target | None = None,
    *,
    pick: str = "best",
    calibration_samples: int = SAMPLES,
    training_samples: int | None = None,
    source: str = "",
    settings: RunSettings | None = None,
    **choices: Any,
) -> CalibrationResult:
    """Convert with the rates, times and synapses, or the levels, that suit ``target``.

    ``calibrate(rate, data.train, target="loihi").model`` is the converted model.  Firing rates,
    settle steps and readout filter are searched for every network; steps an input and synapses
    where they matter; and levels where rates lose more than chance explains.

    Parameters
    ----------
    model
        A rate model.
    data
        Training samples, never test samples.  Where the model says which of them were held out
        of its training, those are taken.
    target
        Its name or itself; the one that changes a model most if not given.
    pick
        ``best``, the most accurate timing; ``knee``, where more steps begin to pay less; or
        ``fastest``, the fastest within half a point of the best.
    calibration_samples
        So many training samples.
    training_samples
        Measure activity anew, on so many; if not given, that of the model is used where it brings
        any.
    source
        Name of the model, for the record.
    settings
        How samples are run.
    choices
        Options of the conversion by name, which stay as they are: a ``max_rate``, a rate in
        ``rates`` or a ``readout_tau`` that is given is not searched.

    Raises
    ------
    SpecError
        A model that spikes, or a value outside its range.
    DatasetError
        Data that do not fit the model.
    TargetError
        The target is unknown, cannot run here, or refuses the model.
    """
    settings = RunSettings.of(settings, {})
    require_calibratable(model)
    require_fit(source or name_of(model), model, data)
    if pick not in CHOICES:
        raise SpecError(
            "pick", got=repr(pick), expected="one of " + ", ".join(CHOICES), fix="try pick=best"
        )
    require_at_least("calibration_samples", calibration_samples, 1)
    place = given_target(target)
    (options,) = settings.options_for([place])
    measured = None
    if training_samples is None and not model.activity:
        training_samples = ACTIVITY_SAMPLES
    if training_samples is not None:
        measured = data.draw(min(training_samples, len(data)), settings.seed)
        model = rate_model(model)
        model = replace(model, activity=activity_on(model, measured))
    usual = choose_options(model, [place], choices)
    drawn = calibration_data(model, data, calibration_samples, settings.seed)
    job = Job(place, options=options, verify=0)
    name = source or name_of(model)
    with _kept(settings) as kept, open_service(kept) as service:

        def leveled() -> tuple[Form, Model] | None:
            # Levels are fitted to other samples than those that judge.
            others = np.flatnonzero(~np.isin(data.indices, drawn.indices))
            rest = data.subset(others) if len(others) >= LEAST else data

            def run(spiking: Model, what: str) -> Point:
                return run_levels(f"{name} · {what}", spiking, job, drawn, service)

            return levels(model, rest, place, choices, run, len(drawn.y), source)

        if usual.code == "level":
            coded = leveled()
            if coded is None:
                raise SpecError(
                    "code",
                    got="'level'",
                    expected=f"levels that {place.name} can hold, and {LEAST} samples or more",
                    fix="leave code out, or give more samples",
                )
            found = Calibration({}, coded[0].best, (), (), (coded[0],))
        else:
            trials = _Trials(model, usual, choices, job, drawn, service, name)
            usual, found = trials.search(pick)
            coded = None
            if wants_code(choices, "level") and not _holds(found.point):
                coded = leveled()
            if coded is not None:
                found = replace(found, forms=(*found.forms, coded[0]))
                if ranked([found.point, coded[0].best])[0] is found.point:
                    coded = None
    if coded is not None:
        found = replace(found, rates={}, point=coded[0].best)
    grid = trials.grid(usual) if usual.code == "rate" else None
    record = {
        "target": place.name,
        "data": f"{data.name} {data.split}",
        "samples": len(drawn.y),
        "seed": settings.seed,
        "pick": pick,
        "grid": None if grid is None else asdict(grid),
        **found.to_dict(),
    }
    if coded is not None:
        chosen, spiking = coded[0].options, coded[1]
        measured = data
    else:
        chosen = chosen_options(usual, found)
        spiking = convert(model, chosen, training_inputs=measured, source=source)
    spiking.provenance["conversion"] |= {
        "environment": environment(),
        "training_data": None if measured is None else measured.what,
        "seed": settings.seed,
        "calibration": record,
    }
    return CalibrationResult(spiking, chosen, place.name, data.name, len(drawn.y), found)


def _holds(point: Point) -> bool:
    """Whether nothing is lost but by chance, and the outputs are near the rate model's."""
    return point.lost <= sqrt(point.disagreements + 1) and point.relative_error < FAR


@dataclass(frozen=True, eq=False)
class _Trials:
    """Rate-coded conversions of one model, run on the samples of a calibration."""

    model: Model
    usual: Options
    given: Mapping[str, Any]
    job: Job
    data: Dataset
    service: RunService
    name: str

    def grid(self, options: Options) -> Grid:
        """Settle steps and filters that are looked at."""
        open_steps = SETTLE_STEPS if self.given.get("settle_steps") is None else ()
        open_taus = READOUT_TAUS if self.given.get("readout_tau") is None else ()
        return grid_for(
            self.model,
            (*open_steps, options.settle_steps),
            (*open_taus, options.readout_tau),
            Timing(options.steps_per_input, options.settle_steps, options.readout_tau, options.dt),
        )

    def evaluator(self, options: Options) -> TargetEvaluator:
        """That of one form."""
        return TargetEvaluator(
            self.model, options, self.job, self.data, self.grid(options), self.service, self.name
        )

    def search(self, pick: str) -> tuple[Options, Calibration]:
        """The form, and its rates and timing."""
        whole = len(self.data.y)
        open_rates = self._open_rates if self.given.get("max_rate") is None else ()
        budget = SearchBudget(open_rates, self.usual.max_rate, samples=whole)
        form, tried = self.form(min(budget.first, whole))
        evaluator = self.evaluator(form)
        found = search(budget, evaluator, pick, evaluator.note)
        return form, replace(found, forms=tried)

    @property
    def _open_rates(self) -> tuple[str, ...]:
        """Populations whose rate is not given."""
        return tuple(name for name in searchable(self.model) if name not in self.usual.rates)

    def form(self, samples: int) -> tuple[Options, tuple[Form, ...]]:
        """Steps an input, feedback, synapses, at the usual rates; each the best that was tried."""
        best, tried = self.usual, list[Form]()
        for variations in (presentations, feedbacks, synapses):
            several = [best, *(o for o in variations(self.model, best, self.given) if o != best)]
            inputs = self.data.x.shape[1]
            several = [
                o for o in several if o == best or affordable(self.model, o, inputs, samples)
            ]
            if len(several) == 1:
                continue
            forms = [self._run(options, samples) for options in several]
            tried += [form for form in forms if form.what not in {t.what for t in tried}]
            best = ranked(forms)[0].options
        return best, tuple(tried)

    def _run(self, options: Options, samples: int) -> Form:
        evaluator = self.evaluator(options)
        what = in_words(options)
        evaluator.note(what, samples)
        usual = dict.fromkeys(self._open_rates, options.max_rate)
        return Form(what, options, samples, ranked(evaluator.run(usual, samples))[0])


def require_calibratable(model: Model) -> None:
    """Raise a SpecError unless ``model`` is a rate model."""
    require_model(model)
    if model.graph.spiking:
        raise SpecError(
            "model to calibrate",
            got="a spiking model",
            expected="a rate model",
            fix="choose the rate model that it was converted from",
        )


@contextmanager
def _kept(settings: RunSettings) -> Iterator[RunSettings]:
    """With a journal in any case: rounds with more samples go on from those with fewer."""
    if settings.journal is not None:
        yield settings
        return
    with TemporaryDirectory() as folder:
        yield replace(settings, journal=folder)


def calibration_data(model: Model, data: Dataset, samples: int, seed: int) -> Dataset:
    """Samples drawn from training data: from those that were held out of training, if known."""
    kept = held_out(model, data)
    if len(kept) < samples:
        return data.draw(min(samples, len(data)), seed)
    return data.subset(kept[np.random.default_rng(seed).permutation(len(kept))[:samples]])


def chosen_options(usual: Options, found: Calibration) -> Options:
    """``usual`` with what was found; a rate that all populations have is the one for all."""
    rates = set(found.rates.values())
    same = rates.pop() if len(rates) == 1 else None
    return replace(
        usual,
        max_rate=usual.max_rate if same is None else same,
        rates={**usual.rates, **(found.rates if same is None else {})},
        settle_steps=found.point.settle_steps,
        readout_tau=found.point.readout_tau,
    )

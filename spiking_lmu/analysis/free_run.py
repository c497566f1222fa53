"""A network left to its own predictions: what it answers is its next input.

For the first ``prompt`` inputs it sees a series, and from then on its own answers.  A network that
predicts a chaotic series must lose it some time: errors grow by a factor of e in one Lyapunov time.
How long it stays near says more than the error of one step, of which the loop hides nothing.

The loop is a part of the network that runs (:mod:`spiking_lmu.graph.closed_loop`), so that a target
runs it as it runs everything, and is verified as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spiking_lmu.backends.rate import RATE
from spiking_lmu.backends.registry import given_target
from spiking_lmu.backends.target import Target
from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import DatasetError, SpecError, TargetError, require_whole
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.closed_loop import close_loop
from spiking_lmu.graph.model import Model, require_model
from spiking_lmu.graph.task import Task
from spiking_lmu.runs.result import Result

from .check import require_possible
from .fitting import require_fit
from .samples import draw, name_of

#: Names of what stands beside the target in every table.
PERSISTENCE, FORCED, RATE_NAME = "persistence", "rate, led throughout", "rate"
#: A prediction is lost where its error is more than this share of the series' standard deviation
#: (J. Pathak and others, *Model-free prediction of large spatiotemporally chaotic systems from
#: data*, Physical Review Letters 120, 2018, 024102).
LOST = 0.4
#: Data sets drawn from the series for an interval.
DRAWS = 2000
REGRESSION = Task("regression", "every")


@dataclass(frozen=True)
class Estimate:
    """A mean over series with its 95 % interval, by the percentile bootstrap over series."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, eq=False)
class FreeRun(Result):
    """Series, and what was made of them by a network that sees its own answers.

    Parameters
    ----------
    model, data, target
        Names.
    prompt
        Inputs of the series that the network saw.
    truth
        How the series went on, (series, steps, channels).
    spread
        Standard deviation of each channel over all inputs of all series, (channels,).
    predictions
        By name, each as ``truth``: ``rate`` and the target, that saw their own answers from the
        end of the prompt on; ``rate, led throughout``, whose every answer is to the series; and
        ``persistence``, which repeats the last value of the prompt.
    inputs
        By name, of those that ran by themselves: what the network saw, scaled as it takes them,
        (series, inputs, channels).  Fed to the network they give the same run.
    spikes, host_spikes
        Mean of a series on the target, all inputs; None without spikes, or without a chip.
    steps_per_input
        Simulation steps.
    verified
        So many series had the same spikes on the backend's own simulator.
    """

    model: str
    data: str
    target: str
    prompt: int
    truth: Array
    spread: Array
    predictions: dict[str, Array]
    inputs: dict[str, Array]
    spikes: float | None
    host_spikes: float | None
    steps_per_input: int
    verified: int

    @property
    def steps(self) -> int:
        """Inputs that the network went on for."""
        return int(self.truth.shape[1])

    def errors(self, name: str) -> Array:
        """Of each series at each step, over the spread: (series, steps)."""
        with np.errstate(over="ignore", invalid="ignore"):
            error = (self.predictions[name] - self.truth) / self.spread
            size: Array = np.sqrt((error**2).mean(axis=2))
        return np.where(np.isfinite(size), size, np.inf)

    def nrmse(self, name: str, step: int) -> Estimate:
        """Root mean square of the errors at one step, 1 for the first after the prompt.

        Raises
        ------
        SpecError
            ``step`` is beyond the end.
        """
        require_whole("step", step, 1, self.steps)
        with np.errstate(over="ignore"):
            return _estimate(self.errors(name)[:, step - 1] ** 2, root=True)

    def valid_steps(self, name: str) -> Array:
        """For each series the steps before its error is more than :data:`LOST`; (series,)."""
        lost = self.errors(name) > LOST
        return np.where(lost.any(axis=1), lost.argmax(axis=1), self.steps)

    def valid(self, name: str) -> Estimate:
        """Mean of :meth:`valid_steps`; too small where some are as many as were run."""
        return _estimate(self.valid_steps(name).astype(float))


def free_run(
    model: Model,
    data: Dataset,
    prompt: int,
    target: str | Target | None = None,
    *,
    samples: int | None = None,
    seed: int = 0,
    verify: int = 1,
    name: str = "",
    **options: Any,
) -> FreeRun:
    """Show a network the beginning of a series, and have it go on by itself.

    ::

        data = datasets.load("mackey-glass?ahead=1")
        rate = train(data, cell="recurrent").model
        spiking = convert(rate, code="level", levels=33, data=data.train)
        print(free_run(spiking, data.test, prompt=500, target="reference"))

    Parameters
    ----------
    model
        A rate or a spiking model that predicts its next input at every input.
    data
        Series of one length; their answers are the next inputs.
    prompt
        Inputs that it sees; the rest of each series is what its own are compared with.
    target
        Its name or itself; the one that changes a model most if not given.  A rate model runs in
        NumPy alone.
    samples, seed
        So many series, drawn with the seed; all if not given.
    verify
        So many series must be identical, spike for spike, on the backend's own simulator.
    name
        Of the model, for tables.
    options
        Of the target, such as ``engine="stock"``.

    Raises
    ------
    SpecError
        A model that does not answer with as many numbers as it takes, at every input; or a prompt
        that leaves nothing to go on with.
    DatasetError
        Data that do not fit the model, are of several lengths, or whose answers are not the next
        inputs.
    TargetError
        The target is unknown, cannot run here, or refuses the model; or its answers come too late
        to be the next input.
    """
    require_model(model)
    name = name or name_of(model)
    if model.task.identity != REGRESSION.identity:
        raise SpecError(
            f"task of {name}",
            got=str(model.task),
            expected=f"{REGRESSION}: the next input, at each input",
            fix="train it on data whose answers are the next inputs",
        )
    require_fit(name, model, data)
    data = draw(data, samples, seed)
    _require_next(data, prompt)
    x = np.asarray(data.x, dtype=float)
    rate = model.rate_model
    spread = x.std(axis=(0, 1))
    led = run_rate(rate.graph, rate.scaled(x))
    by_itself = {RATE_NAME: _run(rate, x, prompt, RATE, seed, 0, {})}
    place, verified = RATE_NAME, 0
    spikes = host = None
    if model.graph.spiking:
        chosen = given_target(target)
        place = chosen.name
        _require_in_time(name, model, chosen)
        by_itself[place] = ran = _run(model, x, prompt, chosen, seed, verify, options)
        spikes, host, verified = ran.spikes, ran.host_spikes, ran.verified
    elif target is not None and target != RATE_NAME:
        raise SpecError(
            "target",
            got=f"{target if isinstance(target, str) else target.name} for a rate model",
            expected="a spiking model",
            fix="convert the model, or leave target out",
        )
    still = np.repeat(x[:, prompt - 1 : prompt], x.shape[1] - prompt, axis=1)
    return FreeRun(
        model=name,
        data=data.what,
        target=place,
        prompt=prompt,
        truth=x[:, prompt:],
        spread=np.where(spread > 0, spread, 1.0),
        predictions={
            PERSISTENCE: still,
            FORCED: led[:, prompt - 1 : -1],
            **{key: ran.answers[:, prompt:] for key, ran in by_itself.items()},
        },
        inputs={key: ran.inputs for key, ran in by_itself.items()},
        spikes=spikes,
        host_spikes=host,
        steps_per_input=model.timing.steps_per_input,
        verified=verified,
    )


@dataclass(frozen=True, eq=False)
class _Ran:
    """A network with its loop closed: answers and inputs are (series, inputs, channels)."""

    answers: Array
    inputs: Array
    spikes: float | None
    host_spikes: float | None
    verified: int


def _run(
    model: Model,
    x: Array,
    prompt: int,
    target: Target,
    seed: int,
    verify: int,
    options: dict[str, Any],
) -> _Ran:
    """Lead ``model`` with the first inputs of ``x``, then let it go."""
    ranges = np.ones(x.shape[2]) if model.scaling is None else np.asarray(model.scaling.range)
    looped = Model(
        close_loop(model.graph, prompt, ranges, model.timing.readout_tau),
        replace(model.timing, readout_tau=0.0, settle_steps=0),
        REGRESSION,
        model.activity,
    )
    require_possible({"": looped}, [target])
    given, total = np.array(model.scaled(x)), x.shape[1]
    # What is added to an answer over the range is the scaled zero.
    given[:, prompt:] = model.scaled(np.zeros_like(x[:1, :1]))
    outputs, spikes, host, verified = [], [], [], 0
    with target.deploy(looped, total, seed=seed, **options) as deployment:
        for start in range(0, len(given), deployment.batch_size):
            part = given[start : start + deployment.batch_size]
            run = deployment.run(part)
            count = min(len(part), verify - verified) if deployment.verifies else 0
            if count:
                rows = list(range(count))
                deployment.verify(part[rows], run.take(rows))
                verified += count
            outputs.append(run.outputs[:, looped.timing.presentation_ends(total)])
            spikes += [sum(counts.sum() for counts in run.spikes.values())] if run.spikes else []
            host += [sum(c.sum() for c in run.host_spikes.values())] if run.host_spikes else []
    answers = np.concatenate(outputs)
    inputs = given.copy()
    inputs[:, prompt:] += (answers * (1.0 / ranges))[:, prompt:]
    return _Ran(
        answers,
        inputs,
        float(sum(spikes)) / len(given) if spikes else None,
        float(sum(host)) / len(given) if host else None,
        verified,
    )


def _require_next(data: Dataset, prompt: int) -> None:
    """Raise unless there is something to go on with, and the answers are the next inputs."""
    inputs = data.x.shape[1]
    there = np.arange(1, inputs) < np.asarray(data.lengths)[:, None]
    if not np.allclose(data.y[:, :-1][there], data.x[:, 1:][there], rtol=1e-5, atol=1e-6):
        raise DatasetError(
            data.what,
            got="answers that are not the next inputs",
            expected="y[:, t] = x[:, t + 1], so that an answer can be the next input",
            fix="make the data with y = x one input later; of mackey-glass, use ?ahead=1",
        )
    if data.ragged:
        raise DatasetError(
            data.what,
            got="series of several lengths",
            expected="series of one length",
            fix="cut them to the shortest",
        )
    if isinstance(prompt, bool) or not isinstance(prompt, int) or not 1 <= prompt < inputs:
        raise SpecError(
            "prompt",
            got=repr(prompt),
            expected=f"1 to {inputs - 1} of the {inputs} inputs of a series",
            fix=f"try prompt={max(1, inputs // 2)}",
        )


def _require_in_time(name: str, model: Model, target: Target) -> None:
    """Raise a TargetError if an answer comes when the next input has begun."""
    late, steps = target.latency(model), model.timing.steps_per_input
    if late >= steps:
        fix = f"convert with steps_per_input={late + 1} or more"
        if model.level_coded:
            fix = "convert with code='level', free_running=True: an input then lasts long enough"
        raise TargetError(
            f"{name} on {target.name}",
            got=f"answers {late} steps after an input of {steps}",
            expected="an answer before the next input begins, which it is to be",
            fix=fix,
        )


def _estimate(values: Array, root: bool = False) -> Estimate:
    """Mean of values (series,), or its root, and the interval."""
    rng = np.random.default_rng(0)
    with np.errstate(invalid="ignore", over="ignore"):
        drawn = values[rng.integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)
        found = np.concatenate([[values.mean()], np.quantile(drawn, (0.025, 0.975))])
        value, low, high = np.sqrt(found) if root else found
    if len(values) < 2:
        low = high = float("nan")
    return Estimate(float(value), float(low), float(high), len(values))

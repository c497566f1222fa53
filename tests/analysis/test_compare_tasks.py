"""Every task, length, shape and dtype through convert and compare; reports of each."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spiking_lmu as sl
from spiking_lmu.analysis.fitting import order_of_classes, out_of_range
from spiking_lmu.analysis.metrics import value_of
from spiking_lmu.conversion.measure import activity_on
from spiking_lmu.datasets import from_arrays
from spiking_lmu.errors import DatasetError, SpecError
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Scaling
from spiking_lmu.report.json_report import as_json
from spiking_lmu.report.rows import rows
from spiking_lmu.training.sequences import gathering

from ..helpers.fresh_python import INSTALLED, needs

QUIET = {"progress": False, "workers": 1, "verify": 0}


def random_data(seed, task, channels, outputs, ragged, dtype, steps=5, **options):
    """A data set of nine samples, its model untrained; ``options`` are of its conversion."""
    rng = np.random.default_rng(seed)
    lengths = rng.choice([max(1, steps - 2), steps + 1], 9) if ragged else np.full(9, steps)
    lengths[0] = steps + 1 if ragged else steps
    x = [(rng.normal(size=(n, channels)) * 40 + 10).astype(dtype) for n in lengths]
    kind, when = task.split()
    if kind == "classification":
        answer = lambda n: rng.integers(0, outputs, n)  # noqa: E731
    else:
        answer = lambda n: rng.normal(size=(n, outputs))  # noqa: E731
    y = [answer(n) for n in lengths] if when == "every" else answer(9)
    if kind == "classification" and when == "last":
        y[:outputs] = np.arange(outputs)
    elif kind == "classification":
        y[0][:outputs] = np.arange(outputs)[: len(y[0])]
    names = [f"n{k}" for k in range(outputs)]
    data = from_arrays(x, y, test=(x, y), task=task, names=names)
    spec = LmuSpec(channels, outputs, 3, 4.0, 6, memories=channels)
    scaling = Scaling.measured(data.train.x, data.train.lengths)
    model = sl.Model(build(spec, seed % 1000), task=data.train.task, scaling=scaling)
    return data, sl.convert(model, data=data.train, **options)


TASKS = [f"{k} {w}" for k in ("classification", "regression") for w in ("last", "every")]


@settings(deadline=None, max_examples=6)
@given(
    st.integers(0, 2**31),
    st.sampled_from(TASKS),
    st.integers(1, 3),
    st.integers(2, 3),
    st.booleans(),
    st.sampled_from(["f4", "f8", "i4", "u1"]),
)
def test_whatever_the_data_compare_says_what_the_definition_says(
    seed, task, channels, outputs, ragged, dtype
):
    data, model = random_data(seed, task, channels, outputs, ragged, dtype)
    test = data.test
    result = sl.compare(model, test, ["reference"], progress=False, workers=1, verify=0, traces=1)
    (spiking,), (rate,) = result.outcomes, result.rate.values()
    assert spiking.problem == rate.problem == ""
    for outcome, graph, timing in (
        (spiking, model.graph, model.timing),
        (rate, model.rate, sl.Timing()),
    ):
        expected = np.zeros_like(outcome.outputs)
        for i, n in enumerate(test.lengths):
            # One sample by itself, cut at its own end: no padding, no batch.
            x = model.scaling.apply(np.asarray(test.x[i : i + 1, :n], float))
            said = run_reference(graph, x, timing)[0, timing.presentation_ends(int(n))]
            if test.task.every:
                expected[i, :n] = said
            else:
                expected[i] = said[-1]
        np.testing.assert_allclose(outcome.outputs, expected, rtol=1e-5, atol=1e-5)
    row = rows(result)[1]
    assert row.score.value == pytest.approx(
        value_of(test.task, test.y, spiking.outputs, test.lengths)
    )
    assert row.paired.low <= row.paired.difference <= row.paired.high
    json.dumps(as_json(result), allow_nan=False)


TARGETS = ["reference"] + ["loihi"] * (INSTALLED["nengo-loihi"] != "not installed")
CASES = (
    st.integers(0, 2**31),
    st.sampled_from(TASKS),
    st.integers(1, 3),
    st.integers(2, 3),
    st.booleans(),
    st.sampled_from(["f2", "f4", "f8", "i4", "u1"]),
    st.integers(1, 8),
    st.sampled_from([{}, {"code": "level"}, {"code": "level", "memory": "line", "bits": 2}]),
)


@needs("nengo-loihi")
@settings(deadline=None, max_examples=5)
@given(*CASES)
def test_whatever_the_data_the_chip_spikes_as_upstreams_does(
    seed, task, channels, outputs, ragged, dtype, steps, options
):
    """Upstream's own simulator runs two samples beside, and has to have every spike."""
    data, model = random_data(seed, task, channels, outputs, ragged, dtype, steps, **options)
    result = sl.compare(model, data.test, ["loihi"], progress=False, workers=1, verify=2)
    (spiking,) = result.outcomes
    assert spiking.problem == ""
    assert spiking.verified == 2
    row = rows(result)[1]
    assert row.score.value == pytest.approx(
        value_of(data.test.task, data.test.y, spiking.outputs, data.test.lengths), nan_ok=True
    )
    json.dumps(as_json(result), allow_nan=False)


@settings(deadline=None, max_examples=8)
@given(st.sampled_from(TARGETS), *CASES)
def test_whatever_the_data_why_and_how_well_is_told(
    target, seed, task, channels, outputs, ragged, dtype, steps, options
):
    """The ladder ends, and the trade-off begins, with what compare says of the same samples."""
    data, model = random_data(seed, task, channels, outputs, ragged, dtype, steps, **options)
    test = data.test.draw(9, 0)  # in the order in which explain draws them
    (spiking,) = sl.compare(model, test, [target], **QUIET).outcomes
    why = sl.explain(model, data.test, target, **QUIET)
    answers = (flat(test, outputs) for outputs in (why.ladder.steps[-1].outputs, spiking.outputs))
    for got, expected in zip(*answers, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    json.dumps(json.loads(why.to_json()), allow_nan=False)
    timing = model.timing
    grid = sl.Grid((timing.settle_steps,), (timing.readout_tau,))
    (point,) = sl.tradeoff(model, test, target, grid, **QUIET).points
    value = value_of(test.task, test.y, spiking.outputs, test.lengths)
    assert point.value == pytest.approx(value, rel=1e-5, nan_ok=True)


@needs("nengo-loihi")
@settings(deadline=None, max_examples=3)
@given(*CASES[:-1])
def test_whatever_the_data_a_calibration_is_found(
    seed, task, channels, outputs, ragged, dtype, steps
):
    data, model = random_data(seed, task, channels, outputs, ragged, dtype, steps)
    rate = sl.Model(model.rate, task=model.task, scaling=model.scaling)
    rate = replace(rate, activity=activity_on(rate, data.train))
    settings = sl.RunSettings(**QUIET)
    found = sl.calibrate(rate, data.train, "loihi", calibration_samples=9, settings=settings)
    (spiking,) = sl.compare(found.model, data.train, ["loihi"], **QUIET).outcomes
    exact = np.concatenate(alone(model, rate.graph, sl.Timing(), data.train))
    got = np.concatenate(flat(data.train, spiking.outputs))
    error = np.linalg.norm(got - exact) / np.linalg.norm(exact)
    assert found.search.point.relative_error == pytest.approx(error, rel=1e-4)


def test_lengths_are_written_where_they_differ():
    for ragged in (False, True):
        data, model = random_data(5, TASKS[0], 1, 2, ragged, "f4")
        result = sl.compare(model, data.test, ["reference"], **QUIET)
        said = json.loads(result.to_json())["lengths"]
        assert said == (data.test.lengths.tolist() if ragged else None)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_page(task):
    data, model = random_data(5, task, 2, 3, True, "f4")
    result = sl.compare(model, data.test, ["reference"], progress=False, workers=1, verify=0)
    page = result.to_html()
    assert "Single sequences" in page
    assert "<img" not in page
    assert ("What was said against what is true" in page) == task.startswith("regression")
    assert ("Which classes are mistaken" in page) == task.startswith("classification")
    assert ("the dashed line is the truth" in page) == (task == "regression last")
    label = result.task.metric.replace("_", " ")
    assert label in page.lower()
    assert label in result.to_markdown().lower()
    assert str(result)


def test_a_late_answer_is_said_to_be_late():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 30, 1)).cumsum(axis=1)
    data = from_arrays(x, x, test=(x, x), task="regression every")
    rate = sl.Model(build(LmuSpec(1, 1, 4, 8.0, 6)), task=data.train.task)
    model = sl.convert(rate, data=data.train)
    assert (model.timing.settle_steps, model.timing.readout_tau) == (0, 0.005)
    result = sl.compare(model, data.test, ["reference"], progress=False, workers=1, verify=0)
    (outcome,), (exact,) = result.outcomes, result.rate.values()
    late = np.concatenate([np.zeros((12, 3, 1)), exact.outputs[:, :-3]], axis=1)
    slow = replace(result, outcomes=(replace(outcome, outputs=late),))
    row = rows(slow)[1]
    assert row.latency == 3
    assert "answers come 3 inputs late" in slow.to_markdown()
    assert row.in_time.value != row.score.value


def test_data_of_another_model_are_refused():
    data, model = random_data(1, "classification last", 2, 3, False, "f4")
    for other in (
        random_data(1, "classification last", 1, 3, False, "f4"),
        random_data(1, "classification last", 2, 2, False, "f4"),
        random_data(1, "regression last", 2, 3, False, "f4"),
        random_data(1, "classification every", 2, 3, False, "f4"),
    ):
        with pytest.raises(DatasetError):
            sl.compare(model, other[0].test, ["reference"], progress=False, workers=1)
    x, y = data.test.x, data.test.y
    renamed = from_arrays(x, y, test=(x, y), names=("n2", "n1", "n0"))
    with pytest.raises(DatasetError, match="n2, n1, n0"):
        sl.compare(model, renamed.test, ["reference"], progress=False, workers=1)


def alone(model, graph, timing, data):
    """Answers of the definition, each sample by itself and cut at its own end."""
    found = []
    for x, n in zip(data.x, data.lengths, strict=True):
        fed = model.scaled(np.asarray(x[None, :n], float))
        said = run_reference(graph, fed, timing)[0, timing.presentation_ends(int(n))]
        found.append(said if data.task.every else said[-1:])
    return found


def flat(data, outputs):
    """Answers of a result as `alone` gives them."""
    if not data.task.every:
        return [output[None] for output in outputs]
    return [output[:n] for output, n in zip(outputs, data.lengths, strict=True)]


@pytest.mark.parametrize(("task", "ragged"), [*((task, True) for task in TASKS), (TASKS[0], False)])
def test_the_ladder_of_every_task_goes_from_the_rate_model_to_the_target(task, ragged):
    data, model = random_data(6, task, 2, 3, ragged, "f4")
    test = data.test.draw(9, 0)
    found = sl.explain(model, data.test, "reference", **QUIET)
    steps = found.ladder.steps
    for step, graph, timing in (
        (steps[0], model.rate, sl.Timing()),
        (steps[-1], model.graph, model.timing),
    ):
        wanted = alone(model, graph, timing, test)
        for got, expected in zip(flat(test, step.outputs), wanted, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert found.ladder.metric.name == test.task.metric
    moved = sum(step.step.difference for step in steps[1:])
    assert moved == pytest.approx(steps[-1].total.difference)
    assert steps[-1].value == pytest.approx(
        value_of(test.task, test.y, steps[-1].outputs, test.lengths)
    )
    said = json.loads(found.to_json())
    assert said["metric"] == test.task.metric
    assert found.ladder.metric.label.lower() in str(found).lower() or "Right" in str(found)
    assert "<svg" in found.to_html()


@pytest.mark.parametrize(("task", "ragged"), [*((task, True) for task in TASKS), (TASKS[0], False)])
def test_each_timing_of_every_task_is_a_deployment_of_its_own(task, ragged):
    data, model = random_data(7, task, 2, 3, ragged, "f4")
    test = data.test
    settle = (model.timing.settle_steps,) if test.task.every else (3, 12)
    found = sl.tradeoff(model, test, "reference", sl.Grid(settle, (0.0, 0.004)), **QUIET)
    rate = np.concatenate(alone(model, model.rate, sl.Timing(), test))
    truth = test.y[test.mask] if test.task.every else test.y
    assert len(found.points) == 2 * len(settle)
    for point in found.points:
        timing = replace(
            model.timing, settle_steps=point.settle_steps, readout_tau=point.readout_tau
        )
        got = np.concatenate(alone(model, model.graph, timing, test))
        error = np.linalg.norm(got - rate) / np.linalg.norm(rate)
        assert point.relative_error == pytest.approx(error, rel=1e-5)
        steps = [timing.total_steps(int(n)) for n in test.lengths]
        assert point.steps == pytest.approx(np.mean(steps))
        if test.task.classifies:
            lost = (rate.argmax(axis=1) == truth).sum() - (got.argmax(axis=1) == truth).sum()
            assert point.lost == lost
        else:
            ratio = ((got - truth) ** 2).sum(axis=0) / ((truth - truth.mean(axis=0)) ** 2).sum(
                axis=0
            )
            assert point.value == pytest.approx(np.sqrt(ratio).mean())
    assert "<svg" in found.to_html()
    assert found.metric.label.lower() in str(found).lower() or "Right" in str(found)
    if test.task.every:
        with pytest.raises(SpecError, match="an answer at every input"):
            sl.tradeoff(model, test, "reference", sl.Grid((3, 12), (0.0,)), **QUIET)


@pytest.mark.parametrize("task", TASKS)
def test_calibration_takes_every_task_and_length(task):
    data, model = random_data(8, task, 2, 3, True, "f4")
    rate = sl.Model(model.rate, task=model.task, scaling=model.scaling)
    rate = replace(rate, activity=activity_on(rate, data.train))
    found = sl.calibrate(
        rate,
        data.train,
        "reference",
        calibration_samples=9,
        settings=sl.RunSettings(**QUIET),
    )
    tried = [trial.best.relative_error for trial in found.search.rounds[-1]]
    chosen = found.search.point
    assert chosen.relative_error <= max(tried)
    got = np.concatenate(alone(found.model, found.model.graph, found.model.timing, data.train))
    wanted = np.concatenate(alone(model, rate.graph, sl.Timing(), data.train))
    error = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    assert chosen.relative_error == pytest.approx(error, rel=1e-4)
    assert str(found)


@pytest.mark.parametrize("task", TASKS)
def test_what_a_sample_costs_is_a_mean_over_lengths(task):
    data, model = random_data(9, task, 1, 2, True, "f4")
    compared = sl.compare(model, data.test, ["reference"], **QUIET)
    found = sl.energy(model, compared, data.test, samples=9)
    spiking, rate = found.entries[:2]
    timing, lengths = model.timing, data.test.lengths
    assert rate.operations.steps == pytest.approx(lengths.mean())
    assert spiking.operations.steps == pytest.approx(
        np.mean([timing.total_steps(int(n)) for n in lengths])
    )
    hidden = [
        _hidden(sl.Model(model.rate, scaling=model.scaling), x[None, :n])
        for x, n in zip(data.test.x, lengths, strict=True)
    ]
    zeros = np.mean(np.concatenate([h.ravel() for h in hidden]) == 0)
    assert rate.operations.activation_sparsity == pytest.approx(zeros)


def test_a_readout_that_remembers_has_its_own_timing_alone():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5, 2)), np.arange(12) % 2
    data = from_arrays(x, y, test=(x, y))
    spec = LmuSpec(2, 2, order=2, theta=5.0, units=4, memories=2)
    model = sl.convert(sl.Model(gathering(build(spec, seed=0))), max_rate=250, data=data.train)
    found = sl.tradeoff(model, data.test, "reference", **QUIET)
    (point,) = found.points
    timing = model.timing
    assert (point.settle_steps, point.readout_tau) == (timing.settle_steps, timing.readout_tau)
    got = np.concatenate(alone(model, model.graph, timing, data.test))
    assert point.value == (got.argmax(axis=1) == y).mean()
    assert "<svg" not in found.to_html()


def test_leaving_the_range_of_training_is_remarked():
    data, model = random_data(3, "regression last", 2, 2, False, "f4")
    assert out_of_range(model, data.train) == ""
    far = from_arrays(data.test.x, data.test.y, test=(data.test.x * [1, 9], data.test.y)).test
    said = out_of_range(model, far)
    assert "in 1 of 2 channels" in said
    assert "\n" not in said


def test_classes_that_a_model_does_not_name_are_remarked():
    """Labels 1, 2, 3 or words could be any of its outputs; 0, 1, 2 are what they are."""
    data, model = random_data(3, "classification last", 2, 3, False, "f4")
    unnamed = replace(model, task=sl.Task())
    x, y = data.test.x, np.arange(len(data.test)) % 3
    for labels, said in ((y, ""), (y + 5, "order 5, 6, 7"), (np.array(["c", "a", "b"])[y], "a, b")):
        mine = from_arrays(x, labels, test=(x, labels)).test
        assert (order_of_classes(unnamed, mine) != "") == bool(said)
        assert said in order_of_classes(unnamed, mine)
    result = sl.compare(unnamed, mine, ["reference"], progress=False, workers=1, samples=2)
    assert any("does not name its classes" in remark for remark in result.remarks)
    assert order_of_classes(model, data.test) == ""


def test_activity_is_measured_without_padding():
    data, model = random_data(4, "classification last", 1, 2, True, "f4")
    rate = sl.Model(model.rate, scaling=model.scaling)
    found = activity_on(rate, data.train)["lmu.h"].largest
    alone = [
        np.abs(h).max()
        for x, n in zip(data.train.x, data.train.lengths, strict=True)
        for h in [_hidden(rate, x[None, :n])]
    ]
    assert found == pytest.approx(max(alone), rel=1e-5)


def _hidden(model, x):
    seen = []
    run_reference(
        model.graph, model.scaled(x.astype(float)), observe=lambda s, v, t: seen.append(v["lmu.h"])
    )
    return np.array(seen)


@pytest.mark.parametrize("task", ["regression every", "classification every"])
@pytest.mark.parametrize("ragged", [False, True])
def test_a_network_that_answers_at_every_nth_input_is_judged_there_as_well(task, ragged):
    line = {"memory": "line", "code": "level", "levels": 9, "bits": 2, "every": 3}
    data, model = random_data(3, task, 2, 3, ragged, "f8", steps=7, **line)
    result = sl.compare(model, data.test, ["reference"], traces=0, **QUIET)
    (remark,) = result.remarks
    label, here = remark.rpartition(": ")[2].split(", rate model ")[0].rsplit(maxsplit=1)
    (outcome,), (rate,) = result.outcomes, result.rate.values()
    test, factor = data.test, 100.0 if "class" in task else 1.0
    for outputs, said in ((outcome.outputs, here), (rate.outputs, remark.split()[-1])):
        # Of each sample those of its inputs that are a third.
        kept = [range(2, int(n), 3) for n in test.lengths]
        most = max(map(len, kept))
        truth, answers = (
            np.stack([np.resize(v[i, list(k)], (most, *v.shape[2:])) for i, k in enumerate(kept)])
            for v in (np.asarray(test.y), outputs)
        )
        value = value_of(test.task, truth, answers, np.array([len(k) for k in kept]))
        assert float(said) == pytest.approx(factor * value, rel=1e-3)
    assert label in ("NRMSE", "balanced accuracy")
    seldom = random_data(3, task, 2, 3, ragged, "f8", steps=7, **(line | {"every": 9}))[1]
    (never,) = sl.compare(seldom, test, ["reference"], traces=0, **QUIET).remarks
    assert "no sample has so many" in never
    # A plain model has nothing to say about it.
    plain = random_data(3, task, 2, 3, ragged, "f8")[1]
    assert not sl.compare(plain, test, ["reference"], traces=0, **QUIET).remarks

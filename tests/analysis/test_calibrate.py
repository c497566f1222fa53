"""The search with a made-up evaluator; the real evaluator against closed forms."""

import json
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from spiking_lmu.analysis import calibration as calibration_module
from spiking_lmu.analysis import forms as forms_module
from spiking_lmu.analysis.calibration import (
    RATES,
    Screened,
    SearchBudget,
    TargetEvaluator,
    calibrate,
    ranked,
    response_cells,
    response_outputs,
    search,
    searchable,
    window,
)
from spiking_lmu.analysis.choice import wants_code
from spiking_lmu.analysis.forms import feedbacks, presentations, synapses
from spiking_lmu.analysis.statistics import mcnemar
from spiking_lmu.analysis.tradeoff import Grid, Point
from spiking_lmu.backends.rate import RATE
from spiking_lmu.backends.registry import get_target
from spiking_lmu.backends.target import Problem
from spiking_lmu.conversion import Options, default_options, measure_activity
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Task
from spiking_lmu.runs.runner import Job
from spiking_lmu.runs.service import RunSettings, open_service
from spiking_lmu.targets.reference.target import ReferenceTarget

from ..helpers.faulty import recurrence

RNG = np.random.default_rng(0)


def point(lost, error, n=256, steps=50, tau=0.01):
    """A point that gets ``lost`` of n samples wrong, and the rate model none."""
    paired = mcnemar(np.arange(n) >= lost, np.ones(n, bool))
    return Point(steps, tau, steps, 1 - lost / n, paired, lost, lost, error, 0.0, {})


class MadeUp:
    """Each population has a rate at which its error is smallest; curves and target differ."""

    def __init__(self, screened, real):
        self.screened, self.real, self.runs = screened, real, []

    def screen(self, rates):
        return Screened(rates, 0, 0, self.error(rates, self.screened))

    def run(self, rates, samples):
        self.runs.append((tuple(rates.values()), samples))
        error = self.error(rates, self.real)
        return [point(0, error + 0.1, samples, steps=20), point(0, error, samples)]

    @staticmethod
    def error(rates, goal):
        return sum(abs(np.log2(rates[name] / goal[name])) for name in rates) / 100


def test_the_target_corrects_what_the_curves_say():
    evaluator = MadeUp({"h": 250.0}, {"h": 125.0})
    told = []
    found = search(
        SearchBudget(("h",), 1000.0), evaluator, report=lambda *words: told.append(words)
    )
    assert found.rates == {"h": 125.0}
    assert (found.point.settle_steps, found.point.relative_error) == (50, 0.0)
    assert [s.rates["h"] for s in found.screened] == list(RATES)
    counts = [(trials[0].samples, len(trials)) for trials in found.rounds]
    assert counts == [(64, 6), (128, 3), (256, 2)]
    # What would have been taken without a search always runs, however bad its curve.
    assert ((1000.0,), 64) in evaluator.runs
    assert sum(samples or 0 for _, samples in told) == sum(n for _, n in evaluator.runs)


def test_each_population_finds_its_own_rate():
    goal = {"a": 62.0, "b": 707.0}
    found = search(SearchBudget(("a", "b"), 250.0), MadeUp(goal, goal))
    assert found.rates == goal
    together = [s for s in found.screened if len(set(s.rates.values())) == 1]
    assert len(together) == len(RATES) < len(found.screened) <= 4 * len(RATES)


def test_nothing_to_search_is_one_run_on_all_images():
    evaluator = MadeUp({}, {})
    found = search(SearchBudget((), 250.0, samples=200), evaluator)
    assert evaluator.runs == [((), 200)]
    assert (found.rates, found.screened) == ({}, ())


def test_few_images_are_one_round():
    evaluator = MadeUp({"h": 250.0}, {"h": 250.0})
    found = search(SearchBudget(("h",), 250.0, samples=10), evaluator)
    assert [trials[0].samples for trials in found.rounds] == [10]
    with pytest.raises(SpecError, match="at least 1"):
        SearchBudget(("h",), 250.0, samples=0)


def test_pick_chooses_among_all_of_the_last_round():
    evaluator = MadeUp({"h": 250.0}, {"h": 250.0})
    found = search(SearchBudget(("h",), 250.0), evaluator, "fastest")
    assert (found.point.settle_steps, found.rates) == (20, {"h": 250.0})


def test_a_difference_within_noise_is_none():
    # Without disagreements one sample is noise, and two are not.
    none, one, two = point(0, 0.3), point(1, 0.1), point(2, 0.0)
    assert ranked([none, one, two]) == [one, none, two]
    # With eight samples decided otherwise by the best, three more losses may be chance.
    noisy = replace(none, disagreements=8)
    assert ranked([noisy, one, two]) == [two, one, noisy]
    # A gain is chance: it is no better than to lose nothing.
    gain = replace(one, lost=-3, disagreements=3)
    closer = replace(none, relative_error=0.05)
    assert ranked([gain, closer]) == [closer, gain]
    assert ranked([]) == []


def test_the_record_is_compact_json():
    found = search(SearchBudget(("h",), 250.0), MadeUp({"h": 250.0}, {"h": 250.0}))
    record = json.loads(json.dumps(found.to_dict()))
    assert record["chosen"]["rates"] == {"h": 250.0}
    row = record["rounds"][0]["trials"][0]["points"][1]
    assert dict(zip(record["columns"], row, strict=True))["settle_steps"] == 50
    assert len(record["screened"]) == len(RATES)
    assert "one standard error" in record["criterion"]


def rate_model(kind="relu", cell="feedforward"):
    amplitude = 0.01 if kind == "lif_rate" else 1.0
    spec = LmuSpec(
        order=6,
        theta=10.0,
        units=16,
        output_size=4,
        cell=cell,
        neuron=Neuron(kind, amplitude=amplitude),
    )
    x = RNG.uniform(-1, 1, (12, 10, 1))
    graph = build(spec, seed=1)
    return Model(graph, activity=measure_activity(graph, x)), x


@pytest.mark.parametrize("cell", ["feedforward", "recurrent"])
def test_exact_curves_over_a_long_window_are_the_rate_model(cell):
    """Nengo's curve of a spiking relu is a relu; noise of spikes falls as the window grows."""
    model, x = rate_model(cell=cell)
    wanted = RATE.deploy(model, 10).run(x).outputs[:, -1]
    from spiking_lmu.conversion.convert import spiking_graph

    graph, _ = spiking_graph(model, Options(), model.activity)

    def error(steps):
        cells = response_cells(get_target("reference"), steps, 0)
        return np.abs(response_outputs(graph, x, 0.001, cells) - wanted).max()

    assert error(1e9) < 1e-6
    assert 3e-3 < error(1e2) < 0.3 * error(1e1)


@pytest.mark.skipif(find_spec("nengo_loihi") is None, reason="nengo-loihi is not installed")
def test_the_targets_own_curve_is_used():
    """On Loihi 1/(dt·ceil(1/(J·dt))): 240, 700 and 1500 Hz become 200, 500 and 1000."""
    currents = np.array([240.0, 700.0, 1500.0])
    step = response_cells(get_target("loihi"), 1e3, 0)(Neuron("spiking_relu"), (3,), 0.001)
    np.testing.assert_allclose(step(currents), [0.2, 0.5, 1.0], atol=1e-12)


def test_noise_of_counts_has_the_variance_of_two_neighbouring_numbers():
    step = response_cells(get_target("reference"), 50, 0)(Neuron("spiking_relu"), (200_000,), 0.001)
    counts = 50 * step(np.full(200_000, 105.0))
    assert counts.mean() == pytest.approx(5.25, abs=0.01)
    assert counts.var() == pytest.approx(0.25 * 0.75, rel=0.02)


def test_window():
    assert window(Grid((5, 200), (0.005, 0.02)), 0.001) == 40
    assert window(Grid((5, 10), (0.005, 0.02)), 0.001) == 11
    assert window(Grid((5, 10), (0.0,)), 0.001) == 1


def test_evaluator_screens_and_runs():
    model, x = rate_model()
    y = RATE.deploy(model, 10).run(x).outputs[:, -1].argmax(axis=1)
    done = SimpleNamespace(start=lambda *_: None, advance=lambda n, label="": counts.append(n))
    counts = []
    data = Dataset("made-up", "train", x, y, Task(names=tuple("0123")))
    with open_service(RunSettings(workers=1, progress=done)) as service:
        job = Job(get_target("reference"), verify=0)
        evaluator = TargetEvaluator(model, Options(), job, data, Grid((10, 40), (0.01,)), service)
        _evaluator_screens_and_runs(evaluator, counts)


def _evaluator_screens_and_runs(evaluator, counts):
    slow, fast = (evaluator.screen({"lmu.h": rate}) for rate in (10.0, 1000.0))
    assert fast.relative_error < 0.2 * slow.relative_error
    points = evaluator.run({"lmu.h": 1000.0}, 5)
    assert [(p.settle_steps, p.paired.n) for p in points] == [(10, 5), (40, 5)]
    assert points[1].spikes > 2 * evaluator.run({"lmu.h": 250.0}, 5)[1].spikes
    # The rate model on all twelve to screen, and on five for each of two runs on the target.
    assert sum(counts) == 12 + 4 * 5


def test_which_rates_can_be_searched():
    assert searchable(rate_model()[0]) == ("lmu.h",)
    assert searchable(rate_model("lif_rate")[0]) == ()


def calibrated(samples=30, **choices):
    rate, walks = recurrence()
    quiet = RunSettings(workers=1, progress=False)
    choices = {"calibration_samples": samples, "max_rate": 250.0, **choices}
    return calibrate(rate, walks, "reference", settings=quiet, **choices)


@pytest.mark.slow
def test_steps_and_synapses_are_varied_where_a_layer_reads_itself():
    found = calibrated(feedback="lowpass", neuron="relu")
    forms = found.search.forms
    assert [form.options.steps_per_input for form in forms[:3]] == [20, 10, 60]
    # At the best of these, synapses.
    assert len({form.options.synapse_tau for form in forms[3:]}) == 3
    assert {form.options.steps_per_input for form in forms[3:]} == {found.options.steps_per_input}
    usual, best = forms[0], min(form.relative_error for form in forms)
    assert usual.lost > 2
    assert found.search.point.relative_error <= best < 0.5 * usual.relative_error
    assert found.search.point.lost == 0
    assert found.options.code == "rate"


@pytest.mark.slow
def test_levels_are_tried_where_rates_do_not_hold(monkeypatch):
    monkeypatch.setattr(forms_module, "PRESENTATIONS", ())
    monkeypatch.setattr(calibration_module, "feedbacks", lambda *_: ())
    # No error is small enough.
    monkeypatch.setattr(calibration_module, "FAR", 0.0)
    found = calibrated(max_rate=None)
    assert found.search.screened
    (form,) = found.search.forms
    assert form.options == found.options
    assert found.options.code == "level"
    assert found.model.level_coded
    assert found.search.point == form.best
    assert form.relative_error < found.search.rounds[-1][0].relative_error
    # A rate that is given is one of rate coding.
    assert not wants_code({"max_rate": 250.0}, "level")
    record = found.model.provenance["conversion"]["calibration"]
    assert record["chosen"]["lost"] == form.lost
    assert record["forms"][0]["what"] == form.what
    assert form.what in str(found)


class Full(ReferenceTarget):
    """A chip that holds nothing."""

    name = "full"

    def check(self, model):
        return [Problem("chip", "a network", "no room at all", "take another chip")]


def test_levels_alone_on_request():
    rate, walks = recurrence()
    found = calibrated(20, code="level", input_bits=8, max_rate=None)
    assert found.options.code == "level"
    assert found.options.input_bits == 8
    assert found.search.rounds == ()
    judged = found.model.provenance["conversion"]["calibration"]
    assert judged["samples"] == 20
    assert judged["chosen"]["lost"] <= 1
    with pytest.raises(SpecError, match="samples or more"):
        calibrate(rate, walks.subset(np.arange(12)), "reference", code="level")
    with pytest.raises(SpecError, match="no room at all"):
        calibrate(rate, walks, Full(), code="level", levels=3, input_bits=6)


@pytest.mark.parametrize("max_rate", [None, 250.0])
def test_a_rate_that_is_given_for_one_population_stays(max_rate):
    fixed = {"steps_per_input": 5, "synapse_tau": 0.005, "code": "rate"}
    found = calibrated(10, rates={"lmu.h": 77.0}, max_rate=max_rate, **fixed)
    assert found.search.screened == ()
    assert found.options.rates == {"lmu.h": 77.0}
    assert found.model.provenance["conversion"]["options"]["rates"] == {"lmu.h": 77.0}


def test_what_is_given_is_not_varied():
    model = rate_model()[0]
    recurrent, _ = recurrence()
    usual = default_options(recurrent)
    assert [o.steps_per_input for o in presentations(recurrent, usual, {})] == [10, 60]
    assert list(presentations(recurrent, usual, {"steps_per_input": 20})) == []
    assert (usual.feedback, usual.neuron) == ("count", "lif")
    assert [o.feedback for o in feedbacks(recurrent, usual, {})] == ["lowpass"]
    assert list(feedbacks(recurrent, usual, {"feedback": "count"})) == []
    # A count has no synapse.
    assert list(synapses(recurrent, usual, {})) == []
    lowpass = replace(usual, feedback="lowpass")
    assert len(list(synapses(recurrent, lowpass, {}))) == 3
    assert list(synapses(recurrent, lowpass, {"synapse_tau": 0.01})) == []
    chip = default_options(recurrent, on_chip=True)
    assert [o.count_from for o in presentations(recurrent, chip, {})] == [5, 10]
    given = {"count_from": 12}
    chip = default_options(recurrent, on_chip=True, **given)
    assert [o.count_from for o in presentations(recurrent, chip, given)] == [12]
    # A feedforward cell has neither.
    assert list(presentations(model, default_options(model), {})) == []
    assert list(synapses(model, default_options(model), {})) == []

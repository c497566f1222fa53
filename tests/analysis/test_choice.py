"""The default conversion, chosen on training samples."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.analysis import choice as choice_module
from spiking_lmu.analysis.choice import AGREEMENT, FEEDS_BACK, LEVELS, Choice, choose, divide
from spiking_lmu.analysis.choice import convert as sl_convert
from spiking_lmu.analysis.metrics import signed
from spiking_lmu.analysis.samples import held_out
from spiking_lmu.backends.target import Problem
from spiking_lmu.conversion import measure_activity
from spiking_lmu.conversion.levels import schedule
from spiking_lmu.datasets import mnist, sources
from spiking_lmu.datasets.dataset import Dataset, Splits
from spiking_lmu.errors import DatasetError, SpecError
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Scaling, Task
from spiking_lmu.report.choice_table import choice_table
from spiking_lmu.targets.reference.target import ReferenceTarget
from spiking_lmu.training.fine_tune import fine_tune

from ..helpers.told import Told

INPUTS = 15


def model(kind="tanh", cell="recurrent", units=24, taus=(0.0, 0.0), **options):
    spec = LmuSpec(
        order=5,
        theta=10.0,
        units=units,
        cell=cell,
        neuron=Neuron(kind),
        output_size=3,
        current_tau=taus[0],
        recurrence_tau=taus[1],
    )
    return Model(build(spec, seed=4), **options)


def data(rate, samples=240, task=None, inputs=INPUTS):
    """Inputs, and what the rate model itself says of them: it is right always.

    Of classes only clear cases, as they are after training.
    """
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.normal(size=(4 * samples, inputs, 1)), axis=1) / 4
    outputs = run_reference(rate.graph, x)
    if task is not None:
        # The rate model has an error of three tenths of the truth's spread.
        noise = 0.3 * outputs.std() * rng.normal(size=outputs.shape)
        return Dataset("made up", "train", x[:samples], (outputs + noise)[:samples], task)
    ordered = np.sort(outputs[:, -1], axis=1)
    clear = np.sort(np.argsort(ordered[:, -2] - ordered[:, -1])[:samples])
    x, outputs = x[clear], outputs[clear]
    return Dataset("made up", "train", x, outputs[:, -1].argmax(axis=1), Task(names=tuple("abc")))


def remembering(rate, name, held_out=60):
    """The model with the name of what it was trained on."""
    settings = {"data": name, "held_out": held_out}
    return replace(rate, provenance={"training": {"settings": settings}})


@pytest.fixture(scope="module")
def recurrent():
    rate = model()
    told = Told()
    return rate, data(rate), choose(rate, data(rate), "reference", progress=told), told


def test_the_fewest_levels_that_decide_alike(recurrent):
    _, _, choice, told = recurrent
    assert isinstance(choice, Choice)
    assert choice.reached
    assert choice.options.code == "level"
    loop = [t for t in choice.tried if t.where == "rate loop"]
    assert [t.passed for t in loop] == [False] * (len(loop) - 1) + [True]
    assert loop[-1].agreement >= AGREEMENT
    assert choice.expected.where == "reference"
    assert choice.expected.steps == INPUTS
    assert told.steps == [f"{t.what} ({t.where}): loss {signed(t.loss)}" for t in choice.tried]
    assert str(choice.options.levels) in choice.summary


def test_what_was_judged_is_what_the_target_does(recurrent):
    """The rate loop's answers with rounded activations are those of the spiking network."""
    rate, samples, choice, _ = recurrent
    spiking = choice.convert(rate, "made up")
    assert spiking.provenance["conversion"]["choice"]["reached"]
    with spiking_lmu.get_target("reference").deploy(spiking, INPUTS) as deployment:
        decided = deployment.run(samples.x).outputs[:, -1].argmax(axis=1)
    assert (decided == samples.y).mean() > 0.95


def test_samples_are_not_used_twice(recurrent):
    _, samples, choice, _ = recurrent
    judged = next(t for t in choice.tried if t.where == "rate loop").samples
    assert len(choice.fit) + judged <= len(samples)


def test_the_recurrence_is_asked_after():
    rate = model()
    idle = replace(
        rate.graph,
        projections=tuple(
            p.with_weights(1e-6 * p.weights) if p.name == "lmu.h_to_h" else p
            for p in rate.graph.projections
        ),
    )
    assert choose(rate, data(rate)).recurrence > 0.02
    assert choose(Model(idle), data(Model(idle))).recurrence == 0.0
    forward = model("relu", "feedforward")
    assert choose(forward, data(forward)).recurrence is None


def test_rates_on_request():
    rate = model("relu", "feedforward")
    choice = choose(rate, data(rate), "reference", code="rate")
    assert choice.options.code == "rate"
    assert choice.options.steps_per_input == 1
    settled = [t.steps for t in choice.tried]
    assert settled == sorted(settled)
    assert choice.reached
    assert choose(rate, data(rate), "reference", max_rate=400.0).options.max_rate == 400.0
    assert choose(rate, data(rate), "reference", levels=9).options.levels == 9


def test_a_target_runs_more_samples_only_of_what_may_pass():
    rate = model("relu", "feedforward")
    samples = data(rate, 700)
    (good,) = [
        t
        for t in choose(rate, samples, "reference", levels=17, confirm=130).tried
        if t.where == "reference"
    ]
    assert (good.samples, good.passed) == (130, True)
    poor = choose(rate, samples, "reference", code="rate", max_rate=20.0, settle_steps=1)
    assert [t.samples for t in poor.tried] == [100]
    assert not poor.reached


class Counting(ReferenceTarget):
    """Knows for how many inputs it was built, and how many are open."""

    def __init__(self):
        self.built, self.open = [], 0

    def deploy(self, model, inputs, **options):
        @contextmanager
        def opened():
            self.open += 1
            with super(Counting, self).deploy(model, inputs, **options) as deployment:
                yield deployment
            self.open -= 1

        self.built.append(inputs)
        return opened()


def test_a_target_is_built_once_for_all_samples_of_a_length():
    """The first hundred samples and those that follow run in one deployment."""
    rate, place = model("relu", "feedforward"), Counting()
    chosen = choose(rate, data(rate, 700), place, levels=17, confirm=130)
    assert chosen.expected.samples == 130
    assert (place.built, place.open) == ([INPUTS], 0)


def test_few_samples_are_enough_to_see_that_nothing_comes_of_it(recurrent):
    _, _, choice, _ = recurrent
    loop = [t for t in choice.tried if t.where == "rate loop"]
    out, chosen = loop[0], next(t for t in loop if t.passed)
    assert not out.passed
    assert out.agreement < AGREEMENT
    assert out.samples < chosen.samples


def test_a_candidate_is_left_as_soon_as_it_cannot_be_sure(monkeypatch):
    """Of 1,000 held-out samples, eleven that differ end it; it runs on if nothing else is sure."""
    rate = remembering(model(), "made up", 1000)
    samples = data(rate, 1300)
    whole = choose(rate, samples, "reference", code="level", levels=3, input_bits=2)
    loop = [t for t in whole.tried if t.where == "rate loop"]
    differ = [round((1 - t.agreement) * t.samples) for t in loop]
    assert loop[0].samples < 1000
    assert differ[0] > 10
    monkeypatch.setattr(choice_module, "SURE", 0.0)
    sure = choose(rate, samples, "reference", code="level", levels=9)
    assert sure.tried[0].samples == 1000


def test_what_is_expected_was_measured_on_all_samples():
    """A candidate that was not sure, and left early, is measured to its end before it is taken."""
    rate = remembering(model(), "made up", 1000)
    samples = data(rate, 1300)
    chosen = choose(rate, samples, "reference", code="level")
    loop = [t for t in chosen.tried if t.where == "rate loop" and t.what == chosen.expected.what]
    assert loop[-1].samples == 1000


def test_batches_side_by_side_give_what_one_after_another_does(recurrent, monkeypatch):
    rate, samples, _, _ = recurrent
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(choice_module, "RUN_THREADS", threads)
        monkeypatch.setattr(choice_module, "cores", lambda: 2)
        chosen = choose(rate, samples, "loihi", levels=5, seed=1)
        found.append(chosen.tried)
    assert found[0] == found[1]


def test_a_few_more_steps_for_far_fewer_spikes():
    """Twenty steps to settle after two hundred inputs are no reason to spike at each of them."""
    rate = model("relu", "feedforward", units=12)
    samples = data(rate, 60, inputs=200)
    choice = choose(rate, samples, "reference", tolerate=50.0)
    coded = [t for t in choice.tried if t.where == "reference" and "levels" in t.what]
    assert coded[-1].passed
    assert choice.options.code == "rate"
    assert choice.expected.steps <= 1.15 * coded[-1].steps
    assert choice.expected.spikes < coded[-1].spikes
    short = choose(rate, data(rate, 60), "reference", tolerate=50.0)
    assert short.options.code == "level"
    assert not [t for t in short.tried if "rates" in t.what]


def test_rates_that_are_less_sure_do_not_take_the_place_of_levels(monkeypatch):
    """They are left as soon as more samples are decided otherwise than is asked of levels."""
    rate = model("relu", "feedforward", units=12)
    monkeypatch.setattr(choice_module, "SETTLING", (2,))
    monkeypatch.setattr(choice_module, "AGREEMENT_ON_TARGET", 0.0)
    for many in (60, 400):
        choice = choose(rate, data(rate, many, inputs=200), "reference", tolerate=50.0)
        coded, rates = choice.tried[-2:]
        assert coded.passed
        assert rates.passed
        assert rates.spikes < coded.spikes
        assert rates.agreement < min(choice_module.SURE_OF_LEARNED, coded.agreement)
        assert choice.expected == coded
    assert rates.samples < coded.samples


def test_rates_that_are_as_sure_as_levels_do(monkeypatch):
    """Also where one sample that both decide otherwise is more than is asked of levels."""
    monkeypatch.setattr(choice_module, "SURE_OF_LEARNED", 1.1)
    rate = model("relu", "feedforward", units=12)
    choice = choose(rate, data(rate, 60, inputs=200), "reference", tolerate=50.0)
    coded = next(t for t in choice.tried if t.where == "reference" and "levels" in t.what)
    assert choice.options.code == "rate"
    assert choice.expected.agreement >= coded.agreement


def test_regression_by_its_error():
    rate = model(task=Task("regression", "every"))
    samples = data(rate, 80, rate.task)
    choice = choose(rate, samples, "reference")
    assert choice.reached
    assert choice.expected.loss <= 8.0
    # A difference of d to a rate model with the error e makes an error of √(e² + d²).
    growth = 100 * (np.hypot(0.3, choice.expected.error) / 0.3 - 1)
    assert choice.expected.loss == pytest.approx(growth, abs=2)
    heads = [column.header for column in choice_table(choice).columns]
    assert "Error grows by % (95 %)" in heads
    assert choice.expected.agreement is None
    assert choice.expected.low <= choice.expected.loss <= choice.expected.high


class Small(ReferenceTarget):
    """A chip of so few neurons that more than 3 levels do not fit."""

    name = "small"

    def check(self, model):
        neurons = sum(p.size for p in model.graph.spiking if not p.on_host)
        if neurons <= 60:
            return []
        return [Problem("lmu.h", f"{neurons} neurons", "60", "have fewer levels")]


def test_what_the_target_cannot_hold_is_not_chosen():
    rate, told = model(), Told()
    samples = data(rate)
    assert choose(rate, samples, "reference").options.levels > 3
    choice = choose(rate, samples, Small(), code="level", progress=told)
    assert choice.options.levels == 3
    assert choice.expected.where == "small"
    assert [step for step in told.steps if "cannot hold" in step]
    with pytest.raises(SpecError, match=r"17 levels.*small cannot hold it"):
        choose(rate, samples, Small(), levels=17)


def test_it_says_where_nothing_will_do():
    rate = model(task=Task("regression", "every"))
    choice = choose(rate, data(rate, 80, rate.task), "reference", tolerate=0.01, code="level")
    assert not choice.reached
    assert "stays within 0.01" in choice.advice
    assert "fine_tune" in choice.summary
    assert choice.options.levels == LEVELS[-1]


def test_levels_of_a_network_that_is_to_run_freely():
    """An input lasts until its answer is there: a step to the chip, one in it, and one back."""
    rate = model(task=Task("regression", "every"))
    samples = data(rate, 80, rate.task)
    choice = choose(rate, samples, "reference", levels=33, free_running=True)
    assert {t.steps for t in choice.tried} == {3 * samples.x.shape[1]}
    assert choice.convert(rate).timing.steps_per_input == 3
    assert not choice_module.wants_code({"max_rate": 100.0, "free_running": True}, "level")
    assert choice_module.wants_code({"free_running": True}, "level")


@pytest.mark.parametrize("kind", ["tanh", "lif_rate"])
def test_training_on_is_advised_where_it_can_be_done(kind):
    rate = model(kind, task=Task("regression", "every"))
    samples = data(rate, 40, rate.task)
    choice = choose(rate, samples, "reference", tolerate=0.001, code="level")
    if kind == "tanh":
        assert "fine_tune(model, data, noise=0.05) makes it sturdier" in choice.advice
        fine_tune(rate, samples, noise=0.05, batches=2, progress=False)
    else:
        assert "training it on where it comes from" in choice.advice
        with pytest.raises(SpecError, match="got lif_rate neurons"):
            fine_tune(rate, samples, noise=0.05, batches=2, progress=False)


def test_the_model_scales_its_data():
    rate = model()
    plain = data(rate)
    doubled = Dataset("doubled", "train", 2 * plain.x + 1, plain.y, plain.task)
    scaled = replace(rate, scaling=Scaling((1.0,), (2.0,)))
    one, other = choose(rate, plain), choose(scaled, doubled)
    assert one.options == other.options
    assert one.expected.agreement == other.expected.agreement


def test_convert_measures_where_nothing_else_is_chosen():
    rate = model()
    spiking = sl_convert(rate, "reference", data(rate))
    record = spiking.provenance["conversion"]
    assert record["options"]["code"] == "level"
    assert record["choice"]["reached"]
    assert "loss on training samples" in record["choice"]["summary"]
    chosen = sl_convert(rate, "reference", data(rate), max_rate=200.0)
    assert "choice" not in chosen.provenance["conversion"]
    assert chosen.provenance["conversion"]["options"]["code"] == "rate"
    few = sl_convert(rate, "reference", data(rate, 10))
    assert "choice" not in few.provenance["conversion"]
    assert any(
        "10 samples, fewer than 20" in said for said in few.recorded("conversion", "remarks")
    )


def test_rates_come_first_where_they_take_fewer_steps():
    """A cell that was trained with filters runs at one step an input, level-coded at three."""
    rate = model("relu", units=16, taus=(2.0, 3.0))
    assert schedule(rate.graph).steps_per_input == 3
    choice = choose(rate, data(rate, 60), "reference", tolerate=50.0)
    rated = [t for t in choice.tried if t.what.startswith("rates")]
    assert rated
    assert choice.tried.index(rated[0]) == 0
    assert all(t.steps < 3 * INPUTS for t in rated)


def test_without_data_the_models_own_are_taken(monkeypatch):
    rate = remembering(model(), "mnist")
    samples = replace(data(rate), name="mnist")
    asked = []

    def opened(name, folder):
        asked.append((name, folder))
        return Splits(name, {"train": samples})

    monkeypatch.setattr(sources, "open_data", opened)
    record = sl_convert(rate, "reference", folder="there").provenance["conversion"]
    assert asked == [("mnist", Path("there"))]
    assert (
        record["choice"] == choose(rate, samples).convert(rate).provenance["conversion"]["choice"]
    )
    assert record["training_data"] == "mnist train"
    # Whoever chooses needs no data.
    assert "choice" not in sl_convert(known(rate), max_rate=200.0).provenance["conversion"]
    assert len(asked) == 1


def known(rate):
    return replace(rate, activity=measure_activity(rate.graph, data(rate).x))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("os:getcwd", "got 'os:getcwd'"),
        ("mine.npz", "pass them: data='mine.npz'"),
        (None, "no name of them"),
        ("mnist?colour=red", "'colour'"),
        ("mnist", "do not fit the model"),
    ],
)
def test_where_own_data_are_not_there_it_is_said(name, says, monkeypatch):
    """Nothing that a file names is opened but a source that is installed."""
    rate = known(remembering(model(), name))
    picture = Dataset(
        "mnist", "train", np.zeros((30, 1, 784)), np.zeros(30), Task(names=("a", "b"))
    )
    monkeypatch.setattr(mnist, "load_mnist", lambda *_, **__: picture)
    record = sl_convert(rate, "reference").provenance["conversion"]
    assert says in record["unmeasured"]
    assert record["remarks"][1] == f"not measured, fixed times are taken ({record['unmeasured']})"
    assert "choice" not in record
    assert record["options"]["code"] == "rate"


def test_judged_by_samples_that_were_held_out_of_training():
    rate = remembering(model(), "made up")
    samples = data(rate)
    fit, judged = divide(rate, samples, 40, 50, seed=0)
    assert sorted(judged.indices)[0] >= 180
    assert fit.indices.max() < 180
    assert (len(fit), len(judged)) == (40, 50)
    # Too few of them: any others.
    fit, judged = divide(rate, samples, 40, 100, seed=0)
    assert judged.indices.min() < 180
    assert not set(fit.indices) & set(judged.indices)


def test_held_out_samples_are_known_by_their_indices():
    """In a part of the training data, and in data in another order, they are the same ones."""
    rate = remembering(model(), "made up")
    samples = data(rate)
    for part in (samples, samples.draw(len(samples), 1), samples.subset(slice(100, None))):
        assert sorted(part.indices[held_out(rate, part)]) == [*range(180, 240)]
        fit, judged = divide(rate, part, 40, 50, seed=0)
        assert fit.indices.max() < 180 <= judged.indices.min()
    learned = samples.subset(slice(100, 180))
    assert held_out(rate, learned).size == 0
    judge = choice_module._Judge(rate, learned, None, 40, 0, Told())
    assert judge.learned
    assert held_out(remembering(model(), "other"), samples).size == 0


def test_refusals():
    rate = model()
    with pytest.raises(SpecError, match="at least 20"):
        choose(rate, data(rate, 19))
    choice = choose(rate, data(rate), levels=17)
    with pytest.raises(SpecError, match="a spiking model"):
        choose(choice.convert(rate), data(rate))


@pytest.mark.parametrize("choices", [{}, {"max_rate": 100.0}])
def test_data_of_another_model_are_refused(choices):
    """Whatever is measured: activity alone, or what a conversion keeps."""
    rate = model()
    own = data(rate, 40)
    four = replace(own, y=np.arange(40) % 4, task=Task(names=tuple("abcd")))
    numbers = data(rate, 40, Task("regression", "every"))
    two = replace(own, x=np.repeat(own.x, 2, axis=2))
    for other, got in ((four, "4 classes"), (numbers, "regression"), (two, "2 numbers an input")):
        with pytest.raises(DatasetError, match=f"got .*{got}"):
            sl_convert(rate, "reference", other, **choices)
        with pytest.raises(DatasetError, match=f"got .*{got}"):
            choose(rate, other, "reference")


def test_a_converted_model_says_how_it_was_converted():
    """In a notebook its last lines are what the command line prints."""
    rate, recurrent = known(model("relu", "feedforward")), known(model())
    plain = sl_convert(rate, max_rate=125.0)
    assert repr(plain).splitlines()[-1] == "125 Hz at the 99.9th percentile of activation"
    assert FEEDS_BACK in repr(sl_convert(recurrent, steps_per_input=20))
    assert FEEDS_BACK not in repr(plain)
    chosen = repr(sl_convert(rate, "reference", data(rate), progress=False)).splitlines()
    assert chosen[-2].endswith("levels, input in 6 bits and a sign")
    assert chosen[-1].startswith("chosen on samples of made up train: ")


def test_the_place_of_a_memory_can_be_left_to_measurement():
    rate = known(model("relu", "feedforward"))
    found = sl_convert(
        rate, "reference", data(rate), memory="auto", bits=1, progress=False, tolerate=100.0
    )
    assert "least energy of those that lose" in found.provenance["conversion"]["remarks"][1]

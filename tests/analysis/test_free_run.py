"""A network that sees its own predictions, against the same network fed with what it saw."""

import io
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from rich.console import Console

from spiking_lmu.analysis.free_run import FORCED, PERSISTENCE, FreeRun, free_run
from spiking_lmu.backends.registry import get_target
from spiking_lmu.cli.main import main
from spiking_lmu.conversion import convert
from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import DatasetError, SpecError, TargetError
from spiking_lmu.files.slmu import save
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Scaling, Task

EVERY = Task("regression", "every")
INPUTS, PROMPT = 24, 9


def sines(samples=3, inputs=INPUTS):
    """Sine waves about 2, and at each input the next."""
    phase = np.random.default_rng(0).uniform(0, 6, (samples, 1))
    x = 2.0 + 0.5 * np.sin(0.3 * np.arange(inputs + 1) + phase)[:, :, None]
    return Dataset("sines", "test", x[:, :-1], x[:, 1:], EVERY)


@pytest.fixture(scope="module")
def data():
    return sines()


@pytest.fixture(scope="module")
def rate(data):
    """A recurrent cell, untrained but for its readout, so that its loop stays in range."""
    spec = LmuSpec(
        order=3, theta=6.0, units=8, cell="recurrent", neuron=Neuron("tanh"), output_size=1
    )
    graph = build(spec, seed=1)
    small = (
        replace(p.with_weights(0.5 * p.weights)) if p.post == "readout" else p
        for p in graph.projections
    )
    graph = replace(graph, projections=tuple(small))
    return Model(graph, task=EVERY, scaling=Scaling.measured(data.x))


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("reference", {"code": "rate", "steps_per_input": 5}),
        ("reference", {"code": "level", "levels": 5}),
        pytest.param("loihi", {"code": "rate", "steps_per_input": 5}, marks=pytest.mark.slow),
        ("loihi", {"code": "level", "levels": 5, "free_running": True}),
        pytest.param("nengo-dl", {"code": "level", "levels": 5}, marks=pytest.mark.slow),
    ],
)
def test_what_it_saw_fed_to_the_open_network_gives_the_same_run(rate, data, target, options):
    module = {"loihi": "nengo_loihi", "nengo-dl": "nengo_dl"}.get(target, "nengo")
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    spiking = convert(rate, training_inputs=data, **options)
    found = free_run(spiking, data, PROMPT, target, verify=1)
    place, seen = get_target(target), found.inputs[target]
    alone = Model(spiking.graph, spiking.timing, spiking.task, spiking.activity)
    with place.deploy(alone, INPUTS) as deployment:
        run = deployment.run(seen)
    # On a chip the loop has what came back by the end of a presentation.
    ends = spiking.timing.presentation_ends(INPUTS) - place.latency(alone)
    np.testing.assert_array_equal(run.outputs[:, ends[PROMPT - 1 : -1]], found.predictions[target])
    assert found.spikes == sum(counts.sum() for counts in run.spikes.values()) / len(data)
    assert found.spikes > 0
    assert found.verified == (target != "nengo-dl")
    led = rate.scaled(np.asarray(data.x[:, :PROMPT], float))
    np.testing.assert_array_equal(seen[:, :PROMPT], led)
    after = rate.scaled(found.predictions[target][:, : INPUTS - PROMPT])
    np.testing.assert_allclose(seen[:, PROMPT:], after, atol=1e-12)


def test_the_rate_model_by_itself_is_a_loop_in_python(rate, data):
    found = free_run(rate, data, PROMPT)
    x = np.array(data.x, float)
    for k in range(PROMPT, INPUTS):
        x[:, k] = run_rate(rate.graph, rate.scaled(x[:, :k]))[:, -1]
    np.testing.assert_allclose(found.predictions["rate"], x[:, PROMPT:], atol=1e-12)
    assert found.target == "rate"
    assert found.spikes is None


def test_what_stands_beside_it(rate, data):
    found = free_run(rate, data, PROMPT)
    x = np.asarray(data.x, float)
    led = run_rate(rate.graph, rate.scaled(x))
    np.testing.assert_array_equal(found.predictions[FORCED], led[:, PROMPT - 1 : -1])
    assert (found.predictions[PERSISTENCE] == x[:, PROMPT - 1 : PROMPT]).all()
    np.testing.assert_array_equal(found.truth, x[:, PROMPT:])


def test_an_oracle_stays_near_for_ever_and_a_doubling_is_lost_when_it_must(tmp_path):
    """x[t+1] = c x[t] - x[t-1] continues a sine; with c a little off its phase is off too."""

    def oracle(c):
        populations = Population("x", 1), Population("old", 1), Population("y", 1)
        projections = (
            Projection("x", "old", delay=1),
            Projection("x", "y", np.array([[c]])),
            Projection("old", "y", np.array([[-1.0]])),
        )
        return Model(Graph(populations, projections, "x", "y"), task=EVERY)

    x = np.sin(0.3 * np.arange(81) + np.array([[0.0], [1.0]]))[:, :, None]
    data = Dataset("sines", "test", x[:, :-1], x[:, 1:], EVERY)
    exact = free_run(oracle(2 * np.cos(0.3)), data, 5)
    assert exact.steps == 75
    assert exact.valid("rate").value == 75
    assert exact.nrmse("rate", 75).value < 1e-4  # the data are float32
    assert exact.nrmse(PERSISTENCE, 10).value > 1  # half a period later
    off = free_run(oracle(2 * np.cos(0.33)), data, 5)
    # The phase is off by 0.03 a step, and 0.4 standard deviations are 0.28 of the amplitude.
    assert 5 <= off.valid("rate").value < 20
    found = free_run(oracle(2.5), data, 5)
    assert np.isinf(found.errors("rate")).sum() == 0
    assert found.valid("rate").value < 10
    assert "left to its own predictions" in str(found)


def made(errors):
    """A result whose errors are these, (series, steps)."""
    errors = np.asarray(errors, float)[:, :, None]
    truth = np.zeros_like(errors)
    return FreeRun("m", "d", "t", 1, truth, np.ones(1), {"t": errors}, {}, None, None, 1, 0)


def test_errors_in_closed_form():
    found = made([[0.1, 0.3, 0.5, 0.1], [0.4, 0.4, 0.4, 0.4], [3.0, 0.0, 0.0, np.inf]])
    assert found.valid_steps("t").tolist() == [2, 4, 0]
    assert found.valid("t").value == 2
    assert found.nrmse("t", 1).value == pytest.approx(np.sqrt((0.01 + 0.16 + 9) / 3))
    assert found.nrmse("t", 4).value == np.inf
    with pytest.raises(SpecError, match="step: got 5"):
        found.nrmse("t", 5)
    assert np.isnan(made([[0.1]]).valid("t").low)


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng, covered = np.random.default_rng(3), 0
    for _ in range(60):
        estimate = made(rng.exponential(size=(40, 1))).nrmse("t", 1)
        covered += estimate.low <= np.sqrt(2.0) <= estimate.high
    assert covered >= 48


def test_an_answer_that_comes_too_late_is_refused_with_what_to_do(rate, data):
    spiking = convert(rate, training_inputs=data, code="level", levels=3)
    with pytest.raises(
        TargetError, match=r"answers 2 steps after an input of 1.*code='level', free_running=True"
    ):
        free_run(spiking, data, PROMPT, "loihi")
    plain = Model(build(LmuSpec(order=3, theta=6.0, units=8, output_size=1)), task=EVERY)
    once = convert(plain, training_inputs=data, code="rate", steps_per_input=1)
    with pytest.raises(TargetError, match="convert with steps_per_input=3 or more"):
        free_run(once, data, PROMPT, "loihi")


def test_levels_give_the_same_with_time_for_the_answer_to_come_back(rate, data):
    quick, slow = (
        convert(rate, training_inputs=data, code="level", levels=5, free_running=free)
        for free in (False, True)
    )
    assert (quick.timing.steps_per_input, slow.timing.steps_per_input) == (1, 3)
    with pytest.raises(SpecError, match="free_running: got True with memory='line'"):
        convert(rate, training_inputs=data, code="level", memory="line", free_running=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": 0}, "prompt: got 0, expected 1 to 23"),
        ({"prompt": INPUTS}, "prompt: got 24"),
        ({"target": "reference"}, "reference for a rate model"),
        ({"samples": 9}, "samples: got 9"),
    ],
)
def test_what_cannot_be_is_said(rate, data, change, says):
    with pytest.raises(SpecError, match=says):
        free_run(rate, data, **{"prompt": PROMPT, **change})


def test_data_that_are_no_next_inputs_are_refused(rate, data):
    later = Dataset("far", "test", data.x[:, :-3], data.x[:, 3:], EVERY)
    with pytest.raises(DatasetError, match="answers that are not the next inputs"):
        free_run(rate, later, PROMPT)
    lengths = np.array([INPUTS, INPUTS, INPUTS - 2])
    ragged = Dataset("cut", "test", data.x, data.y, EVERY, lengths)
    with pytest.raises(DatasetError, match="several lengths"):
        free_run(rate, ragged, PROMPT)
    last = replace(rate, task=Task("regression", "last"))
    with pytest.raises(SpecError, match="got regression at the last step"):
        free_run(last, data, PROMPT)


def test_the_command_prints_the_table_and_writes_what_it_is_told(rate, data, tmp_path, capsys):
    spiking = convert(rate, training_inputs=data, code="level", levels=5)
    save(spiking, tmp_path / "s.slmu")
    np.savez(tmp_path / "mine.npz", x=data.x, y=data.y)
    files = {name: tmp_path / f"out.{name}" for name in ("json", "markdown", "report", "picture")}
    command = ["free-run", str(tmp_path / "s.slmu"), "--target", "reference", "--prompt", "9"]
    command += [
        "--data",
        f"{tmp_path / 'mine.npz'}?test=0.4",
        *(f"--{n}={p}" for n, p in files.items()),
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("persistence", "rate, led throughout", "reference"))
    assert all(path.stat().st_size > 100 for path in files.values())
    assert main([*command[:2], "--prompt", "24", "--data", f"{tmp_path / 'mine.npz'}"]) == 1
    assert "--prompt: got 24" in capsys.readouterr().err


@pytest.mark.parametrize("width", [50, 66, 80, 160])
def test_rows_keep_their_names_in_a_narrow_terminal(width):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4, 300, 1))
    named = {name: truth + 0.01 for name in (PERSISTENCE, FORCED, "rate", "nengo-dl")}
    ends = ({}, 12_345.0, None, 3, 1)
    found = FreeRun("a model", "mine", "nengo-dl", 50, truth, np.ones(1), named, *ends)
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(found)
    said = console.export_text()
    for name in named:
        assert f"\n {name}" in said or f"\n{name}" in said
    assert "Steps near" in said
    assert ("In a wider terminal: " in said) == (width < 100)

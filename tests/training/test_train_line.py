"""Hidden layer and readout trained on what a line sends."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from spiking_lmu import datasets
from spiking_lmu.conversion import convert
from spiking_lmu.conversion.measure import measure_activity
from spiking_lmu.datasets import from_arrays
from spiking_lmu.errors import FileError, SpecError
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.training.fine_tune import fine_tune
from spiking_lmu.training.line import (
    LineSchedule,
    LineSpec,
    bits_of,
    count_curve,
    train_line,
)
from spiking_lmu.training.train import TrainingSettings, train

from ..helpers.told import Told

LENGTH = 16


def ramps(samples: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Which of three places in a noisy sequence is bright."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, samples)
    x = 0.45 * rng.random((samples, LENGTH, 1))
    for i, place in enumerate(2 + 5 * y):
        x[i, place : place + 3] += 0.55
    return x, y


@pytest.mark.parametrize("order", [None, 10])
@pytest.mark.parametrize("bits", [1, 2])
def test_it_learns_and_its_graph_does_what_it_decides(order, bits):
    x, y = ramps()
    spec = LineSpec(LENGTH, order, units=12, output_size=3, bits=bits)
    schedule = LineSchedule(epochs=12, batch_size=25, learning_rate=0.01, dropout=0.0)
    seen = []
    trained = train_line(
        x, y, spec, schedule, held_out=100, report=lambda epoch, entry: seen.append(epoch)
    )
    assert seen == list(range(12))
    assert trained.curve[-1]["held_out_accuracy"] > 0.97
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"] / 3
    # The rate graph on the rounded inputs, and the line's spikes, decide the same.
    levels = 2**bits - 1
    rounded = np.floor(x[-100:] * levels + 0.5) / levels
    assert (run_reference(trained.graph, rounded)[:, -1].argmax(axis=1) == y[-100:]).mean() > 0.97
    model = Model(trained.graph, activity=measure_activity(trained.graph, rounded))
    spiking = convert(model, memory="line", bits=bits, training_inputs=x[:50])
    outputs = run_reference(spiking.graph, x[-100:], spiking.timing)[:, -1]
    assert (outputs.argmax(axis=1) == y[-100:]).mean() > 0.95


def test_training_goes_on_from_a_trained_network():
    x, y = ramps(300)
    spec = LineSpec(LENGTH, 10, units=12, output_size=3)
    schedule = LineSchedule(epochs=10, batch_size=25, learning_rate=0.01, dropout=0.0)
    first = train_line(x, y, spec, schedule)
    short = LineSchedule(epochs=1, batch_size=25, learning_rate=1e-6, dropout=0.0, quantised=1.0)
    again = train_line(x, y, spec, short, start=first.graph)
    assert again.curve[0]["loss"] == pytest.approx(first.curve[-1]["loss"], abs=0.1)
    np.testing.assert_allclose(
        again.graph["lmu.h"].bias, first.graph["lmu.h"].bias, rtol=1e-3, atol=1e-3
    )


def test_batches_are_augmented_and_held_out_samples_never_seen():
    x, y = ramps(60)
    x[-20:] = 1.0
    seen = []

    def note(batch, rng):
        seen.append(batch.copy())
        return batch

    schedule = LineSchedule(epochs=2, batch_size=10)
    train_line(
        x, y, LineSpec(LENGTH, None, units=4, output_size=3), schedule, held_out=20, augment=note
    )
    assert len(seen) == 8
    assert not (np.concatenate(seen) == 1.0).all(axis=(1, 2)).any()


def test_the_same_seed_gives_the_same_network():
    x, y = ramps(60)
    spec, schedule = LineSpec(LENGTH, None, units=4, output_size=3), LineSchedule(epochs=2)
    weights = [train_line(x, y, spec, schedule).graph.projections[2].weights for _ in range(2)]
    np.testing.assert_array_equal(*weights)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [2, 5])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(after, tmp_path):
    x, y = ramps(60)
    spec = LineSpec(LENGTH, 6, units=4, output_size=3, bits=2)
    schedule = LineSchedule(epochs=8, batch_size=10, quantised=0.5)
    whole = train_line(x, y, spec, schedule, held_out=10)
    path = tmp_path / "run.checkpoint.npz"

    def stop(epoch, entry):
        if epoch == after:
            raise Stopped

    with pytest.raises(Stopped):
        train_line(x, y, spec, schedule, held_out=10, report=stop, checkpoint=path)
    again = train_line(x, y, spec, schedule, held_out=10, checkpoint=path)
    assert again.curve == whole.curve
    for a, b in zip(again.graph.projections, whole.graph.projections, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_a_checkpoint_of_another_run_or_of_other_arrays_is_refused(tmp_path):
    x, y = ramps(40)
    path = tmp_path / "run.checkpoint.npz"
    spec = LineSpec(LENGTH, None, units=4, output_size=3)
    train_line(x, y, spec, LineSchedule(epochs=1, batch_size=10), checkpoint=path)
    with pytest.raises(FileError, match="another epochs"):
        train_line(x, y, spec, LineSchedule(epochs=2, batch_size=10), checkpoint=path)
    other = replace(spec, units=5)
    with pytest.raises(FileError, match="another units"):
        train_line(x, y, other, LineSchedule(epochs=1, batch_size=10), checkpoint=path)
    settings = {**asdict(spec), **asdict(LineSchedule(epochs=1, batch_size=10)), "held_out": 0}
    with pytest.raises(FileError, match=r"weights_0 of shape \(16, 4\)"):
        train_line(x, y, other, checkpoint=path, settings=settings)


def test_bits_are_those_of_the_rounded_number():
    x = np.random.default_rng(0).random(200)
    for bits in (1, 3, 8):
        values = bits_of(x, bits) @ (2 ** np.arange(bits))
        np.testing.assert_array_equal(values, np.floor(x * (2**bits - 1) + 0.5))


def test_a_slow_neuron_counts_nearly_what_it_should():
    activation, counted = count_curve(max_rate=300.0, hold=500.0, settle_steps=2000)
    inside = (activation > 0.3) & (activation < 1.0)
    assert np.abs(counted[inside] - activation[inside]).max() < 0.15
    # A neuron that spikes once a step at most falls behind where more would be asked for.
    beyond = activation > 3.5
    assert (counted[beyond] < 0.85 * activation[beyond]).all()


@pytest.mark.parametrize(
    ("x", "y", "wrong"),
    [
        (np.zeros((4, LENGTH, 2)), np.zeros(4, int), "shape"),
        (np.zeros((4, LENGTH, 1)), np.zeros(3, int), "3 classes"),
        (np.full((4, LENGTH, 1), 2.0), np.zeros(4, int), "outside -1 to 1"),
        (np.full((4, LENGTH, 1), np.nan), np.zeros(4, int), "outside -1 to 1"),
    ],
)
def test_data_that_do_not_fit_are_refused(x, y, wrong):
    with pytest.raises(SpecError, match=wrong):
        train_line(x, y, LineSpec(LENGTH, None, units=4, output_size=3))
    good = np.zeros((4, LENGTH, 1))
    with pytest.raises(SpecError, match="held_out"):
        train_line(good, np.zeros(4, int), LineSpec(LENGTH, None, units=4), held_out=4)


@pytest.mark.parametrize("whole", [False, True])
def test_the_library_trains_for_a_line(whole, monkeypatch):
    load = datasets.load
    monkeypatch.setattr(
        datasets, "load", lambda name, split, **_: load("psmnist", "test", samples=40)
    )
    result = train(
        "psmnist",
        memory="line",
        bits=2,
        whole_window=whole,
        order=8,
        units=5,
        epochs=2,
        batch_size=10,
        progress=False,
    )
    assert [set(entry) for entry in result.curve] == [{"loss", "accuracy"}] * 2
    graph = result.model.graph
    assert graph["lmu.m"].size == (784 if whole else 8)
    settings = result.model.provenance["training"]["settings"]
    assert (settings["memory"], settings["bits"], settings["whole_window"]) == ("line", 2, whole)
    # What was measured is the last input's, at which a line is read.
    sequences = load("psmnist", "test", samples=40).x
    seen = []
    run_reference(graph, sequences, observe=lambda step, values, _: seen.append(values["lmu.h"]))
    assert result.model.activity["lmu.h"].largest == pytest.approx(seen[-1].max(), rel=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": "line", "cell": "recurrent"},
        {"memory": "line", "neuron": "lif"},
        {"memory": "chip"},
        {"bits": 2},
        {"whole_window": True},
        {"memory": "line", "bits": 9},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"theta": 0.0},
        {"memories": 0},
        {"patience": 0},
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong):
    with pytest.raises(SpecError):
        TrainingSettings(**wrong)


def test_fine_tuning_for_a_line_repairs_what_one_bit_costs():
    x, y = ramps(1000)
    # The difference between the classes is in the size of values that one bit all calls 1.
    x = np.where(x > 0.5, x, 0.6 * x)
    spec = LineSpec(LENGTH, 10, units=16, output_size=3, bits=8)
    first = train_line(x, y, spec, LineSchedule(epochs=8, batch_size=25, learning_rate=0.01))
    model = Model(first.graph, activity=measure_activity(first.graph, x[:100]))
    data = from_arrays(x, y).train
    told = Told()
    tuned = fine_tune(
        model,
        data,
        memory="line",
        bits=1,
        batches=200,
        batch_size=20,
        learning_rate=3e-3,
        progress=told,
    )
    ((_, done, total, unit),) = told.began
    assert (done, total, unit) == (0, len(told.steps), "epochs")
    assert tuned.after >= tuned.before
    assert tuned.losses[-1] < tuned.losses[0]
    assert tuned.model.provenance["fine_tuning"]["memory"] == "line"
    # The memory stays what it was.
    for old, new in zip(model.graph.projections, tuned.model.graph.projections, strict=True):
        assert old.trainable or (old.weights == new.weights).all()
    spiking = convert(tuned.model, memory="line", bits=1, training_inputs=x[:50])
    outputs = run_reference(spiking.graph, x[-100:], spiking.timing)[:, -1]
    assert (outputs.argmax(axis=1) == y[-100:]).mean() > 0.95


def test_fine_tuning_for_a_line_takes_inputs_of_any_size():
    x, y = ramps(200)
    plain = build(LmuSpec(1, 3, 10, float(LENGTH), 8), seed=1)
    into = next(p for p in plain.projections if p.pre == "x")
    fifty = into.with_weights(into.transform.matrix(1) / 50)
    found = []
    for graph, inputs in (
        (plain, x / x.max()),
        (replace(plain, projections=(fifty, *plain.projections[1:])), 50 * (x / x.max())),
    ):
        model = Model(graph, activity=measure_activity(graph, inputs[:100]))
        data = from_arrays(inputs, y, test=(inputs, y)).train
        options = {"memory": "line", "bits": 2, "batches": 60, "progress": False}
        found.append(fine_tune(model, data, **options))
    assert plain.projections[0] is into
    assert found[1].after == found[0].after > found[0].before
    np.testing.assert_allclose(found[1].losses, found[0].losses, rtol=1e-3)


def test_fine_tuning_for_a_line_says_what_it_does_not_train():
    x, y = ramps(60)
    data = from_arrays(x, y).train
    recurrent = build(LmuSpec(1, 3, 6, 18.0, 5, cell="recurrent"))
    with pytest.raises(SpecError, match="linear memory that only the input drives"):
        fine_tune(Model(recurrent), data, memory="line")
    plain = Model(build(LmuSpec(1, 3, 6, 18.0, 5)))
    with pytest.raises(SpecError, match="levels, noise"):
        fine_tune(plain, data, memory="line", levels=5)

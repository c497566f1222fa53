"""Training on any sequences: what TensorFlow trained is what the graph computes; it learns."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu as sl
from spiking_lmu.datasets import from_arrays
from spiking_lmu.errors import DatasetError, SpecError
from spiking_lmu.graph.lmu import memory_matrices
from spiking_lmu.graph.task import Scaling
from spiking_lmu.training import sequences
from spiking_lmu.training.sequences import (
    SequenceSettings,
    _Cell,
    choose,
    fit,
    memories_of,
    rate_outputs,
    spectrum,
)
from spiking_lmu.training.train import train

RNG = np.random.default_rng(0)
LENGTHS = np.array([9, 5, 7, 9, 3, 8, 9, 6] * 2)
ROWS = [RNG.normal(size=(n, 3)) + 2 for n in LENGTHS]
TASKS = {
    "classification last": np.arange(16) % 3,
    "classification every": [RNG.integers(0, 3, n) for n in LENGTHS],
    "regression last": RNG.normal(size=(16, 2)) * 5 + 100,
    "regression every": [RNG.normal(size=(n, 2)) * 5 + 100 for n in LENGTHS],
}


CELLS: tuple[dict, ...] = (
    {},
    {"memories": 2},
    {"cell": "recurrent"},
    {"cell": "recurrent", "neuron": "tanh", "memories": 1},
    {"gather": True},
    {"gather": True, "cell": "recurrent", "memories": 2},
    {"cell": "dense"},
)


def possible(task, options):
    """An answer at every input has nothing to gather; a dense network remembers nothing."""
    if task.endswith("every"):
        return not options.get("gather")
    return options.get("cell") != "dense"


@pytest.mark.parametrize(
    ("task", "options"), [(t, o) for o in CELLS for t in TASKS if possible(t, o)], ids=str
)
def test_the_graph_is_what_was_trained(task, options):
    """The definition in NumPy against TensorFlow, for each sample's own length."""
    data = from_arrays(ROWS, TASKS[task], test=(ROWS, TASKS[task]), task=task).train
    settings = SequenceSettings(units=5, order=4, theta=6.0, **options)
    scaling = Scaling.measured(data.x, data.lengths)
    cell = _Cell(choose(data, settings), data, scaling, settings)
    for variable in cell.weights.values():
        variable.assign(RNG.normal(size=variable.shape) * 0.5)
    theirs = cell.predict(cell._inputs(data))
    middle, spread = cell._answers
    theirs = theirs * spread + middle if not data.task.classifies else theirs
    model = sl.Model(cell.graph(), task=data.task, scaling=scaling)
    ours = rate_outputs(model, data)
    if not data.task.every:
        np.testing.assert_allclose(ours, theirs[:, 0], rtol=2e-4, atol=2e-4)
    else:
        np.testing.assert_allclose(ours[data.mask], theirs[data.mask], rtol=2e-4, atol=2e-4)


def test_memories_are_their_recurrence():
    spec = choose(
        from_arrays(ROWS, TASKS["classification last"]).train, SequenceSettings(order=5, theta=7.0)
    )
    x = RNG.normal(size=(2, 6, 3))
    held = memories_of(x, spec)
    a, b = memory_matrices(5, 7.0)
    powers = [np.linalg.matrix_power(a, k) @ b[:, 0] for k in range(6)]
    expected = sum(x[1, 5 - k, 2] * powers[k] for k in range(6))
    np.testing.assert_allclose(held[1, 5, 2], expected, rtol=1e-5, atol=1e-6)


def test_defaults_follow_the_data():
    t = np.arange(400)
    x = np.sin(2 * np.pi * t / 40 + RNG.uniform(0, 6, (8, 1)))
    every = from_arrays(x, x, task="regression every").train
    mean, _ = spectrum(every)
    assert mean == pytest.approx(1 / 40, rel=0.1)
    spec = choose(every, SequenceSettings())
    assert 60 < spec.theta < 100
    assert spec.order < 20
    last = from_arrays(x, np.arange(8) % 2).train
    assert choose(last, SequenceSettings(gather=False)).theta == 400
    assert choose(last, SequenceSettings(gather=True)).theta == spec.theta
    wide = from_arrays(RNG.normal(size=(8, 9, 40)), np.arange(8) % 2).train
    assert choose(wide, SequenceSettings()).memories == 16


def waves(samples=60, seed=0):
    """Two frequencies at any phase, two channels, different lengths."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    t = np.arange(30)[:, None]
    rows = [
        np.sin(t * (0.5 + 0.4 * k) + rng.uniform(0, 6)) * [1, 20] + rng.normal(size=(30, 2)) * 0.2
        for k in y
    ]
    return [row[: rng.integers(20, 31)] for row in rows], np.array(["slow", "fast"])[y]


@pytest.mark.slow
def test_it_learns_and_says_what_it_did(tmp_path):
    data = from_arrays(*waves(), test=waves(seed=1), name="waves")
    result = train(data, epochs=40, units=24, progress=False)
    assert result.score.correct >= 57
    model = result.model
    assert model.task.names == ("fast", "slow")
    assert model.scaling.range[1] > 5 * model.scaling.range[0]
    record = model.provenance["training"]
    json.dumps(record, allow_nan=False)
    assert record["settings"]["gather"] in (True, False)
    assert record["data_digest"] == data.train.digest
    sl.save(model, tmp_path / "a.slmu")
    np.testing.assert_allclose(
        rate_outputs(sl.load(tmp_path / "a.slmu"), data.test), rate_outputs(model, data.test)
    )
    # The same seed gives the same network; nothing of the test part decides it.
    other = from_arrays(*waves(), test=waves(seed=2), name="waves")
    again = train(other, epochs=40, units=24, progress=False)
    assert again.model.digest == model.digest


@pytest.mark.slow
def test_it_is_trained_on_for_levels(monkeypatch):
    import spiking_lmu.training.fine_tune as fine_tune_module

    asked, real = [], fine_tune_module.fine_tune

    def few(model, data, settings, **more):
        asked.append((model, data, settings))
        return real(model, data, replace(settings, batches=3), **more)

    monkeypatch.setattr(fine_tune_module, "fine_tune", few)
    data = from_arrays(*waves(), test=waves(seed=1), name="waves")
    tuned = train(data, epochs=1, units=6, gather=False, levels=3, progress=False)
    ((before, samples, settings),) = asked
    assert settings.levels == 3
    assert samples is data.train
    assert before.scaling == tuned.model.scaling
    assert before.graph != tuned.model.graph
    assert tuned.settings["levels"] == 3
    assert tuned.model.activity


def test_levels_go_with_neurons_that_can_be_trained_on():
    data = from_arrays(*waves(), name="waves")
    for wrong in ({"neuron": "lif"}, {"memory": "line"}, {"levels": 1}):
        with pytest.raises(SpecError, match="levels"):
            train(data, progress=False, **{"levels": 5, **wrong})


def test_validation_stops_training():
    noise = from_arrays(RNG.normal(size=(40, 6)), RNG.integers(0, 2, 40), test_share=0.2)
    found = fit(noise, SequenceSettings(patience=3, units=16, gather=False, refit=False))
    assert len(found.curve) == found.spec["stopped_after"] + 3 < 60


def test_what_cannot_be_trained():
    data = from_arrays(ROWS, TASKS["classification last"])
    for wrong in (
        {"cell": "dense"},
        {"memories": 4},
        {"neuron": "tanh"},
        {"shift": 2},
        {"trainer": "nengo-dl", "cell": "recurrent"},
    ):
        with pytest.raises(SpecError):
            train(data, progress=False, **wrong)
    with pytest.raises(SpecError, match="theta"):
        train("psmnist", theta=5.0)


def test_classes_are_weighed():
    from spiking_lmu.training.sequences import class_weights

    y = np.array([0] * 12 + [1] * 4)
    data = from_arrays(RNG.normal(size=(16, 5)), y, test=(np.zeros((1, 5)), [1])).train
    np.testing.assert_allclose(class_weights(data, True), [16 / 24, 16 / 8])
    assert (class_weights(data, None) == 1).all()
    f1 = replace(data, task=replace(data.task, metric="f1"))
    assert (class_weights(f1, None) == class_weights(data, True)).all()


def test_data_that_do_not_fit_into_memory_are_refused_before_they_are_read(monkeypatch):
    """With as many samples as the refusal says it trains."""
    data = from_arrays(ROWS, TASKS["classification last"], test=(ROWS, np.arange(16) % 3))
    monkeypatch.setattr(sequences, "free_bytes", lambda: 40_000)
    with pytest.raises(DatasetError, match=r"16 samples that take 0\.0 GiB") as found:
        fit(data, SequenceSettings(epochs=1, order=6))
    fewer = int(re.search(r"train on (\d+) of them", found.value.fix)[1])
    assert 4 < fewer < 16
    part = from_arrays(ROWS[:fewer], np.arange(fewer) % 3, test=(ROWS, np.arange(16) % 3))
    sequences._require_room(part.train, 6)
    monkeypatch.setattr(sequences, "free_bytes", lambda: 100)
    with pytest.raises(DatasetError, match="shorter samples"):
        fit(data, SequenceSettings(epochs=1, order=6))

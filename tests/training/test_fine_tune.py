"""Training on with rounded or noisy activations."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from spiking_lmu.conversion import Options, convert
from spiking_lmu.datasets.dataset import Dataset
from spiking_lmu.errors import DatasetError, FileError, SpecError
from spiking_lmu.graph.graph import Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task
from spiking_lmu.training.checkpoint import load_checkpoint, save_checkpoint
from spiking_lmu.training.fine_tune import Unrolled, fine_tune, loss_and_slope
from spiking_lmu.training.tuned import FineTuningSettings

from ..helpers.told import Told

STEPS = 12


def cell(kind="tanh", feedback=False, outputs=2):
    spec = LmuSpec(
        order=4, theta=8.0, units=6, cell="recurrent", neuron=Neuron(kind), output_size=outputs
    )
    graph = build(spec, seed=2)
    if feedback:
        back = Projection("lmu.h", "lmu.u", 0.3 * np.ones((1, 6)), delay=1, name="back")
        graph = replace(graph, projections=(*graph.projections, back))
    return graph


def remembering(samples, seed=0):
    """Whether the second input was positive: 0 or 1, and noise after it."""
    rng = np.random.default_rng(seed)
    x = 0.2 * rng.normal(size=(samples, STEPS, 1))
    x[:, 1, 0] = rng.choice([-1.0, 1.0], samples)
    return Dataset("sign", "train", x, x[:, 1, 0] > 0, Task(names=("minus", "plus")))


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("kind", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("task", ["classification", "classification every", "regression every"])
def test_the_gradient_is_the_slope_of_the_loss(kind, feedback, task):
    rng = np.random.default_rng(0)
    graph, task = cell(kind, feedback), Task.parse(task)
    x = rng.normal(size=(3, 7, 1)).astype(np.float32)
    answers = rng.integers(0, 2, (3, 7)) if task.classifies else rng.normal(size=(3, 7, 2))
    if not task.every:
        answers = answers[:, 0]
    lengths = np.array([7, 5, 7])
    network = Unrolled(graph, lambda name, values: values)
    np.testing.assert_allclose(
        np.moveaxis(network.forward(x), 0, 1), run_reference(graph, x), atol=1e-5
    )
    _, slope = loss_and_slope(task, network.forward(x), answers, lengths)
    gradient = network.backward(slope)
    assert set(gradient) == set(network.parameters)
    for name, values in network.parameters.items():
        direction = rng.normal(size=values.shape).astype(np.float32)
        losses = []
        for step in (2e-3, -2e-3):
            values += np.float32(step) * direction
            losses.append(loss_and_slope(task, network.forward(x), answers, lengths)[0])
            values -= np.float32(step) * direction
        want = (losses[0] - losses[1]) / 4e-3
        got = float((gradient[name] * direction).sum())
        assert got == pytest.approx(want, rel=0.05, abs=4e-3), name


def test_it_learns_with_few_levels():
    """A task that the untrained cell cannot do becomes one that three levels do."""
    data = remembering(400)
    tuned = fine_tune(Model(cell()), data, levels=3, batches=250, batch_size=50, learning_rate=0.01)
    assert tuned.before < 0.75
    assert tuned.after > 0.95
    assert len(tuned.losses) == 250
    fresh = remembering(200, seed=1)
    options = Options(code="level", levels=3, input_bits=8)
    spiking = convert(tuned.model, options, training_inputs=data.x)
    outputs = run_reference(spiking.graph, fresh.x, spiking.timing)[:, -1]
    assert (outputs.argmax(axis=1) == fresh.y).mean() > 0.9


def test_the_same_seed_gives_the_same_model():
    data, told = remembering(60), Told()
    first, second = (
        fine_tune(
            Model(cell()),
            data,
            noise=0.1,
            batches=5,
            seed=seed,
            progress=told,
        )
        for seed in (3, 3)
    )
    assert first.model.digest == second.model.digest
    assert first.losses == second.losses
    assert told.began == [("training on sign", 0, 5, "batches")] * 2
    assert told.steps == [f"loss {loss:.4f}" for loss in (*first.losses, *second.losses)]
    other = fine_tune(Model(cell()), data, noise=0.1, batches=5, seed=4)
    assert other.model.digest != first.model.digest


class Stopping(Told):
    """Stops what it is told of after so many steps."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def advance(self, amount, label=""):
        self.left -= amount
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("choices", [{"levels": 3}, {"noise": 0.1}])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, choices):
    data, told = remembering(70), Told()
    choices = {"batches": 120, "batch_size": 16, **choices}
    whole = fine_tune(Model(cell()), data, progress=False, **choices)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(
            Model(cell()), data, checkpoint=tmp_path / "c.npz", progress=Stopping(70), **choices
        )
    again = fine_tune(Model(cell()), data, checkpoint=tmp_path / "c.npz", progress=told, **choices)
    assert told.began == [("training on sign", 50, 120, "batches")]
    assert again.model.digest == whole.model.digest
    assert again.losses == whole.losses
    assert (again.before, again.after) == (whole.before, whole.after)


def test_another_runs_checkpoint_or_a_damaged_one_is_refused(tmp_path):
    data, path = remembering(40), tmp_path / "c.npz"
    choices = {"batch_size": 8, "progress": False, "checkpoint": path}
    fine_tune(Model(cell()), data, levels=3, batches=50, **choices)
    for other in ({"levels": 5, "batches": 50}, {"levels": 3, "batches": 60}):
        with pytest.raises(FileError, match="another"):
            fine_tune(Model(cell()), data, **other, **choices)
    with pytest.raises(FileError, match="another data"):
        fine_tune(Model(cell()), remembering(41), levels=3, batches=50, **choices)
    settings = {
        **asdict(FineTuningSettings(levels=3, batches=50, batch_size=8)),
        "model": Model(cell()).digest,
        "data": data.digest,
    }
    found = load_checkpoint(path, settings)
    far = [*found.optimizer[:-1], np.array([40])]
    save_checkpoint(path, replace(found, optimizer=far))
    with pytest.raises(FileError, match="samples that the data do not have"):
        fine_tune(Model(cell()), data, levels=3, batches=50, **choices)
    for broken in (found.optimizer[:-2], [np.zeros(3), *found.optimizer[1:]]):
        save_checkpoint(path, replace(found, optimizer=broken))
        with pytest.raises(FileError, match="delete it to train from the start"):
            fine_tune(Model(cell()), data, levels=3, batches=50, **choices)


def test_what_is_fixed_stays():
    """The memory is no parameter, and what was tuned is on record."""
    graph = cell()
    tuned = fine_tune(Model(graph), remembering(60), levels=5, batches=3)
    for p in graph.projections:
        (now,) = [q for q in tuned.model.graph.projections if q.name == p.name]
        assert p.trainable == bool((now.weights != p.weights).any()), p.name
    assert tuned.model.provenance["fine_tuning"]["levels"] == 5
    assert tuned.model.provenance["fine_tuning"]["source_digest"] == Model(graph).digest


def test_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, STEPS, 1))
    answers = np.cumsum(x, axis=1) / STEPS
    data = Dataset("sum", "train", x, answers, Task("regression", "every"))
    model = Model(cell(outputs=1), task=data.task)
    tuned = fine_tune(model, data, levels=9, batches=120, batch_size=20, learning_rate=0.02)
    assert tuned.exact_after < 0.5 * tuned.exact_before
    assert tuned.after < tuned.before


@pytest.mark.parametrize("choices", [{"levels": 3}, {"noise": 0.1}])
def test_padding_decides_nothing(choices):
    """Levels, noise and activity are those of the samples, whatever stands behind their ends."""
    data = remembering(60)
    lengths = np.random.default_rng(1).integers(2, STEPS + 1, len(data))
    models = []
    for padding in (0.0, 50.0):
        x = np.where(np.arange(STEPS)[:, None] < lengths[:, None, None], data.x, padding)
        ragged = replace(data, x=x, lengths=lengths)
        tuned = fine_tune(Model(cell()), ragged, batches=51, batch_size=10, **choices)
        models.append(tuned.model)
    assert models[0].digest == models[1].digest
    assert models[0].activity == models[1].activity


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"levels": 1}, "levels: got 1"),
        ({"noise": -1.0}, r"noise: got -1\.0"),
        ({"noise": float("nan")}, "noise: got nan"),
        ({"noise": "much"}, "noise: got 'much'"),
        ({"batches": 0}, "batches: got 0"),
        ({"batches": 2.5}, r"batches: got 2\.5"),
        ({"learning_rate": 0.0}, r"learning_rate: got 0\.0"),
        ({"seed": -1}, "seed: got -1"),
        ({"memory": "chip"}, "memory: got 'chip'"),
        ({"bits": 2}, "bits, target: got one of them with memory='host'"),
        ({"memory": "line", "bits": 9}, "bits: got 9"),
        ({"epochs": 3}, "epochs: got 3, expected levels, noise"),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(SpecError, match=said):
        fine_tune(Model(cell()), remembering(20), **options)


def test_data_that_are_not_the_models():
    """Before anything is trained; and no sample is left where the only one is held out."""
    data, model = remembering(20), Model(cell())
    two_channels = Dataset("sign", "train", np.repeat(data.x, 2, 2), data.y, data.task)
    with pytest.raises(DatasetError, match="2 numbers an input, expected 1"):
        fine_tune(model, two_channels)
    with pytest.raises(DatasetError, match="regression"):
        fine_tune(Model(cell(), task="regression"), data)
    with pytest.raises(DatasetError, match="1 sample, expected at least 2"):
        fine_tune(model, data.subset([0]))
    assert fine_tune(model, data.subset([0, 1]), batches=2, progress=False).held_out == 1


def test_answers_that_overflow_are_one_line():
    """And no warning of NumPy's, which would be an error here."""
    x = np.random.default_rng(0).normal(size=(2, STEPS, 1))
    data = Dataset("huge", "train", x, [[3e38], [3e38]], Task("regression", "last"))
    with pytest.raises(SpecError, match="gradient that is not finite"):
        fine_tune(Model(cell(outputs=1), task=data.task), data, levels=5, batches=3)


def test_of_a_spiking_model_its_rate_model_is_trained():
    data, rate = remembering(20), Model(cell())
    spiking = convert(rate, Options(code="level"), training_inputs=data.x)
    expected, tuned = (
        fine_tune(model, data, levels=5, batches=3).model for model in (rate, spiking)
    )
    assert not tuned.graph.spiking
    assert "conversion" not in tuned.provenance
    assert tuned.digest == expected.digest != rate.digest


def test_models_that_are_not_trained_here():
    data = remembering(20)
    with pytest.raises(SpecError, match="lif_rate"):
        fine_tune(Model(cell("lif_rate")), data)

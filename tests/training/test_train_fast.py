"""The fast trainer against NengoDL: the same logits, gradients and parameters."""

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo_dl
from spiking_lmu.compat.quiet import quiet_import
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.lmu import LmuSpec
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.training.fast import WEIGHTS, FastCell
from spiking_lmu.training.fast_loop import FastSchedule, Trainer, fit_fast
from spiking_lmu.training.images import ImageEpochs
from spiking_lmu.training.loop import TrainingSchedule
from spiking_lmu.training.recurrent import build_trainable, write_params

RNG = np.random.default_rng(0)
LENGTH = 16
SEQUENCES = RNG.uniform(0, 1, (12, LENGTH)).astype(np.float32)
LABELS = RNG.integers(0, 3, 12)


def spec(kind="tanh", **changes):
    sizes = {"output_size": 3, "order": 6, "theta": 16.0, "units": 8, "cell": "recurrent"}
    return LmuSpec(**{**sizes, "neuron": Neuron(kind), **changes})


@pytest.fixture(scope="module")
def nengo_dl_simulator():
    weights = {p.name: p.weights for p in FastCell(spec(), LENGTH, seed=1).graph().projections}
    network, x = build_trainable(spec(), 0, weights)
    with quiet_import():
        simulator = import_nengo_dl().Simulator(
            network, minibatch_size=12, seed=0, progress_bar=False
        )
    with simulator:
        yield x, simulator


def gradients(cell, x, y):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logits = cell.logits(tf.constant(x))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    found = tape.gradient(loss, cell.variables)
    return logits.numpy(), {n: g.numpy() for n, g in zip(cell.weights, found, strict=True)}


def nengo_dl_gradients(simulator, node, x, y):
    import tensorflow as tf

    model = simulator.keras_model
    steps = np.full((len(x), 1), x.shape[1], np.int32)
    with tf.GradientTape() as tape:
        (logits,) = tf.nest.flatten(model([x[..., None], steps], training=True))[:1]
        last = logits[:, -1]
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, last))
    found = tape.gradient(loss, model.trainable_variables)
    return last.numpy(), [
        (v.numpy(), g.numpy()) for v, g in zip(model.trainable_variables, found, strict=True)
    ]


def test_logits_and_gradients_are_nengo_dls(nengo_dl_simulator):
    x, simulator = nengo_dl_simulator
    cell = FastCell(spec(), LENGTH, seed=1)
    logits, mine = gradients(cell, SEQUENCES, LABELS)
    theirs_logits, theirs = nengo_dl_gradients(simulator, x, SEQUENCES, LABELS)
    np.testing.assert_allclose(logits, theirs_logits, atol=1e-5)
    for name in WEIGHTS:
        value = cell.weights[name].numpy()
        (gradient,) = [g for v, g in theirs if v.shape == value.shape and np.allclose(v, value)]
        assert np.abs(gradient).max() > 1e-4
        np.testing.assert_allclose(mine[name], gradient, atol=1e-5)


@pytest.mark.parametrize(
    "chosen",
    [
        spec(),
        spec("relu"),
        spec("relu", current_tau=3.0, recurrence_tau=4.0),
        spec("relu", recurrence_tau=4.0),
    ],
)
def test_the_graph_gives_the_logits_that_were_trained(chosen):
    cell = FastCell(chosen, LENGTH, seed=2)
    for name in ("lmu.h.bias", "readout.bias"):
        if name in cell.weights:
            cell.weights[name].assign(RNG.uniform(0, 0.3, cell.weights[name].shape))
    logits = cell.logits(SEQUENCES).numpy()
    outputs = run_reference(cell.graph(), SEQUENCES[..., None])[:, -1]
    np.testing.assert_allclose(outputs, logits, atol=1e-5)
    cell.weights["lmu.h_to_h"].assign(np.zeros((8, 8)))
    alone = cell.logits_from_memory(SEQUENCES).numpy()
    assert np.abs(alone - logits).max() > 1e-3
    np.testing.assert_allclose(cell.logits(SEQUENCES).numpy(), alone, atol=1e-5)


def test_gradients_through_filters_and_mask_are_those_of_differences():
    import tensorflow as tf

    cell = FastCell(spec("relu", current_tau=3.0, recurrence_tau=4.0), LENGTH, seed=3)
    cell.weights["lmu.h.bias"].assign(np.full(8, 0.2))
    mask = tf.constant(RNG.uniform(0.5, 1.5, (12, 8)), tf.float32)

    def loss():
        return tf.reduce_sum(tf.sin(cell.logits(tf.constant(SEQUENCES), mask)))

    with tf.GradientTape() as tape:
        value = loss()
    found = dict(zip(cell.weights, tape.gradient(value, cell.variables), strict=True))
    for name, variable in cell.weights.items():
        direction = RNG.normal(size=variable.shape).astype(np.float32)
        start, step = variable.numpy(), 1e-3
        values = []
        for sign in (1, -1):
            variable.assign(start + sign * step * direction)
            values.append(float(loss()))
        variable.assign(start)
        slope = float(np.sum(found[name].numpy() * direction))
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=0.02, abs=2e-3)


def test_nengo_dl_loads_the_parameters(tmp_path, nengo_dl_simulator):
    x, simulator = nengo_dl_simulator
    cell = FastCell(spec(), LENGTH, seed=5)
    write_params(spec(), cell.graph(), tmp_path / "trained.npz")
    simulator.load_params(str(tmp_path / "trained"))
    (theirs,) = simulator.predict({x: SEQUENCES[..., None]}).values()
    np.testing.assert_allclose(theirs[:, -1], cell.logits(SEQUENCES).numpy(), atol=1e-5)


def train(path, *, stop=None, epochs=2, warm_up=2, **extra):
    images = SEQUENCES.reshape(12, 4, 4)
    data = ImageEpochs(images, LABELS, RNG.permutation(16) * 0 + np.arange(16), shift=1, held_out=2)
    cell = FastCell(spec("relu", recurrence_tau=3.0), LENGTH, seed=0)

    def report(epoch, step, steps, values):
        if stop == (epoch, step):
            raise KeyboardInterrupt

    schedule = TrainingSchedule(epochs, 5, 1e-2, 0)
    more = FastSchedule(warm_up, 1e-2, 0.1, 0.1)
    curve = fit_fast(cell, data, schedule, more, path, {"seed": 0}, report)
    return cell, curve


@pytest.mark.parametrize("stop", [(1, 1), (2, 1), (3, 2)])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, stop):
    whole, curve = train(tmp_path / "whole.npz")
    assert len(curve) == 4
    assert curve[-1]["loss"] < curve[0]["loss"]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "part.npz", stop=stop)
    resumed, again = train(tmp_path / "part.npz")
    assert [e["loss"] for e in again] == pytest.approx([e["loss"] for e in curve], rel=1e-5)
    for name, value in whole.weights.items():
        np.testing.assert_allclose(resumed.weights[name].numpy(), value.numpy(), atol=1e-6)


def test_a_long_gradient_is_shortened():
    moved = {}
    for clip in (None, 1e-4):
        cell = FastCell(spec("relu"), LENGTH, seed=0)
        extra = FastSchedule(warm_up=0, dropout=0.0, clip=clip)
        trainer = Trainer(cell, TrainingSchedule(1, len(LABELS), 1e-2), extra, steps=10, warm=False)
        trainer.optimizer.epsilon = 1.0  # so that a step follows the gradient's length
        before = cell.weights["lmu.h_to_h"].numpy()
        trainer.step(SEQUENCES, LABELS, (0, 0))
        moved[clip] = np.abs(cell.weights["lmu.h_to_h"].numpy() - before).max()
    assert 0 < moved[1e-4] < 0.1 * moved[None]


def test_another_network_is_refused():
    with pytest.raises(SpecError, match="fast trainer"):
        FastCell(spec(cell="feedforward"), LENGTH)

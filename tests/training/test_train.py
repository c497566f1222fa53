"""Training on made-up data: what is learned lands in the graph, and a killed run goes on."""

import zipfile

import numpy as np
import pytest

from spiking_lmu.backends.registry import get_target
from spiking_lmu.compat import import_nengo_dl
from spiking_lmu.compat.quiet import quiet_import
from spiking_lmu.conversion import Options, convert, measure_activity
from spiking_lmu.errors import FileError
from spiking_lmu.files.archive import npy, write_archive
from spiking_lmu.graph.lmu import LmuSpec
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing
from spiking_lmu.importers import from_nengo_dl
from spiking_lmu.report.curve_plot import plot_curve
from spiking_lmu.training import feedforward, recurrent
from spiking_lmu.training.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint
from spiking_lmu.training.images import shifted
from spiking_lmu.training.loop import TrainingSchedule, fit

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 1, (60, 4, 4)).astype(np.float32)
LABELS = (IMAGES.mean(axis=(1, 2)) > 0.5).astype(int)
IMAGES[LABELS == 1] *= 1.5
PERMUTATION = RNG.permutation(16)
SEQUENCES = IMAGES.reshape(60, 16)[:, PERMUTATION, None]


def spec(**changes):
    return LmuSpec(**{"output_size": 2, "order": 6, "theta": 16.0, "units": 8, **changes})


def epochs(chosen, shift=1):
    return feedforward.MemoryEpochs(IMAGES, LABELS, PERMUTATION, chosen, shift=shift, held_out=20)


def train(chosen, path, total=4, stop=None, settings=None):
    network, parts = feedforward.build_trainable(chosen, 0.1, seed=0)
    told = []

    def report(epoch, step, steps, values):
        told.append((epoch, step))
        if stop == (epoch, step):
            raise KeyboardInterrupt

    with quiet_import():
        simulator = import_nengo_dl().Simulator(
            network, minibatch_size=10, seed=0, progress_bar=False
        )
    with simulator:
        schedule = TrainingSchedule(total, 10, 1e-2, 0)
        arguments = (simulator, parts["input"], epochs(chosen), schedule, 4, path)
        curve = fit(*arguments, settings or {"seed": 0}, report)
        return feedforward.trained_graph(chosen, simulator, parts), curve, told


@pytest.mark.parametrize("kind", ["relu", "lif"])
def test_full_network_gives_the_logits_that_were_trained(tmp_path, kind):
    """Hidden layer and readout, trained on the memory alone, in the full NengoDL network."""
    chosen = spec(neuron=feedforward.hidden_neuron(kind))
    graph, curve, _ = train(chosen, tmp_path / "a.npz")
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert 0 <= curve[-1]["held_out_accuracy"] <= 1
    memories = epochs(chosen)._present(IMAGES[:5].reshape(5, 16)[:, PERMUTATION])[:, 0]
    weights = {p.name: p.weights for p in graph.projections}
    from spiking_lmu.graph.neurons import response

    hidden = response(chosen.neuron, memories @ weights["lmu.m_to_h"].T + graph["lmu.h"].bias)
    trained = hidden @ weights["readout_weights"].T + graph["readout"].bias
    model = Model(graph, Timing())
    with get_target("nengo-dl").deploy(model, 16, batch_size=5) as deployment:
        full = deployment.run(SEQUENCES[:5]).outputs[:, -1]
    np.testing.assert_allclose(full, trained, atol=1e-5)
    np.testing.assert_allclose(run_reference(graph, SEQUENCES[:5])[:, -1], trained, atol=1e-5)


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path):
    whole, curve, _ = train(spec(), tmp_path / "whole.npz")
    with pytest.raises(KeyboardInterrupt):
        train(spec(), tmp_path / "part.npz", stop=(2, 1))
    resumed, again, told = train(spec(), tmp_path / "part.npz")
    assert told[0] == (2, 1)
    assert [entry["loss"] for entry in again] == pytest.approx(
        [entry["loss"] for entry in curve], rel=1e-5
    )
    for one, other in zip(whole.projections, resumed.projections, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)


def test_another_runs_checkpoint_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    assert load_checkpoint(path, {"seed": 0}) is None
    save_checkpoint(path, Checkpoint({"seed": 0}, [{"loss": 1.0}], [np.ones(2)], [np.zeros(())]))
    loaded = load_checkpoint(path, {"seed": 0})
    assert loaded.epochs == 1
    np.testing.assert_array_equal(loaded.weights[0], np.ones(2))
    with pytest.raises(FileError, match="another seed"):
        load_checkpoint(path, {"seed": 1})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="not a whole ZIP archive"):
        load_checkpoint(path, {"seed": 0})


def edited(path, name, content):
    """The checkpoint with the entry ``name`` replaced or added."""
    with zipfile.ZipFile(path) as file:
        entries = {entry: file.read(entry) for entry in file.namelist()}
    with path.open("wb") as file:
        write_archive(file, {**entries, name: content})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.json", b"{}", "settings"),
        ("manifest.json", b'{"settings": {"seed": 0}, "curve": 5}', "curve"),
        ("manifest.json", b'{"settings": {"seed": 0}, "curve": [{"loss": 1e999}]}', "1e999"),
        ("manifest.json", b'{"settings": {"seed": 0}, "curve": [{"loss": "x"}]}', "curve"),
        ("weights_0.npy", b"\x93NUMPY\x01\x00\xf4\x01" + b"(" * 500, "header"),
        ("weights_0.npy", npy(np.full(2, np.nan)), "NaN"),
        ("weights_7.npy", npy(np.ones(2)), "no entry"),
        ("stranger.npy", npy(np.ones(2)), "other entries"),
    ],
)
def test_a_hostile_checkpoint_is_refused(tmp_path, name, content, message):
    path = tmp_path / "a.npz"
    save_checkpoint(path, Checkpoint({"seed": 0}, [{"loss": 1.0}], [np.ones(2)], [np.zeros(())]))
    edited(path, name, content)
    with pytest.raises(FileError, match=message):
        load_checkpoint(path, {"seed": 0})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([np.ones(3, np.float32)], r"weights_0 of shape \(3,\)"),
        ([np.ones(2)], "dtype float64"),
        ([], "0 arrays of weights, not 1"),
    ],
)
def test_a_checkpoint_of_other_shapes_changes_nothing(tmp_path, weights, message):
    tf = pytest.importorskip("tensorflow", reason="needs: pip install 'spiking-lmu[dl]'")
    variables = [tf.Variable(np.zeros(2, np.float32))], [tf.Variable(0)]
    with pytest.raises(FileError, match=message):
        restore(tmp_path / "a", Checkpoint({}, [], weights, [np.int32(1)]), variables)
    assert not variables[0][0].numpy().any()
    good = Checkpoint({}, [], [np.ones(2, np.float32)], [np.array(3, np.int32)])
    restore(tmp_path / "a", good, variables)
    assert variables[0][0].numpy().tolist() == [1, 1]


def test_recurrent_cell_trains_imports_and_converts(tmp_path):
    chosen = spec(cell="recurrent", neuron=Neuron("tanh"))
    network, x = recurrent.build_trainable(chosen, seed=0)
    data = recurrent.SequenceEpochs(IMAGES, LABELS, PERMUTATION, shift=0, held_out=20, samples=20)
    with quiet_import():
        simulator = import_nengo_dl().Simulator(
            network, minibatch_size=10, seed=0, progress_bar=False
        )
    with simulator:
        schedule = TrainingSchedule(2, 10, 1e-2, 0)
        fit(simulator, x, data, schedule, 2, tmp_path / "r.npz", {}, lambda *_: None)
        graph = from_nengo_dl(network, simulator)
        logits = simulator.predict({x: SEQUENCES[:10]})
    (trained,) = logits.values()
    np.testing.assert_allclose(
        run_reference(graph, SEQUENCES[:10])[:, -1], trained[:, -1], atol=1e-5
    )
    rate = Model(graph, activity=measure_activity(graph, SEQUENCES))
    spiking = convert(rate, Options(steps_per_input=100, synapse_tau=0.02, readout_tau=0.02))
    outputs = run_reference(spiking.graph, SEQUENCES[:3], spiking.timing)[:, -1]
    assert np.abs(outputs - trained[:3, -1]).max() < 0.5 * np.abs(trained[:3, -1]).max()


def test_shifts_keep_the_picture_and_move_it():
    moved = shifted(IMAGES, 1, np.random.default_rng(1))
    padded = np.pad(IMAGES, ((0, 0), (1, 1), (1, 1)))
    for image, frame in zip(moved, padded, strict=True):
        places = [frame[i : i + 4, j : j + 4] for i in range(3) for j in range(3)]
        assert any((image == place).all() for place in places)
    assert (moved != IMAGES).any()


def test_curve_is_a_picture(tmp_path):
    plot_curve([{"accuracy": 0.9, "held_out_accuracy": 0.8}] * 3, "made up", tmp_path / "c.svg")
    assert b"<svg" in (tmp_path / "c.svg").read_bytes()

"""The dense network: what NengoDL trains is what the graph computes; options that do not apply."""

from importlib.util import find_spec

import numpy as np
import pytest

from spiking_lmu.cli.main import main
from spiking_lmu.errors import SpecError
from spiking_lmu.files.zoo import load_model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.training.dense import DenseEpochs, DenseSpec, build_trainable, trained_graph
from spiking_lmu.training.feedforward import hidden_neuron
from spiking_lmu.training.loop import TrainingSchedule, fit

needs_nengo_dl = pytest.mark.skipif(
    find_spec("nengo_dl") is None, reason="NengoDL is not installed"
)
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 40)
#: Images of 4 x 4 pixels with a bright row for each class.
IMAGES = RNG.uniform(0, 0.3, (40, 4, 4)).astype(np.float32)
IMAGES[np.arange(40), LABELS] += 0.7


def epochs():
    return DenseEpochs(IMAGES, LABELS, np.arange(16), shift=0, held_out=0)


@needs_nengo_dl
def test_the_graph_computes_what_was_trained(tmp_path):
    from spiking_lmu.compat import import_nengo_dl
    from spiking_lmu.compat.quiet import quiet_import

    spec = DenseSpec(8, hidden_neuron("relu"), input_size=16, output_size=3)
    network, parts = build_trainable(spec, 0.0, 0)
    with quiet_import():
        simulator = import_nengo_dl().Simulator(
            network, minibatch_size=10, seed=0, progress_bar=False
        )
    with simulator:
        schedule = TrainingSchedule(epochs=10, batch_size=10, learning_rate=2e-2)
        curve = fit(
            simulator,
            parts["input"],
            epochs(),
            schedule,
            4,
            tmp_path / "c.npz",
            {},
            lambda *_: None,
        )
        x, _ = epochs().training(np.random.default_rng(0))
        theirs = simulator.predict({parts["input"]: x}, verbose=0)
        graph = trained_graph(spec, simulator, parts)
    (outputs,) = theirs.values()
    np.testing.assert_allclose(run_reference(graph, x), outputs, atol=1e-5)
    assert curve[-1]["accuracy"] > 0.9 > curve[0]["accuracy"]
    assert [p.name for p in graph.populations] == ["x", "hidden", "readout"]


def test_an_image_is_one_input():
    x, y = epochs().training(np.random.default_rng(1))
    assert x.shape == (40, 1, 16)
    assert y.shape == (40,)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(x[3, 0], IMAGES[order[3]].ravel())


@pytest.mark.parametrize(("name", "value"), [("units", 0), ("input_size", -1), ("units", True)])
def test_sizes_are_checked(name, value):
    with pytest.raises(SpecError, match=name.replace("_", " ")):
        DenseSpec(**{name: value})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["psmnist", "--cell", "dense"], "expected mnist or fashion-mnist"),
        (["mnist"], "expected psmnist or smnist or psfashion"),
        (["mnist", "--cell", "recurrent"], "expected psmnist or smnist or psfashion"),
        (["mnist", "--cell", "dense", "--order", "5"], "--order"),
        (["mnist", "--cell", "dense", "--steps", "5"], "--steps"),
        (["mnist", "--cell", "dense", "--neuron", "tanh"], "expected relu or lif"),
        (["mnist", "--cell", "dense", "--warm-up", "3"], "--trainer fast"),
        (["mnist", "--cell", "dense", "--units", "0"], "units: got 0"),
    ],
)
def test_options_that_do_not_apply(tmp_path, capsys, arguments, says):
    assert main(["train", *arguments, "-o", str(tmp_path / "m.slmu")]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_the_shipped_model_is_as_good_as_it_says():
    from spiking_lmu import datasets

    model = load_model("mnist-dense")
    test = datasets.load("mnist", "test")
    outputs = run_reference(model.graph, test.x)[:, -1]
    correct = int((outputs.argmax(axis=1) == test.y).sum())
    training = model.provenance["training"]
    assert training["test"] == {"correct": correct, "data": "mnist test", "samples": 10_000}
    assert correct >= 9750
    assert training["command"] == (
        "spiking-lmu train mnist --cell dense --units 128 -o mnist-dense.slmu"
    )
    assert model.graph["hidden"].neuron == Neuron("relu")

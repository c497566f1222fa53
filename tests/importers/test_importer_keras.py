"""Keras models from files: outputs against those that Keras gave when the files were made.

``scripts/check-keras --fixtures`` made the files, with Keras 3 and keras-lmu in an environment
of their own (tests/helpers/keras_models.py).
"""

import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spiking_lmu
import spiking_lmu.compat
from spiking_lmu.errors import FileError, ImportNetworkError, SpikingLmuError
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task
from spiking_lmu.importers.binary import answering
from spiking_lmu.importers.keras import from_keras

FILES = Path(__file__).parent / "fixtures" / "keras"
h5py = pytest.importorskip("h5py", reason="needs: pip install 'spiking-lmu[keras]'")
MODELS = sorted(f.name for f in FILES.iterdir() if f.suffix in (".keras", ".h5"))


def keras_data(name):
    """Inputs and outputs of the model: (batch, …) and what Keras made of them."""
    data = np.load(FILES / f"{Path(name).stem}.npz")
    inputs = [data[key] for key in sorted(data.files) if key != "y"]
    return np.concatenate([x.reshape(len(x), -1) for x in inputs], axis=1), data["y"]


def outputs(model, x):
    got = run_reference(model.graph, x.reshape(len(x), -1, model.graph.input_size))
    got = got if model.task.every else got[:, -1]
    if any("softmax" in note for note in model.provenance["notes"]):
        got = np.exp(got) / np.exp(got).sum(axis=-1, keepdims=True)
    return got


@pytest.mark.parametrize("name", MODELS)
def test_same_outputs_as_keras(name):
    model = from_keras(FILES / name)
    x, want = keras_data(name)
    got = outputs(model, x)
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=3e-6 * np.abs(want).max())
    # The inputs matter, so that the comparison means something.
    assert want.std(axis=0).max() > 0.01 * np.abs(want).max()


def test_memories_of_an_lmu_stay_visible():
    names = [p.name for p in from_keras(FILES / "lmu-rnn.keras").graph.populations]
    assert [n.rpartition(".")[2] for n in names[1:4]] == ["u", "m", "h"]


def test_a_softmax_at_the_end_is_left_out_with_a_line_that_says_so():
    model = from_keras(FILES / "dense.keras")
    assert any("softmax of dense" in note for note in model.provenance["notes"])
    assert str(model.task) == "classification at the last step"
    assert model.graph[model.graph.output].neuron.kind == "linear"


def test_the_loss_says_what_outputs_are():
    assert from_keras(FILES / "lmu-rnn.keras").task.kind == "classification"
    assert from_keras(FILES / "lmu-dense.keras").task.kind == "regression"
    assert from_keras(FILES / "lmu-dense.keras", task="classification").task.classifies
    assert from_keras(FILES / "lmu-feedforward.keras").task.every


def test_a_number_added_to_an_input_is_not_lost():
    """``x + 1`` and an Add layer have the same class, in files of Keras 3 with the same name."""
    for name in ("functions.keras", "functions.h5"):
        model = from_keras(FILES / name)
        assert any(p.bias.any() for p in model.graph.populations if p.neuron.kind != "linear")


def test_a_pool_of_largest_values_is_neurons_and_still_a_convolution_behind_it():
    graph = from_keras(FILES / "maxima.keras").graph
    greater = [p for p in graph.populations if ".greater" in p.name]
    assert greater
    assert all(p.neuron.kind == "relu" for p in greater)
    kinds = {
        type(p.transform).__name__ for p in graph.projections if p.pre in {g.name for g in greater}
    }
    assert kinds <= {"OneToOne", "Convolution", "Sparse", "Dense"}


def test_rescaling_and_normalisation_are_folded_away():
    names = [p.name for p in from_keras(FILES / "convolution.keras").graph.populations]
    assert not any("rescaling" in n or "batch_normalization" in n for n in names)


def changed(tmp_path, name, change, weights=None):
    """A copy of a fixture with its configuration changed by ``change(layers, config)``."""
    with zipfile.ZipFile(FILES / name) as archive:
        entries = {n: archive.read(n) for n in archive.namelist()}
    config = json.loads(entries["config.json"])
    change(config["config"]["layers"], config)
    entries["config.json"] = json.dumps(config).encode()
    if weights is not None:
        entries["model.weights.h5"] = weights
    path = tmp_path / "changed.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return path


def layer(layers, kind):
    return next(found for found in layers if found["class_name"] == kind)


REFUSED = {
    "the largest of many": (
        "maxima",
        lambda ls, c: layer(ls, "MaxPooling2D")["config"].update(pool_size=[5, 5]),
        "the largest of 25 values",
    ),
    "a number by an input": (
        "functions",
        lambda ls, c: layer(ls, "TrueDivide")["inbound_nodes"][0]["args"].reverse(),
        "a number by an input",
    ),
    "a step in the middle": (
        "frames-of-models",
        lambda ls, c: layer(ls, "GetItem")["inbound_nodes"][0]["args"].__setitem__(
            1, [{"class_name": "__slice__", "config": {}}, 2]
        ),
        "take the last",
    ),
    "samples one after another": (
        "named-inputs",
        lambda ls, c: layer(ls, "Concatenate")["config"].update(axis=0),
        "concatenate features",
    ),
    "an unknown function": (
        "functions",
        lambda ls, c: layer(ls, "Tanh").update(class_name="Erf"),
        "use layers of Keras",
    ),
    "an activation that two Keras compute differently": (
        "dense",
        lambda ls, c: layer(ls, "Dense")["config"].update(activation="hard_sigmoid"),
        "differently",
    ),
    "a gated cell": (
        "lmu-rnn",
        lambda ls, c: layer(ls, "LMU")["config"]["hidden_cell"].update(class_name="LSTMCell"),
        "the hidden cell LSTMCell",
    ),
    "a gated layer": (
        "simple-rnn",
        lambda ls, c: layer(ls, "SimpleRNN").update(class_name="GRU"),
        "gates multiply",
    ),
    "code": (
        "dense",
        lambda ls, c: layer(ls, "Dropout").update(class_name="Lambda"),
        "code is not",
    ),
    "a class of the user's": (
        "dense",
        lambda ls, c: layer(ls, "Dense").update(module="mine", registered_name="mine>Dense"),
        "mine>Dense",
    ),
    "an activation": (
        "dense",
        lambda ls, c: layer(ls, "Dense")["config"].update(activation="gelu"),
        "the activation gelu",
    ),
    "a softmax in between": (
        "dense",
        lambda ls, c: layer(ls, "Dense")["config"].update(activation="softmax"),
        "a softmax before the output",
    ),
    "a convolution that sees the future": (
        "stacked",
        lambda ls, c: layer(ls, "Conv1D")["config"].update(padding="same"),
        "padding='causal'",
    ),
    "a sequence backwards": (
        "simple-rnn",
        lambda ls, c: layer(ls, "SimpleRNN")["config"].update(go_backwards=True),
        "go_backwards",
    ),
    "a model that is a class": (
        "dense",
        lambda ls, c: c.update(class_name="MyModel"),
        "structure is in its code",
    ),
    "arrays of another shape": (
        "dense",
        lambda ls, c: layer(ls, "Dense")["config"].update(units=9),
        "kernel of shape",
    ),
    "a loop": (
        "convolution",
        lambda ls, c: layer(ls, "Conv2D")["inbound_nodes"][0]["args"][0]["config"].update(
            keras_history=["dense", 0, 0]
        ),
        "connected in a loop",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    name, change, expected = REFUSED[case]
    with pytest.raises(ImportNetworkError) as caught:
        from_keras(changed(tmp_path, f"{name}.keras", change))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_everything_that_is_refused_is_said_at_once(tmp_path):
    def change(layers, _):
        layer(layers, "AveragePooling2D").update(class_name="MaxPooling2D")
        layer(layers, "LeakyReLU").update(class_name="ELU")
        layer(layers, "Dense")["config"]["activation"] = "swish"

    with pytest.raises(ImportNetworkError) as caught:
        from_keras(changed(tmp_path, "convolution.keras", change))
    for part in ("MaxPooling2D", "ELU", "swish"):
        assert part in caught.value.got


def with_weights(change):
    """HDF5 bytes of a fixture's weights after ``change(file)``."""
    with zipfile.ZipFile(FILES / "dense.keras") as archive:
        buffer = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(buffer, "r+") as file:
        change(file["layers/dense/vars"])
    return buffer.getvalue()


def replaced(group, make):
    del group["0"]
    make(group)


HOSTILE = {
    "a link to a file": lambda g: replaced(
        g, lambda g: g.__setitem__("0", h5py.ExternalLink("/etc/passwd", "/"))
    ),
    "a soft link": lambda g: replaced(g, lambda g: g.__setitem__("0", h5py.SoftLink("/layers"))),
    "numbers in another file": lambda g: replaced(
        g, lambda g: g.create_dataset("0", (6, 8), "f4", external="/etc/passwd")
    ),
    "a virtual array": lambda g: replaced(
        g,
        lambda g: g.create_virtual_dataset("0", h5py.VirtualLayout((6, 8), "f4")),
    ),
    "objects": lambda g: replaced(
        g, lambda g: g.create_dataset("0", data=["x"], dtype=h5py.string_dtype())
    ),
    "a bomb": lambda g: replaced(
        g, lambda g: g.create_dataset("0", (1 << 29, 8), "f4", chunks=(1 << 16, 8), compression=9)
    ),
    "an array that was never written": lambda g: replaced(
        g, lambda g: g.create_dataset("0", (1 << 22, 8), "f4", chunks=(1 << 16, 8), compression=9)
    ),
    "NaN": lambda g: replaced(g, lambda g: g.create_dataset("0", data=np.full((6, 8), np.nan))),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_weights(tmp_path, case):
    weights = with_weights(HOSTILE[case])
    with pytest.raises(SpikingLmuError) as caught:
        from_keras(changed(tmp_path, "dense.keras", lambda *_: None, weights))
    assert "\n" not in str(caught.value)
    if case == "an array that was never written":
        assert "bytes of arrays" in str(caught.value)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_configuration_is_refused_or_harmless(tmp_path, data):
    """Whatever value of the configuration is another, there is an error of the family or a model."""

    def places(value, found):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            found.append((value, key))
            if isinstance(item, dict | list):
                places(item, found)
        return found

    def change(layers, config):
        value, key = data.draw(st.sampled_from(places(config, [])))
        value[key] = data.draw(
            st.sampled_from([None, -1, 0, 10**9, "x", [], {}, [1, 2], True, 1.5, {"config": 1}])
        )

    name = data.draw(st.sampled_from(["dense.keras", "stacked.keras", "convolution.keras"]))
    try:
        model = from_keras(changed(tmp_path, name, change))
    except SpikingLmuError:
        return
    assert model.graph.output_size


def test_files_of_another_kind(tmp_path):
    for name, content in (("a.keras", b"PK"), ("b.h5", b"\x89HDF\r\n\x1a\n"), ("c.tf", b"no")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError):
            from_keras(tmp_path / name)
    with pytest.raises(FileError, match="nothing there"):
        from_keras(tmp_path / "absent.keras")
    with h5py.File(tmp_path / "only.weights.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(FileError, match="weights without a model"):
        from_keras(tmp_path / "only.weights.h5")


@pytest.fixture(scope="module")
def live():
    """A model of Keras 2 in memory."""
    spiking_lmu.compat.import_nengo_dl()
    keras = pytest.importorskip("tf_keras", reason="needs: pip install 'spiking-lmu[dl]'")
    L = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            L.Conv2D(3, 3, activation="relu"),
            L.BatchNormalization(),
            L.DepthwiseConv2D(2, activation="relu"),
            L.Flatten(),
            # Counted as called twice: once when it was made.
            keras.Sequential([keras.Input((27,)), L.Dense(4, activation="relu")]),
            L.Dense(3, activation=L.LeakyReLU(alpha=0.4)),
            L.Dense(2),
        ]
    )
    model.compile(loss="mse")
    return model


@pytest.mark.slow
def test_a_model_in_memory_is_compared_with_the_result(live, monkeypatch):
    assert from_keras(live).task.kind == "regression"
    assert "not compared" in from_keras(live, output=live.layers[0].name).provenance["notes"][-1]
    assert not any("not compared" in note for note in from_keras(live).provenance["notes"])
    monkeypatch.setattr(
        "spiking_lmu.importers.keras.run_reference", lambda g, x: np.ones((3, 1, 2))
    )
    with pytest.raises(ImportNetworkError, match="differ from Keras's"):
        from_keras(live)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["sigmoid", None])
def test_one_output_for_two_classes_decides_as_in_keras(end):
    spiking_lmu.compat.import_nengo_dl()
    keras = pytest.importorskip("tf_keras", reason="needs: pip install 'spiking-lmu[dl]'")
    L = keras.layers
    source = keras.Sequential(
        [keras.Input((5,)), L.Dense(8, activation="relu"), L.Dense(1, activation=end)]
    )
    source.layers[-1].kernel.assign(np.linspace(-1, 1, 8)[:, None])
    source.layers[-1].bias.assign([0.1])
    loss = keras.losses.BinaryCrossentropy(from_logits=end is None)
    assert from_keras(source).graph.output_size == 1
    source.compile(loss=loss)
    model = from_keras(source)
    assert str(model.task) == "classification at the last step"
    assert model.graph.output_size == 2
    assert {p.neuron.kind for p in model.graph.populations} == {"linear", "relu"}
    assert "becomes two" in model.provenance["notes"][-1]
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    want = source.predict(x, verbose=0)[:, 0] > (0.5 if end else 0.0)
    got = outputs(model, x).argmax(axis=-1)
    np.testing.assert_array_equal(got.ravel(), want)
    assert 0 < want.mean() < 1
    # Without the loss, the data say that there are two classes.
    plain = from_keras(FILES / "lmu-rnn.keras")
    assert answering(plain, Task(names=("a", "b", "c"))).graph is plain.graph


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_files_of_keras_2(live, tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # .h5 is an old format
        live.save(path)
    x = np.random.default_rng(0).uniform(size=(3, 6, 6, 1)).astype(np.float32)
    want = live.predict(x, verbose=0)
    np.testing.assert_allclose(outputs(from_keras(path), x)[:, :], want, atol=1e-6)


def test_neither_keras_nor_tensorflow_is_imported():
    from ..helpers.fresh_python import python

    code = f"import spiking_lmu; spiking_lmu.from_keras({str(FILES / 'stacked.keras')!r})"
    result = python(code + "; import sys; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    assert not {"keras", "tensorflow", "tf_keras"} & set(result.stdout.split())


def test_from_the_command_line(tmp_path, capsys):
    from spiking_lmu.cli.main import main

    x, _ = keras_data("stacked.keras")
    np.savez(tmp_path / "data.npz", x=x.reshape(4, 11, 3).astype(np.float32), y=np.arange(4) % 3)
    shutil.copy(FILES / "stacked.keras", tmp_path)
    output = tmp_path / "spiking.slmu"
    code = main(
        [
            "convert",
            str(tmp_path / "stacked.keras"),
            "-o",
            str(output),
            "--data",
            str(tmp_path / "data.npz"),
            "--training-samples",
            "3",
        ]
    )
    assert code == 0
    assert "softmax" in capsys.readouterr().out
    assert spiking_lmu.load(output).graph.spiking

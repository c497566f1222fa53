"""``tune``: from a rate model to one that bears levels, by the function of the library."""

import numpy as np
import pytest

from spiking_lmu.cli.main import main
from spiking_lmu.files.slmu import load, save
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small recurrent model, and sequences whose sum decides."""
    monkeypatch.chdir(tmp_path)
    spec = LmuSpec(
        order=3, theta=6.0, units=4, cell="recurrent", neuron=Neuron("tanh"), output_size=2
    )
    save(Model(build(spec, seed=0)), tmp_path / "rate.slmu")
    x = np.random.default_rng(0).uniform(-1, 1, (80, 6, 1))
    np.savez(tmp_path / "mine.npz", x=x, y=(x.sum(axis=(1, 2)) > 0).astype(int))
    return tmp_path


def test_a_model_is_trained_on_and_written(folder, capsys):
    command = ["tune", "rate.slmu", "--data", "mine.npz", "-o", "tuned.slmu"]
    assert main([*command, "--levels", "3", "--batches", "60", "--learning-rate", "0.02"]) == 0
    tuned, rate = load(folder / "tuned.slmu"), load(folder / "rate.slmu")
    record = tuned.provenance["fine_tuning"]
    assert (record["levels"], record["batches"]) == (3, 60)
    assert tuned.digest != rate.digest
    assert "wrote tuned.slmu" in capsys.readouterr().out
    assert (
        main(
            [
                "convert",
                "tuned.slmu",
                "--data",
                "mine.npz",
                "--levels",
                "3",
                "--code",
                "level",
                "-o",
                "spiking.slmu",
            ]
        )
        == 0
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--data"),
        (["--data", "mine.npz", "--levels", "1"], "--levels: got 1"),
        (["--data", "mine.npz", "--batches", "0"], "--batches: got 0"),
        (["--data", "mine.npz", "--bits", "2"], "--bits, --target: got one of them with --memory"),
        (["--data", "mine.npz", "--memory", "line"], "linear memory"),
    ],
)
def test_what_is_wrong_is_one_line(folder, capsys, arguments, says):
    assert main(["tune", "rate.slmu", "-o", "tuned.slmu", *arguments]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (folder / "tuned.slmu").exists()

"""The README's story on a file of one's own: train, convert, compare, a page."""

import json

import numpy as np
import pytest

from spiking_lmu.cli.main import main

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Waves of three frequencies in ``mine.npz``, 60 samples of 20 steps."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    phase = np.arange(20) / 20 * np.array([1, 3, 6])[y][:, None] + rng.random((60, 1))
    np.savez("mine.npz", x=np.sin(2 * np.pi * phase), y=y)
    return tmp_path


def test_the_story_of_the_readme(folder, capsys):
    assert main(["train", "mine.npz", "-o", "rate.slmu", "--epochs", "15"]) == 0
    assert "trained on mine.npz: 45 samples of " in capsys.readouterr().out
    convert = ["convert", "rate.slmu", "-o", "spiking.slmu", "--target", "reference"]
    # Without --data each command says which data the model had; that advice works.
    assert main(convert) == 0
    assert "pass them: --data mine.npz" in capsys.readouterr().out
    assert main([*convert, "--data", "mine.npz"]) == 0
    assert main(["compare", "spiking.slmu", "--targets", "reference"]) == 1
    assert "pass them: --data mine.npz" in capsys.readouterr().err
    compare = ["compare", "spiking.slmu", "--data", "mine.npz", "--targets", "reference"]
    assert main([*compare, "--report", "report.html", "--json", "report.json"]) == 0
    report = json.loads((folder / "report.json").read_text("utf-8"))
    # Without --samples it takes what the test part has, a fifth or a quarter of 60.
    assert {row["n"] for row in report["rows"]} == {report["data_size"]}
    rate, spiking = (row["accuracy"]["value"] for row in report["rows"])
    assert rate > 0.8
    assert spiking > 0.8
    assert "<svg" in (folder / "report.html").read_text("utf-8")

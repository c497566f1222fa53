"""Energy from files: devices, reports, and the command."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spiking_lmu import datasets
from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.energy import (
    active_shares,
    counts_of,
    energy_report,
    load_devices,
    read_counts,
)
from spiking_lmu.cli.main import main
from spiking_lmu.errors import FileError
from spiking_lmu.files import slmu
from spiking_lmu.report.energy_table import as_json
from spiking_lmu.report.json_report import as_json as comparison_as_json

from ..helpers.counted import counted_lmu


def test_published_figures():
    figures = {
        d.name: (d.event_driven, d.joules_per_synop, d.joules_per_neuron_update)
        for d in load_devices()
    }
    assert figures == {
        "cpu": (False, 8.6e-9, 8.6e-9),
        "gpu": (False, 0.3e-9, 0.3e-9),
        "arm": (False, 0.9e-9, 0.9e-9),
        "loihi": (True, 23.6e-12, 81e-12),
    }
    assert all(len(device.source) > 40 for device in load_devices())
    # Davies et al., table 2: of the update of a neuron, active and inactive.
    assert [d.joules_per_idle_update for d in load_devices()] == [None, None, None, 52e-12]


def table_of(*entries):
    return {"schema": "spiking-lmu devices", "schema_version": 1, "devices": list(entries)}


MINE = {
    "name": "mine",
    "event_driven": False,
    "joules_per_synop": 1e-9,
    "joules_per_neuron_update": 0,
    "source": "our measurement",
}


def test_devices_of_ones_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(table_of(MINE, MINE | {"name": "cpu"})))
    devices = {device.name: device for device in load_devices(path)}
    assert list(devices) == ["cpu", "gpu", "arm", "loihi", "mine"]
    assert devices["cpu"].joules_per_synop == 1e-9


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "not JSON",
        "[]",
        json.dumps({"schema": "another"}),
        json.dumps(table_of() | {"devices": 3}),
        json.dumps(table_of("a name")),
        json.dumps(table_of({"name": "half"})),
        json.dumps(table_of(MINE | {"colour": "red"})),
        json.dumps(table_of(MINE | {"source": " "})),
        json.dumps(table_of(MINE | {"note": 3})),
        json.dumps(table_of(MINE | {"event_driven": 1})),
        json.dumps(table_of(MINE | {"joules_per_synop": float("nan")})),
        json.dumps(table_of(MINE | {"joules_per_synop": -1})),
        json.dumps(table_of(MINE | {"joules_per_neuron_update": "1e-9"})),
    ],
)
def test_bad_device_files(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(FileError, match=r"bad\.json"):
        load_devices(path)
    with pytest.raises(FileError):
        load_devices(tmp_path / "missing.json")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, _, outcome = counted_lmu()
    slmu.save(model, "small.slmu")
    comparison = Comparison(
        "made up test", 4, np.arange(4), np.arange(4) % 3, {}, ("0", "1", "2"), {}, (outcome,)
    )
    (tmp_path / "report.json").write_text(json.dumps(comparison_as_json(comparison)))
    return tmp_path


def test_command(files, capsys):
    arguments = ["energy", "small.slmu", "--report", "report.json", "--json", "energy.json"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for said in (
        "reference",
        "rate model, last",
        "loihi with cpu",
        "loihi alone",
        "IEEE Micro",
        "static power",
    ):
        assert said in printed, said
    written = json.loads((files / "energy.json").read_text())
    model, _, outcome = counted_lmu()
    expected = energy_report(model, [counts_of(outcome)], load_devices())
    assert written == json.loads(json.dumps(as_json(expected)))


def test_command_measures_zeros(files, monkeypatch):
    loaded = datasets.load("smnist", "test", samples=2)
    small = replace(loaded, x=loaded.x[:, 300:310], lengths=None)
    splits = datasets.Splits("smnist", {"test": small})
    monkeypatch.setattr(datasets, "load", lambda *_, **__: splits)
    assert (
        main(
            [
                "energy",
                "small.slmu",
                "--report",
                "report.json",
                "--data",
                "smnist",
                "--json",
                "energy.json",
            ]
        )
        == 0
    )
    rate = json.loads((files / "energy.json").read_text())["entries"][1]["operations"]
    shares = active_shares(counted_lmu()[0].rate, small.x)
    assert rate["activation_sparsity"] == pytest.approx(1 - shares["lmu.h"])
    assert rate["dense"] == 12 * (1 + 4 + 4 * (4 + 20) + 20 * 3)
    # 12 steps of input 1, memory 4, 20 hidden neurons, 3 outputs
    expected = shares["x"] * 1 + shares["lmu.u"] * 4 + shares["lmu.m"] * 4 * (4 + 20)
    assert rate["effective_macs"] == pytest.approx(12 * (expected + shares["lmu.h"] * 20 * 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "another"}, "another file"),
        ({"rows": None}, "Expected `array`, got `null`"),
        ({"rows": []}, "no finished run of this model"),
        ({"rows": [3]}, "does not follow the format"),
        ({"steps": -1}, "does not follow the format"),
        ({"steps": True}, "does not follow the format"),
        ({"n": 0}, "no finished run of this model"),
        ({"spikes_per_sample_by_population": {"lmu.h": -1}}, "does not follow the format"),
        ({"spikes_per_sample_by_population": {"lmu.h": None}}, "does not follow the format"),
        ({"spikes_per_sample_by_population": []}, "does not follow the format"),
        ({"options": {"model_digest": "another"}}, "no finished run of this model"),
    ],
)
def test_bad_reports(files, capsys, change, message):
    document = json.loads((files / "report.json").read_text())
    if set(change) & {"schema", "rows"}:
        document |= change
    else:
        document["rows"][0] |= change
    (files / "report.json").write_text(json.dumps(document))
    assert main(["energy", "small.slmu", "--report", "report.json"]) == 1
    assert message in capsys.readouterr().err


def test_unreadable_reports(files):
    (files / "report.json").write_text("{")
    for name in ("report.json", "missing.json"):
        with pytest.raises(FileError, match=name):
            read_counts(files / name, counted_lmu()[0])

"""inspect, export and apply on a file that NengoDL wrote."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from spiking_lmu.cli.main import main
from spiking_lmu.files import slmu
from spiking_lmu.graph.model import Model
from spiking_lmu.importers import from_nengo_dl, parameters

from ..helpers.parameter_simulators import small_lmu


@pytest.fixture(scope="module")
def lmu(tmp_path_factory):
    with small_lmu(tmp_path_factory.mktemp("lmu")) as found:
        yield found


@pytest.fixture
def folder(lmu, tmp_path, monkeypatch):
    """A working folder with the LMU's file and a module that makes its network."""
    (tmp_path / "mine.py").write_text(
        "from tests.helpers import networks\n"
        "def small():\n    return networks.lmu(units=5, order=4, theta=6.0)\n"
        "def nothing():\n    return 1\n"
    )
    (tmp_path / "params.npz").write_bytes(lmu[2].read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    yield tmp_path
    sys.modules.pop("mine", None)


def test_inspect_names_the_arrays(folder, lmu, capsys):
    assert main(["inspect", "params.npz", "--network", "mine:small"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"arr_\d .*\(5, 4\) .*lmu\.m_to_h", shown)
    assert re.search(r"lmu\.m_to_m .*lmu\.m → lmu\.m .*fixed", shown)
    assert main(["inspect", "params.npz", "--network", "mine:small", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in told["parameters"]}
    live = parameters.from_simulator(lmu[1])
    assert set(rows) == set(live)
    weights = live["lmu.m_to_h"].value.astype(float)
    row = rows["lmu.m_to_h"]
    assert (row["from"], row["to"], row["shape"]) == ("lmu.m", "lmu.h", [5, 4])
    assert row["smallest"] == weights.min()
    assert row["std"] == pytest.approx(weights.std(), rel=1e-12)
    assert sum(row["histogram"]) == 20
    assert row["not_finite"] == 0


def test_export_and_apply_round_trip(folder, lmu, capsys):
    network = ["--network", "mine:small"]
    assert main(["export", "params.npz", *network, "-o", "w.npz", "--csv", "sheets"]) == 0
    assert main(["apply", "w.npz", *network, "-o", "again.npz"]) == 0
    with np.load("params.npz") as one, np.load("again.npz") as other:
        assert one.files == other.files
        assert all(one[key].tobytes() == other[key].tobytes() for key in one.files)
    # and into the model that was imported from the same network
    slmu.save(Model(from_nengo_dl(lmu[0], lmu[1])), "model.slmu")
    assert main(["apply", "w.npz", "--to", "model.slmu", "-o", "same.slmu"]) == 0
    assert (folder / "same.slmu").read_bytes() == (folder / "model.slmu").read_bytes()
    assert "7 parameters" in capsys.readouterr().out


BAD = {
    "no names": (["export", "params.npz", "-o", "w.npz"], "--network"),
    "nowhere to write": (["export", "params.npz"], "nowhere to write"),
    "another ending": (
        ["export", "params.npz", "--network", "mine:small", "-o", "w.txt"],
        "ends in .npz",
    ),
    "no network": (["inspect", "params.npz", "--network", "mine:nothing"], "returns int"),
    "not an export": (
        ["apply", "params.npz", "--to", "x", "-o", "y"],
        "no entry 'parameters.json'",
    ),
    "a folder": (["inspect", "sub.npz"], "a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line(folder, capsys, case):
    arguments, message = BAD[case]
    (folder / "sub.npz").mkdir()
    before = sorted(folder.iterdir())
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert [p for p in sorted(folder.iterdir()) if p.name != "__pycache__"] == before

"""``spiking-lmu check`` as a user meets it, and the check before a run."""

import json

import numpy as np
import pytest

from spiking_lmu.analysis.check import require_possible
from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.backends.target import CoreUse, Problem, blocking
from spiking_lmu.cli.common import preflight
from spiking_lmu.cli.main import main
from spiking_lmu.errors import TargetError
from spiking_lmu.files import slmu
from spiking_lmu.report.cores import cores_table, draw_cores
from spiking_lmu.targets.loihi import limits as loihi_limits
from spiking_lmu.targets.loihi.layout import lay_out
from spiking_lmu.targets.loihi.target import TARGET
from spiking_lmu.targets.reference import TARGET as REFERENCE

from ..helpers.chip_models import two


@pytest.fixture(autouse=True)
def loihi_is_here():
    if TARGET.available():
        pytest.skip(TARGET.available())


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slmu.save(small_lmu()[0], "good.slmu")
    slmu.save(two([[1.0]], tau=9.0), "slow.slmu")
    return tmp_path


def test_command(files, capsys):
    assert main(["check", "good.slmu", "--picture", "cores.svg"]) == 0
    printed = capsys.readouterr().out
    assert "good on loihi: can run" in printed
    assert "lmu.h[0:20]" in printed
    picture = (files / "cores.svg").read_text()
    assert "lmu.h[0:20]" in picture
    assert "synapse bits, % of 1,048,576" in picture
    assert main(["check", "slow.slmu"]) == 1
    assert "cannot run, 1 error" in capsys.readouterr().out


def test_command_for_machines_and_for_other_targets(files, capsys):
    assert main(["check", "slow.slmu", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["can_run"] is False
    assert said["problems"][0]["severity"] == "error"
    assert said["cores"][0]["used"]["compartments"] == 1
    assert main(["check", "slow.slmu", "--target", "reference", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cores"] == []
    assert main(["check", "slow.slmu", "--target", "reference", "--picture", "p.svg"]) == 1
    assert "something on a chip" in capsys.readouterr().err


def test_preflight_stops_only_where_nothing_can_run(capsys):
    slow, good = two([[1.0]], tau=9.0), small_lmu()[0]
    preflight({"slow": slow}, {"slow": "a/slow.slmu"}, [TARGET, REFERENCE], {})
    require_possible({"slow": slow}, [TARGET, REFERENCE])
    assert "slow on loihi: b: got a synapse of 9 s" in capsys.readouterr().err
    preflight({"good": good}, {"good": "good.slmu"}, [TARGET], {})
    said = capsys.readouterr().err
    assert "good on loihi: can run, " in said
    assert "see: spiking-lmu check good.slmu --target loihi" in said
    with pytest.raises(TargetError, match="synapse of 9 s"):
        require_possible({"slow": slow}, [TARGET])


def test_what_is_wrong_alike_is_said_once_and_in_flags(capsys, monkeypatch):
    wrong = [Problem(w, "levels", "spikes", "convert with code='rate'") for w in ("a", "b", "c")]
    monkeypatch.setattr(type(TARGET), "check", lambda self, model: list(wrong))
    preflight({"m": small_lmu()[0]}, {"m": "m.slmu"}, [TARGET], {"code": "--code"})
    said = capsys.readouterr().err.splitlines()
    assert said == ["m on loihi: a and 2 more: got levels, limit spikes; convert with --code rate"]


def test_many_cores_are_drawn_and_the_fullest_listed(tmp_path, capsys):
    from rich.console import Console

    limits = {"compartments": 100, "in axons": 10}
    cores = [CoreUse(f"n[{i}]", {"compartments": i, "in axons": 11}, limits) for i in range(60)]
    Console(width=80).print(cores_table(cores))
    printed = capsys.readouterr().out
    assert "60 cores, the 16 fullest" in printed
    assert "110 %" in printed
    (tmp_path / "many.svg").write_text(draw_cores(cores, "a title"))
    assert "60 cores" in (tmp_path / "many.svg").read_text()


def test_severities():
    problems = [Problem("a", "b", "c", "d", severity) for severity in ("warning", "error")]
    assert blocking(problems) == problems[1:]
    assert Problem("a", "b", "c", "d").severity == "error"
    kinds = [p.severity for p in loihi_limits.problems(two([[1.0]], tau=9.0))]
    assert kinds == sorted(kinds)
    assert lay_out(two(np.ones((2, 3)))).cores()[1].used["in axons"] == 3

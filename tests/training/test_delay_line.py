"""The delay by a line of spikes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.cli.main import main
from spiking_lmu.training.online.delay_line import delay_by_line, delay_model

SHORT = {"delay": 0.02, "theta": 0.02, "duration": 0.3, "off": 0.1, "frequency": 20.0}


@pytest.mark.parametrize(
    "target", ["reference", pytest.param("nengo-dl", marks=pytest.mark.slow), "loihi"]
)
def test_what_is_left_is_the_rounding_of_the_input(target):
    if problem := spiking_lmu.get_target(target).available():
        pytest.skip(problem)
    found = delay_by_line("tuned", target, bits=5, **SHORT)
    step = 4.0 * found.spec.rms / (2**5 - 1)
    inside = np.abs(found.ideal) <= 4.0 * found.spec.rms
    error = np.abs(found.output - found.ideal)[inside]
    assert error[found.spec.delay_steps :].max() < step / 2 + 1e-5
    # Uniformly distributed, about step / sqrt(12).
    assert 0.5 * step / np.sqrt(12) < found.rmse < 1.3 * step / np.sqrt(12)
    assert found.neurons == 2 * 5 * 20
    assert found.spikes > 0
    assert found.to_dict()["rmse"] == found.rmse


def test_each_bit_halves_the_error():
    errors = [delay_by_line("tuned", "reference", bits=bits, **SHORT).rmse for bits in (3, 6)]
    assert errors[0] / errors[1] == pytest.approx(8.0, rel=0.35)


def test_one_step_needs_no_shift():
    graph = delay_model(1, 2, 1.0).graph
    x = np.array([[[0.0], [1.0], [-1.0], [0.3]]])
    out = spiking_lmu.run_reference(graph, x)[0, :, 0]
    np.testing.assert_allclose(out, [0.0, 0.0, 1.0, -1.0])


def test_the_command_says_how_near_it_comes(tmp_path, capsys):
    out = tmp_path / "d.json"
    changes = [f"--{name}={value}" for name, value in SHORT.items()]
    assert (
        main(["learn", "delay", "--preset=tuned", "--memory=line", *changes, f"--json={out}"]) == 0
    )
    assert "RMSE 0.00" in capsys.readouterr().out
    written = json.loads(out.read_text())
    assert (written["memory"], written["bits"], written["neurons"]) == ("line", 6, 240)
    plot = f"--plot={tmp_path / 'd.svg'}"
    assert main(["learn", "delay", "--preset=tuned", "--memory=line", *changes, plot]) != 0
    assert "--plot" in capsys.readouterr().err

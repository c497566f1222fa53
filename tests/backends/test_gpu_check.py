"""scripts/gpu-check: says so where there is no GPU, and compares where there is a second device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..helpers.fresh_python import needs

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, needs("nengo-dl")]


def check(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts/gpu-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)},
    )


def test_without_a_gpu_it_says_so_in_one_line_and_writes_nothing(tmp_path):
    done = check("--output", str(tmp_path / "gpu.json"))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "no /gpu:0 here, so nothing was compared" in line
    assert not (tmp_path / "gpu.json").exists()


def test_a_device_is_compared_with_the_cpu(tmp_path):
    """The CPU with itself: what a GPU would go through."""
    small = ["--samples", "4", "--batch-size", "2", "--repeats", "1"]
    parts = ["--models", "mnist-dense", "--trainers", "fast", "--order", "4", "--length", "16"]
    path = tmp_path / "cpu.json"
    done = check("--device", "/cpu:0", *small, *parts, "--output", str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text("utf-8"))
    assert found["card"] == "CPU"
    model = found["models"]["mnist-dense"]
    assert (model["samples"], model["agree"], model["largest_difference"]) == (4, 4, 0.0)
    assert model["speed"]["/cpu:0"] > 0
    assert found["steps_a_second"]["fast"]["/cpu:0"] > 0


def test_the_update_of_weights_is_not_compiled_where_a_gpu_could_take_its_counter():
    """XLA refuses variables on the CPU then; where there is no GPU, Keras compiles nothing."""
    from spiking_lmu.compat import import_nengo_dl
    from spiking_lmu.training.loop import cosine_adam

    import_nengo_dl()
    assert cosine_adam(1e-3, 10).get_config()["jit_compile"] is False

"""The scripts that try to make it fall over run, and find nothing in a few tries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs processes that fork")
@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("fuzz", ["--count", "60"], lambda result: any(result["wrong"].values())),
        ("check-journal", ["--rounds", "2"], lambda result: bool(result["problems"])),
    ],
)
def test_nothing_falls_over(tmp_path, name, options, wrong):
    result = tmp_path / "result.json"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPTS / name, *options, "--output", result],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not wrong(json.loads(result.read_text()))

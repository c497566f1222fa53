"""The page about parameters: its code runs and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
import warnings
from pathlib import Path

from spiking_lmu.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "parameters.md"


def test_the_page_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    scope: dict[str, object] = {}
    printed, compared = "", 0
    for language, text in blocks:
        file = re.match(r"# (\w+\.py)\n", text)
        if language == "python" and file:
            (tmp_path / file[1]).write_text(text)
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="No GPU support detected")
                exec(compile(text, str(PAGE), "exec"), scope)
            printed = out.getvalue()
        elif language == "text":
            assert printed == text
            compared += 1
        else:
            for line in text.splitlines():
                assert main(shlex.split(line)[1:]) == 0, line
    sys.modules.pop("small_lmu", None)
    assert compared == 5
    for name in ("named.npz", "sheets/parameters.csv", "again.npz", "mine.slmu"):
        assert (tmp_path / name).is_file()
    assert (tmp_path / "again.npz").stat().st_size == (tmp_path / "trained.npz").stat().st_size
    assert "lmu.m_to_h" in capsys.readouterr().out

"""Whatever goes wrong is one printable line and exit code 1, wherever the output goes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from spiking_lmu import compat
from spiking_lmu.cli import main as command_line
from spiking_lmu.cli import models
from spiking_lmu.cli.main import main
from spiking_lmu.cli.sources import call_network
from spiking_lmu.errors import LONGEST, SpecError, told


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


ERRORS = {
    "memory": (MemoryError(), "memory"),
    "memory for a library": (
        ImportError("a.so: failed to map segment from shared object"),
        "memory",
    ),
    "recursion": (RecursionError("deep"), "RecursionError: deep"),
    "full disk": (OSError(errno.ENOSPC, "No space left", "a.json"), "a.json: got No space left"),
    "no name": (OSError("odd"), "OSError: odd"),
    "bug": (KeyError("x"), "KeyError: 'x'"),
    "control characters": (ValueError("a\n\x1b[2Jb\u202e"), "ValueError: a �[2Jb"),
    "long": (ValueError("x" * 10**6), "ValueError: xxx"),
    "mute": (Mute(), "Mute"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_any_error_is_one_line(monkeypatch, capsys, name):
    error, words = ERRORS[name]

    def run(options):
        raise error

    monkeypatch.setattr(models, "run", run)
    assert main(["models"]) == 1
    out, line = capsys.readouterr()
    assert out == ""
    assert words in line
    assert line.startswith("spiking-lmu: ")
    assert line[:-1].isprintable()
    assert line.endswith("\n")
    assert len(line) < 5 * LONGEST
    assert (command_line.UNFORESEEN in line) is (not name.startswith(("memory", "full disk")))
    with pytest.raises(type(error)):
        main(["models", "--debug"])


def started(*arguments, **options):
    """The command line in a process of its own, whose output cannot be had or encoded."""
    return subprocess.run(
        [sys.executable, "-m", "spiking_lmu.cli", *arguments],
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_what_cannot_be_encoded_is_replaced(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    shown = started("inspect", "mnist-dense", env=environment, stdout=subprocess.PIPE)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"?" in shown.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which Linux has")
def test_a_full_disk_for_the_output_is_one_line():
    with open("/dev/full", "w") as full:
        shown = started("models", stdout=full)
    assert shown.returncode == 1
    assert shown.stderr.decode().count("\n") == 1
    assert b"standard output: got No space left on device" in shown.stderr


def test_without_any_output_the_work_is_done():
    code = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", code, "-m", "spiking_lmu.cli", "models"]
    shown = subprocess.run(command, stderr=subprocess.PIPE)
    assert (shown.returncode, shown.stderr) == (0, b"")


RAISES = {
    "RuntimeError": "raise RuntimeError('no\\nnetwork')",
    "SystemExit": "import sys; sys.exit(3)",
    "SyntaxError": "def (",
    "GeneratorExit": "raise GeneratorExit",
    "BaseException": "raise BaseException",
    "RecursionError": "f = lambda: f(); f()",
    "returns int": "make = lambda: 5",
    "AttributeError": "",
}


@pytest.mark.parametrize("kind", RAISES)
def test_a_module_that_does_anything_is_one_line(tmp_path, monkeypatch, kind):
    fake = SimpleNamespace(Converter=type("Converter", (), {}))
    monkeypatch.setattr(compat, "import_nengo_dl", lambda: fake)
    monkeypatch.chdir(tmp_path)
    module = f"users_own_{kind.replace(' ', '_')}"
    (tmp_path / f"{module}.py").write_text(RAISES[kind])
    path = list(sys.path)
    with pytest.raises(SpecError, match=kind) as caught:
        call_network(f"{module}:make")
    assert str(caught.value).isprintable()
    assert sys.path == path


def test_a_module_can_be_interrupted(tmp_path, monkeypatch):
    fake = SimpleNamespace(Converter=type("Converter", (), {}))
    monkeypatch.setattr(compat, "import_nengo_dl", lambda: fake)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users_own_interrupted.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        call_network("users_own_interrupted:make")


def test_an_error_without_text_is_told_by_its_name():
    assert told(Mute()) == "Mute"

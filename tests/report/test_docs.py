"""What the documents say is what stands."""

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spiking_lmu.cli.main import complete_parser, main
from spiking_lmu.errors import SpecError

from ..helpers.fresh_python import needs

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@needs("nengo-dl", "nengo-loihi")
def test_the_readmes_table_is_the_committed_run():
    done = subprocess.run([sys.executable, ROOT / "scripts/update_docs", "--check"], check=False)
    assert done.returncode == 0, "run scripts/update_docs"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_exist(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / link).exists(), link
    for name in re.findall(r"`((?:spiking_lmu|docs|scripts|tests|targets)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_the_documents_parse(document):
    text = document.read_text(encoding="utf-8")
    for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        joined = re.sub(r"\\\n\s*", "", block)
        for line in re.findall(r"^spiking-lmu (.+)$", joined, re.MULTILINE):
            complete_parser().parse_args(line.partition("#")[0].split())


def test_figures_in_the_readmes_sentences_are_measured():
    results = ROOT / "docs/results"

    def read(name):
        return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))

    def spiking(name):
        rate, row = read(name)["rows"]
        lost = 100 * (rate["accuracy"]["value"] - row["accuracy"]["value"])
        return f"{100 * row['accuracy']['value']:.2f} %", row["n"], row["steps"], f"{lost:.1f}"

    zero, subtract = spiking("line/ff-relu-1-loihi"), spiking("line/ff-relu-1-subtract-loihi")
    exact, parts = read("exactness"), read("exactness")["networks with"]
    assert exact["networks that differ"] == []
    loihi, reference, published = (
        f"{read(f'delay-{name}')['nrmse']:.3f}"
        for name in ("tuned-loihi", "tuned-reference", "published-reference")
    )
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for sentence in (
        f"classifies {zero[0]} of {zero[1]:,} images correctly on the emulator",
        f"{subtract[0]} in {subtract[2]} steps instead of {zero[2]}",
        f"loses {spiking('accuracy/dense-default')[3]} points on the emulator",
        f"and {spiking('accuracy/dense-calibrated')[3]} calibrated",
        f"{exact['networks']} random networks ({parts['learning']} that learn, "
        f"{parts['convolution']} with convolutions, {parts['noise']} with noise, "
        f"{exact['networks whose numbers wrapped around']} with overflow)",
        f"normalised RMSE {loihi} on the emulator and {reference} on the reference",
        f"the published settings give {published} on the reference",
    ):
        assert sentence in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_sentences_have_their_options(document):
    text = re.sub(
        r"^( *)```.*?^\1```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for command in re.findall(r"`spiking-lmu ([^`]+)`", text):
        # A sentence need not name the files; an option that does not exist is an error before.
        filled = [*command.split(), "FILE", "-o", "FILE"]
        for words in (
            command.split(),
            [*command.split(), "FILE"],
            filled,
            [*command.split(), "-o", "FILE"],
        ):
            with contextlib.suppress(SpecError):
                complete_parser().parse_args(words)
                break
        else:
            pytest.fail(f"no such command: spiking-lmu {command}")


def first_blocks():
    """The Python and the commands of README.md's first screen, on two samples."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    python = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^spiking-lmu (.+)$", text, re.MULTILINE)
    fewer = [re.sub(r"samples([= ])\d+", r"samples\g<1>2", part) for part in (*python, *commands)]
    return fewer[: len(python)], fewer[len(python) :]


@pytest.mark.slow
@needs("nengo-loihi")
def test_the_readmes_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Without training images nothing is measured, which would take a minute.
    monkeypatch.setenv("SPIKING_LMU_DATA", str(tmp_path))
    (program,), _ = first_blocks()
    exec(compile(program, "README.md", "exec"), {"__name__": "README"})
    assert "<html" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
@needs("nengo-loihi")
def test_the_readmes_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPIKING_LMU_DATA", str(tmp_path))
    _, commands = first_blocks()
    assert len(commands) == 3
    for command in commands:
        assert main(command.split()) == 0, command
    assert "<html" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_the_demonstration_is_written_on_the_api(tmp_path, monkeypatch, capfd):
    from spiking_lmu.cli import demo

    monkeypatch.setattr(demo, "MODELS", {"psmnist-ff-relu": {"settle_steps": 5}})
    tiny = demo.Size(models=1, samples=2, line=1, dense=30, climbed=4, explained=0)
    monkeypatch.setattr(demo, "QUICK", tiny)
    monkeypatch.setattr(demo, "cores", lambda: 1)
    monkeypatch.setattr("sys.argv", ["demo", "--output", str(tmp_path)])
    assert demo.main() == 0
    for name in ("report", "on-chip", "repair"):
        for kind in ("html", "json", "md"):
            assert (tmp_path / f"{name}.{kind}").exists()
    assert 'id="h-ladder"' in (tmp_path / "repair.html").read_text("utf-8")
    said = capfd.readouterr()
    assert "spikes instead of rates" in said.out
    assert "repair.html" in said.out
    for noise in ("cuInit", "oneDNN", "WARNING", "Warning", "TF-TRT", "absl"):
        assert noise not in said.out + said.err


def test_the_site_describes_every_public_name():
    import spiking_lmu as sl

    page = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    named = set(
        re.findall(r"^\.\. auto(?:class|function|exception):: spiking_lmu\.(\w+)$", page, re.M)
    )
    assert named | {"datasets", "parameters"} == set(sl.__all__)

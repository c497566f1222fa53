"""What the documents say is what stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spiking_lmu.cli.main import _parser

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
        for line in re.findall(r"^spiking-lmu (.+)$", block, re.MULTILINE):
            _parser().parse_args(line.partition("#")[0].split())

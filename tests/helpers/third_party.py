"""The package of docs/targets.md, installed as pip would, and adapters that are none."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def example_files() -> dict[str, str]:
    """The example of docs/targets.md: the text of each file by its path."""
    text = (ROOT / "docs/targets.md").read_text(encoding="utf-8")
    files = {}
    for path, block in re.findall(
        r"^`([\w/]+\.(?:py|toml))` .*?^```\w+\n(.*?)^```", text, re.S | re.M
    ):
        files[path] = block
    return files


def tutorials_contract() -> Any:
    """The last block of docs/tutorials/target.md, over the two cells that it calls coarse.py."""
    text = (ROOT / "docs/tutorials/target.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```{code-cell} python\n(.*?)^```", text, re.S | re.M)
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    coarse = ModuleType("coarse")
    exec("".join(cells[:2]) + "TARGET = Coarse()\n", vars(coarse))
    sys.modules["coarse"] = coarse
    try:
        space: dict[str, Any] = {"__name__": "coarse_test"}
        exec(block, space)
    finally:
        del sys.modules["coarse"]
    return space["TestCoarse"]


def install(folder: Path, name: str, files: dict[str, str], entries: dict[str, str]) -> None:
    """Put files into ``folder``, with the metadata that an installer leaves beside them."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
    (info / "entry_points.txt").write_text(f"[spiking_lmu.targets]\n{lines}")


@pytest.fixture
def quantised(tmp_path_factory, monkeypatch):
    """The example, installed for one test; gives its target."""
    from spiking_lmu.backends.registry import get_target

    files = example_files()
    declared = re.search(r'^quantised = "(.*)"$', files.pop("pyproject.toml"), re.M)
    assert declared is not None
    folder = tmp_path_factory.mktemp("site")
    install(folder, "quantised", files, {"quantised": declared[1]})
    monkeypatch.syspath_prepend(str(folder))
    yield get_target("quantised")
    for module in [name for name in sys.modules if name.partition(".")[0] == "quantised"]:
        del sys.modules[module]

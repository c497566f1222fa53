"""What pyproject.toml says about the package is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import spiking_lmu

ROOT = Path(__file__).parents[2]


def test_every_package_is_installed():
    tomllib = pytest.importorskip("tomllib", reason="the standard library has it from 3.11 on")
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        ".".join((*prefix, *init.parent.relative_to(ROOT).parts))
        for folder, prefix in (("spiking_lmu", ()), ("targets", ("spiking_lmu",)))
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert set(config["packages"]) == found
    assert config["package-dir"]["spiking_lmu.targets"] == "targets"


def test_targets_are_found_from_the_source_folder():
    # the source folder spiking_lmu/ has no targets/ in it
    targets = pytest.importorskip("spiking_lmu.targets", reason="needs: pip install -e .")
    assert Path(targets.__file__).parent == ROOT / "targets"


def test_a_python_started_in_a_checkout_finds_the_targets_of_the_checkout():
    # -S: nothing that is installed; -E: no PYTHONPATH. Only the folder itself is there.
    told = (
        "import importlib.util as u, spiking_lmu; print(u.find_spec('spiking_lmu.targets').origin)"
    )
    command = [sys.executable, "-S", "-E", "-c", told]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == ROOT / "targets/__init__.py"


def test_the_version_stands_in_one_place_and_in_the_citation():
    assert 'version = "' not in (ROOT / "pyproject.toml").read_text().partition("[tool.")[0]
    cited = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {spiking_lmu.__version__}\n" in cited


def test_every_extra_that_an_error_advises_exists():
    tomllib = pytest.importorskip("tomllib", reason="the standard library has it from 3.11 on")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    sources = [*(ROOT / "spiking_lmu").rglob("*.py"), *(ROOT / "targets").rglob("*.py")]
    calls = [re.findall(r'missing_extra\([^()]*"(\w+)"\)', p.read_text("utf-8")) for p in sources]
    advised = {name for found in calls for name in found}
    assert {"dl", "loihi", "parquet"} <= advised <= set(extras)

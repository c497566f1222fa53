"""Code in a new interpreter, and what is installed for it."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from spiking_lmu import compat
from spiking_lmu.compat import patches, quiet

ROOT = Path(__file__).parents[2]
INSTALLED = compat.versions()


def release(name):
    """(major, minor) of an installed distribution, (0, 0) without one."""
    found = re.match(r"(\d+)\.(\d+)", INSTALLED[name])
    return (int(found[1]), int(found[2])) if found else (0, 0)


def needs(*names):
    absent = [name for name in names if INSTALLED[name] == "not installed"]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


def python(code, *options, **env):
    """Run code in a new interpreter."""
    drop = {quiet.LOG_LEVEL, patches.LEGACY_KERAS, "PYTHONWARNINGS"}
    clean = {name: value for name, value in os.environ.items() if name not in drop}
    clean["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), clean.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def ok(code, *options, **env):
    done = python(code, *options, **env)
    assert done.returncode == 0, done.stderr
    return done

"""Finds ``spiking_lmu.targets`` for a Python that is started in a checkout.

There ``import spiking_lmu`` takes the source folder, before anything that is installed; and in a
checkout the adapters lie beside that folder, not in it, which pyproject.toml says to pip alone.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

NAME = "spiking_lmu.targets"
PACKAGE = Path(__file__).resolve().parents[1]
BESIDE = PACKAGE.parent / "targets"


def install() -> None:
    """Put the finder before all others, once: adapters and package are of one checkout."""
    if not any(getattr(finder, "finds", None) == NAME for finder in sys.meta_path):
        sys.meta_path.insert(0, CheckoutFinder())


class CheckoutFinder(importlib.abc.MetaPathFinder):
    """Finds :data:`NAME` in :data:`BESIDE`, if the package was not installed with it inside."""

    finds = NAME

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of that one package; None for all others."""
        init = BESIDE / "__init__.py"
        if fullname != NAME or (PACKAGE / "targets").exists() or not init.is_file():
            return None
        places = [str(BESIDE)]
        return importlib.util.spec_from_file_location(
            fullname, init, submodule_search_locations=places
        )

"""Mends a plain ``import nengo``, ``import nengo_dl`` or ``import nengo_loihi``.

A finder at the front of :data:`sys.meta_path` lets the others find these three packages, and
has them run with what :mod:`.patches` mends.  Nothing is imported before one of them is.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGES = ("nengo", "nengo_dl", "nengo_loihi")


def install() -> None:
    """Put the finder in its place, once."""
    if not any(getattr(finder, "mends", None) is PACKAGES for finder in sys.meta_path):
        sys.meta_path.insert(0, MendingFinder())


class MendingFinder(importlib.abc.MetaPathFinder):
    """Finds :data:`PACKAGES` as the finders behind it do, with a loader that mends them."""

    mends = PACKAGES

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of one of the packages; None for all others."""
        if fullname not in PACKAGES:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = MendingLoader(spec.loader, _run_of(fullname))
                return spec
        return None


class MendingLoader(importlib.abc.Loader):
    """A loader that has ``run`` call it; in everything else it is the one that it wraps."""

    def __init__(self, wrapped: Any, run: Callable[[Callable[[], None]], None]) -> None:
        self._wrapped, self._run = wrapped, run

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the wrapped loader does."""
        module: ModuleType | None = self._wrapped.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the package, mended; afterwards it knows its own loader alone."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._wrapped
        module.__loader__ = self._wrapped
        self._run(lambda: self._wrapped.exec_module(module))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


def _run_of(package: str) -> Callable[[Callable[[], None]], None]:
    def run(execute: Callable[[], None]) -> None:
        from spiking_lmu.errors import SpikingLmuError

        from . import running

        try:
            getattr(running, package)(execute)
        except SpikingLmuError as error:
            # Whoever imports where it can, as nengo-loihi does NengoDL, expects this.
            raise ImportError(str(error), name=package) from error

    return run

"""``spiking-lmu targets``: every adapter that is installed, and whether it can run here."""

from __future__ import annotations

from argparse import Namespace


def run(options: Namespace) -> int:
    """Print a table of targets; a broken one is a row like any other."""
    from rich.console import Console
    from rich.table import Table

    from ..registry import find_targets

    table = Table("target", "what it is", "batched", "precision", "here", title="Targets")
    for found in find_targets():
        problem = found.usable
        target = found.target
        if target is None:
            table.add_row(found.name, "", "", "", problem)
            continue
        capabilities = target.capabilities
        batched = "yes" if capabilities.batched else "no"
        here = problem or "ready"
        table.add_row(found.name, target.summary, batched, capabilities.precision, here)
    Console(highlight=False).print(table)
    return 0

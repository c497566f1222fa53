"""``spiking-lmu targets``: every adapter that is installed, and whether it can run here."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """None."""


def run(options: Namespace) -> int:
    """Print a table of targets; a broken one is a row like any other."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spiking_lmu.backends.registry import find_targets

    table = Table("target", "what it is", "batched", "precision", "here", title="Targets")
    for found in find_targets():
        problem = found.unusable
        target = found.target
        if target is None:
            table.add_row(found.name, "", "", "", Text(problem))
            continue
        capabilities = target.capabilities
        batched = "yes" if capabilities.batched else "no"
        here = problem or "ready"
        cells = (found.name, target.summary, batched, capabilities.precision, here)
        table.add_row(*map(Text, cells))
    Console(highlight=False).print(table)
    return 0

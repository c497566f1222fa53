"""``spiking-lmu run``: one model on one target, the same way as ``compare``."""

from __future__ import annotations

from argparse import Namespace

from . import compare


def run(options: Namespace) -> int:
    """Run and print the table."""
    options.models, options.targets, options.samples_on = [options.model], options.target, []
    options.report = options.json = options.markdown = None
    return compare.run(options)

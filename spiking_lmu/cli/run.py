"""``spiking-lmu run``: one model on one target, the same way as ``compare``."""

from __future__ import annotations

from argparse import Namespace

from . import compare
from .arguments import Parser, add_samples


def add_arguments(parser: Parser) -> None:
    """Arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", help="default: the one nearest to the definition")
    add_samples(parser)


def run(options: Namespace) -> int:
    """Run and print the table."""
    from spiking_lmu.backends.registry import given_target

    target = given_target(options.target, nearest=True).name
    options.models, options.targets, options.samples_on = [options.model], target, []
    options.until = options.report = options.json = options.markdown = None
    options.explain = 0
    return compare.run(options)

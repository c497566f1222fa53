"""``spiking-lmu run``: one model on one target, the same way as ``compare``."""

from __future__ import annotations

from argparse import Namespace

from . import compare
from .arguments import Parser


def add_arguments(parser: Parser) -> None:
    """Arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="a spiking .slmu file")
    parser.add_argument("--target", help="default: the one nearest to the definition")
    compare.add_reports(parser)


def run(options: Namespace) -> int:
    """As compare does; returns what it returns."""
    from spiking_lmu.backends.registry import given_target

    target = given_target(options.target, nearest=True).name
    options.models, options.targets, options.samples_on = [options.model], target, []
    return compare.run(options)

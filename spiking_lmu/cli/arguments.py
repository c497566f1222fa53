"""Arguments that several commands share."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

DATA_NAMES = "psmnist, smnist, mnist, fashion-mnist, psfashion"


def add_parameter_file(parser: ArgumentParser) -> None:
    """The file whose parameters are meant."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .slmu file, a shipped model's name, a save_params file, "
        "or a file that export wrote",
    )
    parser.add_argument("--network", help="module:function of the network of a save_params file")


def add_samples(parser: ArgumentParser) -> None:
    """Which samples of which data, and how they are run."""
    parser.add_argument("--data", default="psmnist", help=f"data set: {DATA_NAMES}")
    parser.add_argument("--samples", type=int, default=100, help="test images, drawn by --seed")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="TensorFlow device for nengo-dl: /cpu:0, /gpu:0")
    parser.add_argument(
        "--engine",
        choices=["auto", "batched", "stock"],
        help="for reference and loihi: exact batched execution, or upstream's simulator",
    )
    parser.add_argument(
        "--verify",
        type=int,
        default=3,
        metavar="N",
        help="for the same: random samples that must be identical, spike for spike, on "
        "upstream's simulator (default 3; 0: none)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share the samples (default: one a core; 1: no other than this one); "
        "each is started for a batch, or for 64 samples where batches are larger, so that a "
        "small run does not wait for more",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="let the workers of this Dask scheduler share them instead: tcp://HOST:PORT",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="what the batches of all workers together may take: 500MB, 2GiB (default: up to "
        "1 GiB for each worker, and half of what is free for all)",
    )
    parser.add_argument(
        "--journal", type=Path, help="folder of finished samples (default: beside the first model)"
    )

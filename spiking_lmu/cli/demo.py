"""What this package does, on what ships with it: ``scripts/demo``.

Three things, each a table, and a page for the browser:

1. one trained network on all targets that can run here, every spike as upstream has it;
2. the same network with its memory on the chip, as spikes;
3. a conversion that loses accuracy: where, why, and what repairs it.

``--full`` takes more images, a second trained network, and explains it on every target.
Stopped and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import spiking_lmu as sl
from spiking_lmu.runs.processes import Processes, cores

#: Conversions as ``calibrate`` chooses them for Loihi.
MODELS: dict[str, dict[str, Any]] = {
    "psmnist-ff-relu": {"max_rate": 125, "settle_steps": 200, "readout_tau": 0.04},
    "psmnist-ff-lif": {"settle_steps": 200, "readout_tau": 0.04},
}
#: A conversion in a hurry, what the ladder advises in its place, and what ``calibrate`` finds on
#: training images (``docs/results/accuracy/dense-calibrated.json``).
TIMINGS: dict[str, dict[str, Any]] = {
    "in a hurry": {"settle_steps": 50, "readout_tau": 0.01},
    "as advised": {"settle_steps": 100, "readout_tau": 0.02},
    "calibrated": {"settle_steps": 200, "readout_tau": 0.04},
}


@dataclass(frozen=True)
class Size:
    """How much is run.

    Parameters
    ----------
    models
        The first so many of :data:`MODELS`.
    samples
        psMNIST images on every target.
    line
        Images with the memory on the chip.
    dense
        MNIST images with and without the repair.
    climbed
        Images on each rung of the ladder.
    explained
        Images on which every model is explained on every target; 0 leaves that out.
    """

    models: int
    samples: int
    line: int
    dense: int
    climbed: int
    explained: int


QUICK = Size(models=1, samples=500, line=200, dense=2000, climbed=500, explained=0)
FULL = Size(models=2, samples=2000, line=1000, dense=10_000, climbed=2000, explained=200)


def main() -> int:
    """Run the three parts, and say where the pages are; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="more images, explained everywhere")
    parser.add_argument("--samples", type=int, help="test images a target in the first part")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder")
    options = parser.parse_args()
    size = FULL if options.full else QUICK
    if options.samples is not None:
        size = replace(size, samples=options.samples, line=min(options.samples, size.line))
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    try:
        failed = demonstrate(folder, size)
    except sl.Interrupted:
        print("Interrupted: finished samples are kept; the same command goes on from here.")
        return 130
    except sl.SpikingLmuError as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        return 1
    print("\nOpen in a browser:")
    for page in ("report", "on-chip", "repair"):
        print(f"  {(folder / page).resolve().as_uri()}.html")
    return int(failed)


def demonstrate(folder: Path, size: Size) -> bool:
    """All three parts, by the API; whether any failed."""
    # The same workers for all parts: each has NengoDL and nengo-loihi to import.
    with Processes(cores()) as workers:
        shared: dict[str, Any] = {
            "workers": workers,
            "journal": folder / "finished.journal",
            "provenance": {"command": shlex.join(["scripts/demo", *sys.argv[1:]])},
        }
        parts = (on_all_targets, on_the_chip, dropped_and_repaired)
        return any([part(folder, size, shared).failed for part in parts])


def on_all_targets(folder: Path, size: Size, shared: dict[str, Any]) -> sl.Comparison:
    """The trained networks on every target, some samples beside upstream's own simulators."""
    _heading("1. A trained network on every target, as spikes")
    models = {}
    for name in list(MODELS)[: size.models]:
        models[name] = sl.convert(sl.load(name), source=name, **MODELS[name])
        sl.save(models[name], folder / f"{name}.slmu")
    data = sl.datasets.load("psmnist").test
    result = sl.compare(models, data, samples=size.samples, explain=size.explained, **shared)
    return _shown(result, folder / "report")


def on_the_chip(folder: Path, size: Size, shared: dict[str, Any]) -> sl.Comparison:
    """The first network, not retrained, with its memory as a line of spikes."""
    _heading("2. The same network, not retrained, with its memory on the chip as spikes")
    name = next(iter(MODELS))
    line = sl.convert(sl.load(name), source=name, memory="line", bits=1)
    sl.save(line, folder / f"{name}-line.slmu")
    data = sl.datasets.load("psmnist").test
    models = {f"{name}-line": line}
    result = sl.compare(models, data, _chip(), samples=size.line, **{"verify": 1, **shared})
    return _shown(result, folder / "on-chip")


def dropped_and_repaired(folder: Path, size: Size, shared: dict[str, Any]) -> sl.Comparison:
    """A network whose answer is read too early; the ladder says so, and what to turn."""
    _heading("3. A conversion that loses accuracy: why, and the repair")
    rate, target = sl.load("mnist-dense"), _chip()
    models = {
        name: sl.convert(rate, target=target, source="mnist-dense", **timing)
        for name, timing in TIMINGS.items()
    }
    hasty = next(iter(models))
    data = sl.datasets.load("mnist").test
    result = sl.compare(models, data, target, samples=size.dense, **shared)
    told = {key: shared[key] for key in ("workers", "journal")} | {"samples": size.climbed}
    why = sl.explain(models[hasty], data, target, name=hasty, **told)
    curve = sl.tradeoff(models[hasty], data, target, name=hasty, **told)
    print(why, end="\n\n")
    return _shown(replace(result, explanations=(why,), tradeoffs=(curve,)), folder / "repair")


def _chip() -> str:
    """The emulator, or where it is not installed Nengo's simulator."""
    here = [found.name for found in sl.find_targets() if not found.unusable]
    return "loihi" if "loihi" in here else "reference"


def _heading(text: str) -> None:
    print(f"\n{text}\n", flush=True)


def _shown(result: sl.Comparison, path: Path) -> sl.Comparison:
    """Print the table; write page and record."""
    print(result, flush=True)
    result.to_html(path.with_suffix(".html"))
    result.to_json(path.with_suffix(".json"))
    result.to_markdown(path.with_suffix(".md"))
    return result


if __name__ == "__main__":
    sys.exit(main())

"""The main job on what ships with the package: ``scripts/demo``.

Converts the two trained psMNIST models, runs both on all targets that can run here and writes
the report.  Stopped and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import spiking_lmu as sl

#: Conversions as ``calibrate`` chooses them for Loihi.
MODELS: dict[str, dict[str, Any]] = {
    "psmnist-ff-relu": {"max_rate": 125, "settle_steps": 200, "readout_tau": 0.04},
    "psmnist-ff-lif": {"settle_steps": 200, "readout_tau": 0.04},
}
#: Samples on which is explained where accuracy is lost.
EXPLAINED = 200


def main() -> int:
    """Convert, compare, and say where the report is; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--samples", type=int, default=2000, help="test images a target")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder")
    options = parser.parse_args()
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = demonstrate(folder, options.samples)
    except sl.Interrupted:
        print("Interrupted: finished samples are kept; the same command goes on from here.")
        return 130
    except sl.SpikingLmuError as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        return 1
    print(result)
    page = (folder / "report.html").resolve()
    print(f"Open the report in a browser: {page.as_uri()}")
    return 1 if result.failed else 0


def demonstrate(folder: Path, samples: int) -> sl.Comparison:
    """The whole job, by the API."""
    data = sl.datasets.load("psmnist").test
    models = {}
    for name, chosen in MODELS.items():
        models[name] = sl.convert(sl.load(name), source=name, **chosen)
        sl.save(models[name], folder / f"{name}.slmu")
    result = sl.compare(
        models,
        data,
        samples=samples,
        explain=EXPLAINED,
        journal=folder / "finished.journal",
        provenance={"command": shlex.join(["scripts/demo", *sys.argv[1:]])},
    )
    result.to_html(folder / "report.html")
    result.to_json(folder / "report.json")
    result.to_markdown(folder / "report.md")
    return result


if __name__ == "__main__":
    sys.exit(main())

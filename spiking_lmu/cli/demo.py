"""The main job on what ships with the package: ``scripts/demo``.

Converts the two trained psMNIST models, runs both on the three targets and writes the
report.  Stopped and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .main import main as command_line

#: Conversions as `spiking-lmu convert --calibrate --target loihi` chooses them.
MODELS = {
    "psmnist-ff-relu": ("--max-rate", "125", "--settle-steps", "200", "--readout-tau", "0.04"),
    "psmnist-ff-lif": ("--settle-steps", "200", "--readout-tau", "0.04"),
}


def main() -> int:
    """Convert, compare, and say where the report is; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--samples", type=int, default=2000, help="test images a target")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder")
    options = parser.parse_args()
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    spiking = []
    for name, chosen in MODELS.items():
        path = folder / f"{name}.slmu"
        code = command_line(["convert", name, *chosen, "--output", str(path)])
        if code:
            return code
        spiking.append(str(path))
    reports = {"--report": "report.html", "--json": "report.json", "--markdown": "report.md"}
    outputs = [part for flag, name in reports.items() for part in (flag, str(folder / name))]
    samples = ["--samples", str(options.samples), "--journal", str(folder / "finished.journal")]
    code = command_line(["compare", *spiking, *samples, "--explain", *outputs])
    if code == 0:
        page = (folder / "report.html").resolve()
        print(f"Open the report in a browser: {page.as_uri()}")
    return code


if __name__ == "__main__":
    sys.exit(main())

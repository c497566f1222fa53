"""``spiking-lmu learn``: networks whose weights change while they run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError

from .common import command_line

if TYPE_CHECKING:
    from spiking_lmu.training.online.delay import LearnedDelay
    from spiking_lmu.training.online.delay_spec import DelaySpec

PICTURES = (".svg", ".png")


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("task", choices=["delay"], help="the input some time ago, by PES")
    parser.add_argument("--target", help="default: the one nearest to the definition")
    parser.add_argument("--preset", default="published", help="published, tuned or one-second")
    parser.add_argument(
        "--memory",
        choices=["host", "line"],
        default="host",
        help="line: the delay as a line of spikes; nothing is learned, the readout is known",
    )
    parser.add_argument("--bits", type=int, default=6, help="line: bits of an input, sign apart")
    parser.add_argument("--theta", type=float, help="window of the memory, seconds")
    parser.add_argument("--order", type=int, help="dimensions of the memory")
    parser.add_argument("--delay", type=float, help="seconds")
    parser.add_argument("--frequency", type=float, help="highest of the white noise, Hz")
    parser.add_argument("--rms", type=float, help="of the white noise")
    parser.add_argument("--neurons", type=int)
    parser.add_argument("--neuron", choices=["relu", "lif"])
    parser.add_argument("--learning-rate", type=float, help="of PES")
    parser.add_argument("--duration", type=float, help="seconds of simulation")
    parser.add_argument("--off", type=float, help="second at which learning is switched off")
    parser.add_argument("--synapse", type=float, help="lowpass on the output, seconds")
    parser.add_argument("--scaling", choices=["none", "rms"], help="of the memory's dimensions")
    parser.add_argument("--radius", type=float, help="divides the memory after scaling")
    parser.add_argument("--max-rates", type=float, nargs=2, metavar=("LOW", "HIGH"), help="Hz")
    parser.add_argument("--intercepts", type=float, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--dt", type=float, help="simulation step, seconds")
    parser.add_argument("--plot", type=Path, help="draw input, ideal and output: .svg or .png")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--freeze", type=Path, help="write what was learned as a .slmu file")


def run(options: Namespace) -> int:
    """Learn a delay; print how well, draw, and write what was asked for."""
    from rich.console import Console

    from spiking_lmu.training.online.delay import choose_spec, learn_delay

    from .common import require_folder

    require_folder(options.json, options.plot, options.freeze)
    if options.plot is not None and options.plot.suffix.lower() not in PICTURES:
        raise SpecError(
            "plot", got=str(options.plot), expected=" or ".join(PICTURES), fix="name it so"
        )
    spec = choose_spec(options.preset, changes(options))
    if options.memory == "line":
        return _by_line(spec, options)
    learned = learn_delay(spec, options.target, progress=True)
    lines = [
        f"{learned.target}: normalised RMSE {learned.nrmse:.3f} with learning off, from "
        f"{spec.off:g} to {spec.duration:g} s; {spec.steps / learned.seconds:,.0f} steps/s"
    ]
    record = {**learned.to_dict(), "command": command_line(options), "preset": options.preset}
    if options.plot is not None:
        from spiking_lmu.report.delay_plot import plot_delay

        plot_delay(learned, options.plot)
        lines.append(f"{options.plot}: input, ideal and output")
    if options.freeze is not None:
        record["frozen"] = _freeze(learned, options)
        lines.append(
            f"{options.freeze}: frozen; normalised RMSE {record['frozen']['nrmse']:.3f} on the "
            "same input, by the NumPy definition"
        )
    if options.json is not None:
        _write_json(record, options.json)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(line)
    return 0


def _by_line(spec: DelaySpec, options: Namespace) -> int:
    from rich.console import Console

    from spiking_lmu.training.online.delay_line import delay_by_line

    if options.plot is not None or options.freeze is not None:
        raise SpecError(
            "plot, freeze",
            got="one of them with memory='line'",
            expected="neither",
            fix="leave them out: nothing is learned",
        )
    found = delay_by_line(spec, options.target, bits=options.bits)
    if options.json is not None:
        record = {**found.to_dict(), "command": command_line(options), "preset": options.preset}
        _write_json(record, options.json)
    Console(highlight=False, markup=False, soft_wrap=True).print(
        f"{found.target}: RMSE {found.rmse:.4f}, normalised {found.nrmse:.4f}, from {spec.off:g} "
        f"to {spec.duration:g} s; {found.neurons:,} neurons of the line, {found.spikes:,} spikes; "
        f"{spec.steps / found.seconds:,.0f} steps/s"
    )
    return 0


def changes(options: Namespace) -> dict[str, Any]:
    """What is to be different from the preset."""
    from spiking_lmu.training.online.delay_spec import DelaySpec

    names = [field.name for field in fields(DelaySpec)]
    given = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    for name in ("max_rates", "intercepts"):
        if name in given:
            given[name] = tuple(given[name])
    return given


def _freeze(learned: LearnedDelay, options: Namespace) -> dict[str, Any]:
    from spiking_lmu.files.slmu import save
    from spiking_lmu.training.online.freeze import freeze

    model = freeze(learned, {"command": command_line(options)})
    save(model, options.freeze)
    return {"digest": model.digest, "nrmse": model.provenance["learned"]["frozen_nrmse"]}


def _write_json(record: dict[str, Any], path: Path) -> None:
    from spiking_lmu.files.json_text import json_text
    from spiking_lmu.files.writing import write_atomically

    with write_atomically(path) as file:
        file.write(json_text(record).encode())
        file.write(b"\n")

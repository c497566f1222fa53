"""``spiking-lmu convert``: from a trained rate model to one spiking ``.slmu`` file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spiking_lmu.errors import SpecError

from .arguments import DATA_NAMES

if TYPE_CHECKING:
    from spiking_lmu.conversion import Options
    from spiking_lmu.graph.model import Model


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "model", metavar="MODEL", help="a .slmu, .keras, .h5 or .npz file, or a shipped name"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .slmu file to write")
    parser.add_argument(
        "--network",
        help="module:function of the network of a save_params file; runs that module's code",
    )
    parser.add_argument(
        "--neuron", choices=["relu", "lif"], help="spiking neuron (default: by model)"
    )
    parser.add_argument(
        "--code",
        choices=["rate", "level"],
        help="what a unit's value becomes: how often a neuron fires (default), or which of a few "
        "comparators fire in one step",
    )
    parser.add_argument("--levels", type=int, help="level: values that a unit can have (default 5)")
    parser.add_argument(
        "--input-bits", type=int, help="level: binary digits of what enters a chip (default 6)"
    )
    parser.add_argument(
        "--per-unit", action="store_true", default=None, help="level: levels for each unit its own"
    )
    parser.add_argument(
        "--target", action="append", default=[], help="choose defaults for this target; repeatable"
    )
    parser.add_argument("--max-rate", type=float, help="Hz at the 99.9th percentile of activation")
    parser.add_argument("--steps-per-input", type=int, help="simulation steps an input")
    parser.add_argument("--settle-steps", type=int, help="steps for which the last input is held")
    parser.add_argument("--readout-tau", type=float, help="lowpass on the output, seconds")
    parser.add_argument(
        "--synapse-tau", type=float, help="lowpass between spiking neurons, seconds"
    )
    parser.add_argument(
        "--clip-weights",
        type=float,
        metavar="PERCENTILE",
        help="cut weights between spiking neurons off there, for chips with one scale for all",
    )
    parser.add_argument(
        "--memory",
        choices=["host", "line"],
        default="host",
        help="where a linear memory is kept: on the host, or on the chip as a line of spikes",
    )
    parser.add_argument("--bits", type=int, default=1, help="line: bits of an input (default 1)")
    parser.add_argument(
        "--line-code",
        choices=["magnitude", "sigma-delta"],
        default="magnitude",
        help="line: each input rounded, or one bit that hands what it rounds off to the next",
    )
    parser.add_argument(
        "--window",
        type=int,
        help="line: stages (default: as many as training inputs, or as needed)",
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="search firing rates, readout filter and settle steps that suit the one --target, on "
        "training images; what is given by other options stays as it is",
    )
    parser.add_argument(
        "--pick",
        choices=["best", "knee", "fastest"],
        help="calibrate: the most accurate timing (default), the one where more steps begin to "
        "pay less, or the fastest within half a point of the best",
    )
    parser.add_argument(
        "--calibration-samples",
        type=int,
        metavar="N",
        help="calibrate: so many training images (default 256)",
    )
    parser.add_argument("--data", help=f"measure activity on this training set: {DATA_NAMES}")
    parser.add_argument("--training-samples", type=int, default=1000, help="how much of --data")
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)


def run(options: Namespace) -> int:
    """Load, convert, check against the chosen targets, and write."""
    from rich.console import Console

    from spiking_lmu import datasets
    from spiking_lmu.backends.registry import load_target
    from spiking_lmu.backends.target import common_defaults
    from spiking_lmu.compat import environment
    from spiking_lmu.conversion import convert, default_options, measure_activity
    from spiking_lmu.files.slmu import save

    from .calibration import calibrate, require_consistent
    from .common import require_folder

    require_folder(options.output)
    require_consistent(options)
    suggested = common_defaults(load_target(name) for name in options.target).chosen()
    model = _load(options)
    training = None
    if options.data:
        training = datasets.load(
            options.data,
            "train",
            folder=options.folder,
            samples=options.training_samples,
            seed=options.seed,
        )
    chosen = default_options(
        model,
        suggested,
        neuron=options.neuron or _natural_neuron(model),
        max_rate=options.max_rate,
        steps_per_input=options.steps_per_input,
        settle_steps=options.settle_steps,
        readout_tau=options.readout_tau,
        synapse_tau=options.synapse_tau,
        clip_weights=options.clip_weights,
        memory=options.memory,
        bits=options.bits,
        line_code=options.line_code,
        window=options.window,
        code=options.code,
        levels=options.levels,
        input_bits=options.input_bits,
        per_unit=options.per_unit,
    )
    record = None
    if options.calibrate:
        if training is not None:
            model = replace(model, activity=measure_activity(model.graph, training.x))
        chosen, record = calibrate(model, chosen, options)
    spiking = convert(
        model,
        chosen,
        training_inputs=None if training is None else training.x,
        source=str(options.model),
    )
    spiking.provenance["conversion"] |= {
        "environment": environment(),
        "training_data": None if training is None else f"{training.name} train",
        "seed": options.seed,
    }
    if record is not None:
        spiking.provenance["conversion"]["calibration"] = record
    save(spiking, options.output)
    console = Console(highlight=False, markup=False)
    neurons = ", ".join(f"{p.name}: {p.size} {p.neuron.kind}" for p in spiking.graph.on_chip)
    timing = spiking.timing
    if chosen.code == "level":
        coded = f"{chosen.levels} levels, input in {chosen.input_bits} bits and a sign"
    else:
        coded = f"{_rates(chosen)} Hz at the 99.9th percentile of activation"
    console.print(
        f"{options.output}: {neurons}; {coded}; {timing.steps_per_input} step(s) an input, "
        f"{timing.settle_steps} to settle, readout lowpass {1000 * timing.readout_tau:g} ms",
        soft_wrap=True,
    )
    return 0


def _rates(options: Options) -> str:
    named = ", ".join(f"{name} {rate:g}" for name, rate in options.rates.items())
    return named or f"{options.max_rate:g}"


def _natural_neuron(model: Model) -> str:
    kinds = {p.neuron.kind for p in model.graph.populations}
    return "lif" if kinds & {"lif_rate", "soft_lif"} else "relu"


def _load(options: Namespace) -> Model:
    from spiking_lmu.files.zoo import find_model, load_model
    from spiking_lmu.graph.model import Model

    path = find_model(options.model)
    if path.suffix in (".keras", ".h5"):
        from spiking_lmu.importers import from_keras

        model = from_keras(path)
        for note in model.provenance["notes"]:
            print(note)
        return model
    if path.suffix != ".npz":
        return load_model(options.model)
    if not options.network:
        raise SpecError(
            f"{path.name}",
            got="a save_params file without its network",
            expected="--network module:function",
            fix="name a function that returns the nengo.Network that was trained",
        )
    from spiking_lmu.importers import from_nengo_dl

    from .sources import call_network

    return Model(
        from_nengo_dl(call_network(options.network), path),
        provenance={"imported_from": {"file": path.name, "network": options.network}},
    )

"""``spiking-lmu convert``: from a trained rate model to one spiking ``.slmu`` file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError

from .arguments import (
    DATA_NAMES,
    DEST,
    Parser,
    add_import_arguments,
    add_target_options,
    target_options,
)

if TYPE_CHECKING:
    from spiking_lmu.analysis.calibration import CalibrationResult
    from spiking_lmu.analysis.memories import MemoryChoice
    from spiking_lmu.datasets import Dataset
    from spiking_lmu.graph.model import Model


def add_arguments(parser: Parser) -> None:
    """Arguments of the command; those of targets are for the runs of a calibration."""
    parser.add_late(add_target_options)
    parser.add_argument(
        "model", metavar="MODEL", help="a .slmu, .keras, .h5 or .npz file, or a shipped name"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .slmu file to write")
    parser.add_argument("--to", type=Path, metavar="FILE", help="write a .nir file as well")
    add_import_arguments(parser)
    parser.add_argument(
        "--neuron", choices=["relu", "lif"], help="spiking neuron (default: by model)"
    )
    parser.add_argument(
        "--code",
        choices=["rate", "level"],
        help="what codes a unit's value: the rate at which a neuron fires (default), or the level "
        "that a few comparators signal in one step",
    )
    parser.add_argument("--levels", type=int, help="level: values that a unit can have (default 5)")
    parser.add_argument(
        "--input-bits",
        type=int,
        help="level: binary digits of values that the host sends (default 6)",
    )
    parser.add_argument(
        "--per-unit", action="store_true", default=None, help="level: fit levels to each unit"
    )
    parser.add_argument(
        "--target", action="append", default=[], help="convert for this target; repeatable"
    )
    parser.add_argument(
        "--max-rate", type=float, help="rate in Hz at the 99.9th percentile of activation"
    )
    parser.add_argument("--steps-per-input", type=int, help="simulation steps of each input")
    parser.add_argument(
        "--settle-steps", type=int, help="further steps for which the last input is shown"
    )
    parser.add_argument(
        "--readout-tau", type=float, help="time constant of the lowpass on the output, seconds"
    )
    parser.add_argument("--dt", type=float, help="simulation step, seconds (default 0.001)")
    parser.add_argument(
        "--synapse-tau", type=float, help="the same of the lowpass between spiking neurons"
    )
    parser.add_argument(
        "--feedback",
        choices=["lowpass", "count"],
        help="rate: how a layer reads itself where an input has several steps: through a lowpass, "
        "or as the count of its spikes in them (default count)",
    )
    parser.add_argument(
        "--count-from",
        type=int,
        metavar="STEP",
        help="feedback count: the step of an input, from 0, at which counting begins",
    )
    parser.add_argument(
        "--clip-weights",
        type=float,
        metavar="PERCENTILE",
        help="clip weights between spiking neurons to this percentile, for chips with one scale "
        "for all",
    )
    parser.add_argument(
        "--first-layer",
        choices=["host", "chip"],
        help="where a target with a chip runs the first of several layers: on the host, which then "
        "sends the layer's spikes, or on the chip, which then gets its currents (default host)",
    )
    parser.add_argument(
        "--memory",
        choices=["host", "line", "auto"],
        help="where a linear memory is kept: on the host, or on the chip as a line of spikes; auto "
        "measures both on --data and takes the one with the least energy that loses little",
    )
    parser.add_argument("--bits", type=int, help="line: bits of an input (default 1)")
    parser.add_argument(
        "--line-code",
        choices=["magnitude", "sigma-delta"],
        help="line: round each input by itself, or add its rounding error to the next input",
    )
    parser.add_argument(
        "--window",
        type=int,
        help="line: its stages (default: one for each training input; fewer if the memory fades)",
    )
    parser.add_argument(
        "--reset",
        choices=["zero", "subtract"],
        help="line: whether a spike sets a hidden neuron's voltage to zero (default), or subtracts "
        "the threshold, which takes fewer steps",
    )
    parser.add_argument(
        "--every",
        type=int,
        metavar="N",
        help="line and level: answer at every N-th input and hold the answer between (default 1)",
    )
    parser.add_argument(
        "--free-running",
        action="store_true",
        default=None,
        help="level: make each input last until its answer is there, as free-run needs",
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="search the rates, steps and filters that suit --target, on training samples; options "
        "that are given stay as they are",
    )
    parser.add_argument(
        "--pick",
        choices=["best", "knee", "fastest"],
        help="calibrate: take the most accurate timing (default), the one where more steps begin "
        "to gain less, or the fastest within half a point of the best",
    )
    parser.add_argument(
        "--calibration-samples",
        type=int,
        metavar="N",
        help="calibrate: number of training samples (default 256; memory auto: 200)",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="calibrate: processes (default: one a core)"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="calibrate: a Dask scheduler, tcp://HOST:PORT"
    )
    parser.add_argument(
        "--journal",
        type=Path,
        help="calibrate: folder of finished samples (default: beside the output)",
    )
    parser.add_argument(
        "--data",
        help=f"training set (default: the model's own, if it names one): {DATA_NAMES}. Without "
        "other options the conversion is chosen by measurements on it; with options, it only "
        "gives activity and levels",
    )
    parser.add_argument(
        "--tolerate",
        type=float,
        metavar="POINTS",
        help="points of accuracy that the chosen conversion may lose (default 0.3); for a "
        "regression, %% by which its error may grow (default 8)",
    )
    parser.add_argument(
        "--training-samples", type=int, default=1000, help="samples taken from --data"
    )
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("--seed", type=int, default=0)


def run(options: Namespace) -> int:
    """Load, convert or calibrate, and write."""
    from rich.console import Console

    from spiking_lmu import datasets
    from spiking_lmu.analysis.choice import coding_of, convert
    from spiking_lmu.files.slmu import save
    from spiking_lmu.files.zoo import find_model

    from .common import require_folder, show
    from .flags import in_flags

    require_folder(options.output)
    require_consistent(options)
    model, choices = _load(options), chosen(options)
    named = options.data
    data = None if named is None else datasets.load(named, folder=options.folder).train
    if data is not None and find_model(options.model).suffix in (".npz", *KERAS):
        # A network of NengoDL does not say what it was trained for, and a Keras model's loss
        # leaves it open: mean squared error is taken for classes too.
        from spiking_lmu.importers.binary import answering

        model = answering(model, data.task)
    calibrated = placed = None
    if options.memory == "auto":
        placed = _choose_memory(model, data, choices, options)
        spiking = placed.model
    elif options.calibrate:
        calibrated = _calibrate(model, data, choices, options)
        spiking = calibrated.model
    else:
        spiking = convert(
            model,
            options.target,
            data,
            folder=options.folder,
            training_samples=options.training_samples,
            seed=options.seed,
            source=str(options.model),
            tolerate=options.tolerate,
            **choices,
        )
    save(spiking, options.output)
    if options.to is not None:
        from spiking_lmu.importers import to_nir

        notes = to_nir(spiking, options.to).metadata["notes"]
        print(f"{options.to}: NIR. {notes}".strip())
    for found in (calibrated, placed):
        if found is not None:
            show(found, options)
    neurons = ", ".join(neurons_of(spiking))
    timing, console = spiking.timing, Console(highlight=False, markup=False)
    record = spiking.provenance["conversion"]
    if placed is not None:
        console.print(f"memory: {placed.summary}", soft_wrap=True)
    for remark in record.get("remarks", ())[1:]:
        console.print(in_flags(remark, options.flags), soft_wrap=True)
    console.print(
        f"{options.output}: {neurons}; {coding_of(spiking)}; {timing.steps_per_input} step(s) an "
        f"input, {timing.settle_steps} to settle, readout lowpass {1000 * timing.readout_tau:g} ms",
        soft_wrap=True,
    )
    if placed is None and "choice" in record:
        _propose(model, data, options)
    return 0


#: Training samples on which other places for a memory are tried where none was asked for.
PROPOSED = 100


def _propose(model: Model, data: Dataset | None, options: Namespace) -> None:
    """Where what was chosen is for a chip, what its memory would be there as a line of spikes."""
    from spiking_lmu.analysis.memories import choose_memory, has_line
    from spiking_lmu.backends.registry import get_target

    from .common import show

    chips = [t for t in map(get_target, options.target) if t.capabilities.on_chip]
    if not chips or not has_line(model):
        return
    if data is None:
        print("its memory can be on the chip, as a line of spikes; --memory auto measures that")
        return
    found = choose_memory(
        model, data, chips[0], samples=PROPOSED, tolerate=options.tolerate, source=options.model
    )
    show(found, options)
    print(f"with --memory auto the choice would be: {found.summary}")


def _choose_memory(
    model: Model, data: Dataset | None, choices: dict[str, Any], options: Namespace
) -> MemoryChoice:
    from spiking_lmu.analysis.memories import JUDGED, choose_memory

    if len(options.target) > 1:
        raise SpecError(
            "memory",
            got=f"auto for {len(options.target)} targets",
            expected="one target=: it is chosen by what it costs there",
            fix="pass one target",
        )
    return choose_memory(
        model,
        _own_data(model, options) if data is None else data,
        *options.target,
        samples=options.calibration_samples or JUDGED,
        tolerate=options.tolerate,
        source=str(options.model),
        **{name: value for name, value in choices.items() if name not in ("memory", "bits")},
    )


#: Files of Keras models.
KERAS = (".keras", ".h5")


def chosen(options: Namespace) -> dict[str, Any]:
    """The options of the conversion that were given."""
    from spiking_lmu.conversion import Options

    names = [field.name for field in fields(Options) if hasattr(options, field.name)]
    return {n: getattr(options, n) for n in names if getattr(options, n) is not None}


def neurons_of(model: Model) -> Iterator[str]:
    """Each population of neurons, and whether a chip's host keeps it.

    Without those that the host compares inputs with: they make the bits of a line or of a number.
    """
    from spiking_lmu.graph.neurons import compares

    for p in model.graph.spiking:
        if not p.on_host:
            yield f"{p.name}: {p.size} {p.neuron.kind}"
        elif not compares(p.neuron, model.timing.dt):
            yield f"{p.name}: {p.size} {p.neuron.kind} (beside a chip: on the host)"


def require_consistent(options: Namespace) -> None:
    """Raise a SpecError unless the options of a calibration fit together."""
    searching = ("pick", "calibration_samples", "workers", "cluster", "journal")
    given = [name for name in searching if getattr(options, name) is not None]
    given += [
        name.removeprefix(DEST)
        for name, value in vars(options).items()
        if name.startswith(DEST) and value is not None
    ]
    if options.memory == "auto":
        if options.calibrate or options.bits is not None:
            name = "calibrate" if options.calibrate else "bits"
            raise SpecError(
                name,
                got="memory='auto' too",
                expected="one of them: bits and times are what is tried",
                fix="leave one out",
            )
        given = [name for name in given if name != "calibration_samples"]
    if not options.calibrate and given:
        raise SpecError(
            ", ".join(given),
            got="without calibrate=True",
            expected="calibrate=True too",
            fix="add it, or leave them out",
        )
    if options.calibrate and len(options.target) != 1:
        raise SpecError(
            "calibrate",
            got=f"{len(options.target)} targets",
            expected="one target=: what suits one does not suit another",
            fix="pass one target, and convert again for others",
        )


def _own_data(model: Model, options: Namespace) -> Dataset:
    """What the model names as the data that it was trained on."""
    from spiking_lmu import datasets

    return datasets.own_data(model, options.folder).train


def _calibrate(
    model: Model, data: Dataset | None, choices: dict[str, Any], options: Namespace
) -> CalibrationResult:
    from spiking_lmu.analysis.calibration import SAMPLES, calibrate, require_calibratable
    from spiking_lmu.backends.registry import get_target
    from spiking_lmu.runs.service import RunSettings

    require_calibratable(model)
    (target,) = (get_target(name) for name in options.target)
    (of_target,) = target_options(options, [target])
    settings = RunSettings(
        seed=options.seed,
        workers=options.workers,
        cluster=options.cluster,
        journal=options.journal or options.output.with_suffix(".journal"),
        options=of_target,
    )
    return calibrate(
        model,
        _own_data(model, options) if data is None else data,
        target,
        pick=options.pick or "best",
        calibration_samples=options.calibration_samples or SAMPLES,
        training_samples=options.training_samples if options.data else None,
        source=str(options.model),
        settings=settings,
        **choices,
    )


def _require_no_import(options: Namespace, name: str) -> None:
    """Raise where an option of NengoDL's files stands beside a file that it says nothing of."""
    idle = [
        option
        for option in ("network", "input", "probe", "trained_dt", "no_check")
        if getattr(options, option) not in (None, False)
    ]
    if idle:
        raise SpecError(
            ", ".join(idle),
            got=f"given for {name}, which holds its network",
            expected="only with a save_params file (.npz)",
            fix="leave it out",
        )


def _load(options: Namespace) -> Model:
    from spiking_lmu.files.zoo import find_model, load_model

    path = find_model(options.model)
    if path.suffix != ".npz":
        _require_no_import(options, path.name)
    if path.suffix in KERAS:
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
            expected="its network=module:function",
            fix="name a function that returns the nengo.Network that was trained",
        )
    from .sources import import_network

    return import_network(options, path)

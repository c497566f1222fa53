"""``spiking-lmu inspect``: what is in a ``.slmu``, a ``save_params`` or an exported file."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import FileError

from .arguments import add_parameter_file

if TYPE_CHECKING:
    from rich.console import Console

    from spiking_lmu.graph.model import Model
    from spiking_lmu.importers.parameters.source import Source


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    add_parameter_file(parser)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(options: Namespace) -> int:
    """Print every parameter by name, with shape, connection, statistics and a histogram.

    Numbers that are not finite are counted, and then complained about.
    """
    from spiking_lmu.report.parameter_table import printable

    from .sources import parameters_of

    source = parameters_of(options.file, options.network)
    if options.json:
        print(json.dumps(_as_json(source), indent=2, allow_nan=False))
    else:
        _show(source)
    bad = [p for p in source.parameters.values() if p.statistics.non_finite]
    if bad:
        raise FileError(
            f"{source.path.name}: {printable(bad[0].name)}",
            got=f"NaN or infinity ({bad[0].statistics.non_finite:,} of {bad[0].value.size:,})",
            expected="finite numbers",
            fix="train the network again",
        )
    return 0


def _show(source: Source) -> None:
    from rich.console import Console

    from spiking_lmu.report.parameter_table import contents_table, table

    console = Console(highlight=False, markup=False)
    name, parameters = source.path.name, list(source.parameters.values())
    if source.model is not None:
        _show_model(console, name, source.model)
    elif source.kind == "named":
        console.print(f"{name}: exported parameters", soft_wrap=True)
    elif source.kind == "save_params":
        console.print(f"{name}: NengoDL's save_params, named by the network", soft_wrap=True)
        console.print(contents_table(parameters, named=True))
    else:
        console.print(
            f"{name}: NengoDL's save_params, arrays by position and without names. Without the "
            "network there are only shapes to go by, and other networks can have the same."
        )
        console.print(contents_table(parameters, named=False))
    console.print(table(parameters, console.width, named=source.kind != "unnamed"))
    for note in source.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if source.kind == "unnamed":
        console.print(f"For names: spiking-lmu inspect {name} --network module:function")


def _show_model(console: Console, name: str, model: Model) -> None:
    from dataclasses import asdict

    from rich.table import Table
    from rich.text import Text

    from spiking_lmu.report.parameter_table import printable

    kind = "spiking" if model.graph.spiking else "rate"
    console.print("provenance (whole with --json):")
    shown = _shortened(model.provenance)
    console.print(json.dumps(shown, indent=2, sort_keys=True), soft_wrap=True)
    console.print(f"{name}: a {kind} model for {model.task}, digest {model.digest[:16]}")
    console.print("timing: " + ", ".join(f"{k} {v}" for k, v in asdict(model.timing).items()))
    table = Table(title="Populations")
    for column in ("population", "size", "neuron", "scale", "active to"):
        table.add_column(column, overflow="fold", no_wrap=column == "population")
    for p in model.graph.populations:
        known = model.activity.get(p.name)
        active = f"{known.p999:.3g} (99.9 %)" if known else ""
        scale = f"{p.scale:.4g}" if p.scale != 1 else ""
        name = printable(p.name)
        table.add_row(*map(Text, (name, str(p.size), p.neuron.kind, scale, active)))
    console.print(table)
    table = Table(title="Projections")
    for column in ("projection", "from", "to", "weights", "reads"):
        table.add_column(column, overflow="fold", no_wrap=column == "projection")
    for q in model.graph.projections:
        reads = "one input earlier" if q.delay else "now"
        if q.mean_from is not None:
            reads = "mean over the input before"
            reads += f", from its step {q.mean_from}" if q.mean_from else ""
        if q.tau is not None:
            reads = f"lowpass {1000 * q.tau:g} ms"
        weights = str(q.transform)
        names = map(printable, (q.name, q.pre, q.post))
        table.add_row(*map(Text, (*names, weights, reads)))
    console.print(table)


def _shortened(value: Any) -> Any:
    """Provenance without its long lists, learning curves above all."""
    if isinstance(value, dict):
        return {key: _shortened(entry) for key, entry in value.items()}
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value)} entries"
    return value


def _as_json(source: Source) -> dict[str, Any]:
    from dataclasses import asdict

    from spiking_lmu.report.parameter_table import as_json

    model = source.model
    return {
        "file": source.path.name,
        "holds": source.kind,
        "model": None
        if model is None
        else {
            "digest": model.digest,
            "spiking": bool(model.graph.spiking),
            "task": asdict(model.task),
            "timing": asdict(model.timing),
            "provenance": model.provenance,
        },
        "notes": list(source.notes),
        "parameters": [as_json(p) for p in source.parameters.values()],
    }

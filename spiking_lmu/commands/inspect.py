"""``spiking-lmu inspect``: what is in a ``.slmu`` file or a ``save_params`` file."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model import Model


def run(options: Namespace) -> int:
    """Print the parts of the file, with shapes and statistics."""
    from ..zoo import find_model

    path = find_model(options.file)
    if path.suffix == ".npz":
        _show_params(path)
    else:
        from ..artifact import load

        _show_model(path.name, load(path))
    return 0


def _show_model(name: str, model: Model) -> None:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    kind = "spiking" if model.graph.spiking else "rate"
    console.print(f"{name}: a {kind} model for {model.task}, digest {model.digest[:16]}")
    console.print("timing: " + ", ".join(f"{k} {v}" for k, v in asdict(model.timing).items()))
    table = Table(title="Populations")
    for column in ("population", "size", "neuron", "scale", "bias", "active to"):
        table.add_column(column, overflow="fold", no_wrap=column in ("population", "projection"))
    for p in model.graph.populations:
        known = model.activity.get(p.name)
        active = f"{known.p999:.3g} (99.9 %)" if known else ""
        cells = (
            p.name,
            str(p.size),
            p.neuron.kind,
            f"{p.scale:.4g}" if p.scale != 1 else "",
            f"{p.bias.min():.3g} … {p.bias.max():.3g}" if p.bias.any() else "0",
            active,
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    table = Table(title="Projections")
    for column in ("projection", "from", "to", "shape", "reads", "trained", "weights"):
        table.add_column(column, overflow="fold", no_wrap=column in ("population", "projection"))
    for q in model.graph.projections:
        reads = "one input earlier" if q.delay else "now"
        if q.tau is not None:
            reads = f"lowpass {1000 * q.tau:g} ms"
        shape = "one-to-one" if q.weights is None else str(q.weights.shape)
        spread = "1" if q.weights is None else f"{q.weights.mean():.3g} ± {q.weights.std():.3g}"
        trained = "yes" if q.trainable else "fixed"
        table.add_row(*map(Text, (q.name, q.pre, q.post, shape, reads, trained, spread)))
    console.print(table)
    console.print("provenance:")
    console.print(json.dumps(model.provenance, indent=2, sort_keys=True), soft_wrap=True)


def _show_params(path: Any) -> None:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from ..errors import FileError
    from ..importers import read_params

    arrays = read_params(path)
    bad = [i for i, array in enumerate(arrays) if array.size == 0 or not np.isfinite(array).all()]
    if bad:
        raise FileError(
            f"{path.name}: arr_{bad[0]}",
            got="NaN, infinity or nothing",
            expected="finite numbers",
            fix="train the network again",
        )
    table = Table("array", "shape", "dtype", "mean", "s.d.", "smallest", "largest")
    table.title = f"{path.name}: NengoDL parameters, by position and without names"
    for position, array in enumerate(arrays):
        numbers = (array.mean(), array.std(), array.min(), array.max())
        cells = [f"{number:.4g}" for number in numbers]
        table.add_row(str(position), str(array.shape), str(array.dtype), *cells)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "With the network, convert it: spiking-lmu convert FILE --network module:function"
    )

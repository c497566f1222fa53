"""Parameters as a table for the terminal, and as JSON for machines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from spiking_lmu.importers.parameters import Parameter

NUMBERS = ("smallest", "mean", "std", "largest")
WIDE = [
    (key,)
    for key in ("parameter", "connects", "shape", "trainable", *NUMBERS, "histogram", "NaN/∞")
]
NARROW = [
    ("parameter", "connects"),
    ("shape", "trainable"),
    ("smallest", "largest"),
    ("mean", "std"),
    ("histogram",),
    ("NaN/∞",),
]
TRAINING = {True: "trainable", False: "fixed", None: "not known"}


def table(parameters: Iterable[Parameter], width: int, *, named: bool = True) -> Table:
    """One row for each parameter, laid out for a terminal of ``width`` columns.

    Each fact has a column of its own where there is room, else two share one.  Arrays that
    have no names (``named=False``) connect nothing that is known.
    """
    from rich.table import Table
    from rich.text import Text

    rows = [_cells(parameter) for parameter in parameters]
    left_out = () if named else ("connects", "trainable")
    wide, narrow = (
        [kept for keys in columns if (kept := [key for key in keys if key not in left_out])]
        for columns in (WIDE, NARROW)
    )
    columns = wide if _needed(wide, rows) <= width else narrow
    found = Table(title="Parameters" if named else None, show_lines=columns is narrow)
    for keys in columns:
        # Numbers and bars stay whole: names fold where there is no room.
        found.add_column(
            "\n".join(keys),
            justify="right" if keys[0] in (*NUMBERS, "NaN/∞") else "left",
            no_wrap=keys[0] not in ("parameter", "connects"),
            overflow="fold",
        )
    for row in rows:
        found.add_row(*(Text("\n".join(row[key] for key in keys)) for keys in columns))
    return found


def _needed(columns: list[list[str]], rows: list[dict[str, str]]) -> int:
    """Width of the table with nothing folded."""
    longest = [
        max(len(text) for key in keys for text in (key, *(row[key] for row in rows)))
        for keys in columns
    ]
    return sum(longest) + 3 * len(columns) + 1  # borders and padding


def contents_table(parameters: Iterable[Parameter], *, named: bool) -> Table:
    """What each array of a ``save_params`` file is, in the order of the file."""
    from rich.table import Table
    from rich.text import Text

    found = Table(title="What the arrays are" if named else "What the arrays could be")
    what = "what it is" if named else "what it could be"
    for column in ["array", "shape", *(["parameter"] if named else []), what]:
        found.add_column(column, overflow="fold", no_wrap=column in ("array", "shape"))
    saved = [(p.place, p) for p in parameters if p.place is not None]
    for place, parameter in sorted(saved, key=lambda pair: (pair[0].array, pair[0].rows or ())):
        cells = [str(place), str(parameter.value.shape)]
        cells += [parameter.name] if named else []
        found.add_row(*(Text(printable(cell)) for cell in [*cells, parameter.description]))
    return found


def printable(text: str) -> str:
    """``text`` from a file, without what a terminal would obey or cannot show."""
    return "".join(c if c.isprintable() else "�" for c in text)


def as_json(parameter: Parameter) -> dict[str, Any]:
    """Everything but the values; numbers that are not finite never appear."""
    s, place = parameter.statistics, parameter.place
    return {
        "name": parameter.name,
        "kind": parameter.kind,
        "from": parameter.pre,
        "to": parameter.post,
        "shape": list(parameter.value.shape),
        "dtype": parameter.value.dtype.name,
        "trainable": parameter.trainable,
        "description": parameter.description,
        "array": None if place is None else place.array,
        "rows": None if place is None or place.rows is None else [list(r) for r in place.rows],
        "smallest": s.smallest,
        "mean": s.mean,
        "std": s.std,
        "largest": s.largest,
        "not_finite": s.non_finite,
        "histogram": list(s.counts),
    }


def _cells(parameter: Parameter) -> dict[str, str]:
    s = parameter.statistics
    numbers = dict(zip(NUMBERS, (s.smallest, s.mean, s.std, s.largest), strict=True))
    return {
        "parameter": printable(parameter.name),
        "connects": printable(parameter.connects),
        "shape": str(parameter.value.shape),
        "trainable": TRAINING[parameter.trainable],
        **{key: "" if n is None else f"{n:.3g}" for key, n in numbers.items()},
        "histogram": s.bars,
        "NaN/∞": f"{s.non_finite:,}",
    }

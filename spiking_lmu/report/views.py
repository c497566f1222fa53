"""How each kind of result shows itself: tables and lines, numbers, rows, and a page.

A result finds this module by name (:mod:`spiking_lmu.runs.result`).  A kind of result has a
`View` here; from its rich tables come the terminal's, the notebook's and Markdown's.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from spiking_lmu.analysis.calibration import CalibrationResult
from spiking_lmu.analysis.check import CheckResult
from spiking_lmu.analysis.choice import Choice
from spiking_lmu.analysis.comparison import Comparison
from spiking_lmu.analysis.energy import EnergyReport
from spiking_lmu.analysis.explain import Explanation
from spiking_lmu.analysis.free_run import FreeRun
from spiking_lmu.analysis.memories import MemoryChoice
from spiking_lmu.analysis.tradeoff import Tradeoff
from spiking_lmu.errors import SpecError
from spiking_lmu.files.json_text import json_text
from spiking_lmu.runs.result import Result
from spiking_lmu.training.online.delay import LearnedDelay
from spiking_lmu.training.online.delay_line import LineDelay
from spiking_lmu.training.train import TrainingResult
from spiking_lmu.training.tuned import FineTuningResult

from . import (
    check_table,
    energy_table,
    free_run_table,
    html,
    json_report,
    ladder_words,
    markdown,
    table,
)
from .calibration_table import calibration_table
from .canvas import as_file, to_svg
from .choice_table import choice_table
from .cores import draw_cores
from .curve_plot import draw_curve
from .delay_plot import draw_delay
from .explanation import as_sections, chip_of
from .json_report import json_safe
from .ladder_plot import waterfall
from .learning_words import (
    delay_headline,
    delay_record,
    delay_table,
    line_delay_record,
    line_delay_table,
    training_table,
    tuning_record,
    tuning_rows,
    tuning_table,
    tuning_verdict,
)
from .memory_table import as_json as memory_json
from .memory_table import memory_rows, memory_table, why_not
from .rows import rows
from .templates import render
from .text import plain, said
from .tradeoff_plot import tradeoff_plot
from .tradeoff_table import tradeoff_rows, tradeoff_table
from .words import headline

#: Characters of a line where there is no terminal.
WIDTH = 100
Part = Table | str


@dataclass(frozen=True)
class View:
    """How one kind of result is shown.

    Parameters
    ----------
    headline
        What was found, in one sentence.
    parts
        Tables and lines, in order.
    numbers
        All numbers, JSON-safe.
    rows
        One row of a data frame for each row of its main table.
    page
        The body of its page, where that has more than the parts.
    picture
        As an SVG file; empty where there is nothing to draw.
    drawn
        What a notebook's cell shows besides, as SVG files; the picture if not given.
    """

    headline: Callable[[Any], str]
    parts: Callable[[Any], Sequence[Part]]
    numbers: Callable[[Any], dict[str, Any]]
    rows: Callable[[Any], list[dict[str, Any]]]
    page: Callable[[Any], Any] | None = None
    picture: Callable[[Any], str] | None = None
    drawn: Callable[[Any], Sequence[str]] | None = None

    def figures(self, result: Any) -> list[str]:
        """What a notebook's cell shows under the tables."""
        if self.drawn is not None:
            return list(self.drawn(result))
        return list(filter(None, [self.picture(result)])) if self.picture else []


def as_rich(result: Result) -> Group | Table:
    """All parts, one under another."""
    parts = _view(result).parts(result)
    if len(parts) == 1 and isinstance(parts[0], Table):
        return parts[0]
    return Group(*(Text(part) if isinstance(part, str) else part for part in parts))


def as_text(result: Result) -> str:
    """The same as plain text of 100 columns."""
    file = io.StringIO()
    # In a notebook rich would show the text in place of writing it.
    console = Console(file=file, width=WIDTH, highlight=False, no_color=True, force_jupyter=False)
    console.print(as_rich(result))
    return file.getvalue().rstrip("\n")


def as_dict(result: Result) -> dict[str, Any]:
    """All numbers, JSON-safe."""
    safe: dict[str, Any] = json_safe(_view(result).numbers(result))
    return safe


def as_json(result: Result) -> str:
    """All numbers as strict JSON."""
    return json_text(result.to_dict()) + "\n"


def as_rows(result: Result) -> list[dict[str, Any]]:
    """For a data frame."""
    return _view(result).rows(result)


def as_markdown(result: Result) -> str:
    """Headline and tables as Markdown."""
    if isinstance(result, Comparison):
        return markdown.as_markdown(result)
    lines = [f"# {markdown.escape(_view(result).headline(result))}"]
    for part in _plain_parts(result):
        if isinstance(part, str):
            lines += ["", markdown.escape(part)]
            continue
        lines += ["", f"## {markdown.escape(part['title'])}"] if part["title"] else []
        head = part["headings"]
        rows = [head, ["---"] * len(head), *part["rows"]]
        cells = [[c if c == "---" else markdown.escape(c) for c in row] for row in rows]
        lines += ["", *("| " + " | ".join(row) + " |" for row in cells)]
        lines += [f"\n{markdown.escape(note)}" for note in part["notes"]]
    return "\n".join(lines) + "\n"


def as_html(result: Result) -> str:
    """A page of its own."""
    if isinstance(result, Comparison):
        return html.as_html(result)
    view = _view(result)
    body = _tables(result) if view.page is None else view.page(result)
    return render("page.html.j2", headline=view.headline(result), body=body)


def as_svg(result: Result) -> str:
    """Its picture as an SVG file."""
    view = _view(result)
    drawn = "" if view.picture is None else view.picture(result)
    if not drawn:
        raise SpecError(
            "picture",
            got=f"{type(result).__name__}: {view.headline(result)}",
            expected="a result with something to draw",
            fix="leave the picture out",
        )
    return drawn


def as_fragment(result: Result) -> str:
    """For a notebook's cell."""
    from markupsafe import Markup

    view = _view(result)
    parts = _plain_parts(result)
    first = parts[0] if parts else ""
    said = view.headline(result) == (first if isinstance(first, str) else first["title"])
    head = "" if said else Markup("<p><strong>{}</strong></p>").format(view.headline(result))
    figures = "".join(_image(svg, view.headline(result)) for svg in view.figures(result))
    return f'<div class="spiking-lmu">{head}{_tables(result)}{figures}</div>'


def _image(svg: str, name: str) -> str:
    """A picture in an element of its own: nothing in it meets the page's names or colours."""
    from markupsafe import escape

    code = base64.b64encode(svg.encode()).decode()
    label = re.search(r'aria-label="([^"]*)"', svg)
    style = "background: white; max-width: 100%; margin: 0.5em 0.5em 0 0; padding: 0.3em"
    return (
        f'<img style="{style}" alt="{label[1] if label else escape(name)}"'
        f' src="data:image/svg+xml;base64,{code}">'
    )


def _tables(result: Result) -> Any:
    from markupsafe import Markup

    parts = _plain_parts(result)
    return Markup(render("tables.html.j2", parts=parts))


def _plain_parts(result: Result) -> list[Any]:
    """Rich tables as headings, rows and notes; text as its lines."""
    found: list[Any] = []
    for part in _view(result).parts(result):
        if isinstance(part, str):
            found += [line.strip() for line in part.splitlines() if line.strip()]
        else:
            found.append(_plain_table(part))
    return found


def _plain_table(part: Table) -> dict[str, Any]:
    columns = [[_words(cell) for cell in column.cells] for column in part.columns]
    return {
        "title": _words(part.title),
        "headings": [_words(column.header) for column in part.columns],
        "rows": [list(row) for row in zip(*columns, strict=True)],
        "notes": [line for line in _words(part.caption).split("\n") if line],
    }


def _words(cell: Any) -> str:
    text = cell.plain if isinstance(cell, Text) else "" if cell is None else str(cell)
    # Bars of blocks and runs of spaces are for a terminal.
    return re.sub(r"[ \t]{2,}", " ", text).strip()


def _view(result: Result) -> View:
    for kind in type(result).__mro__:
        if kind in VIEWS:
            return VIEWS[kind]
    raise NotImplementedError(f"{type(result).__name__} has no view")


def _comparison_rows(comparison: Comparison) -> list[dict[str, Any]]:
    found = []
    for row in rows(comparison):
        values = {key: value for key, value in vars(row).items() if not hasattr(value, "n")}
        for key, interval in (("score", row.score), ("points", row.paired)):
            ends = (None, None) if interval is None else (interval.low, interval.high)
            values |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
        values["metric"] = row.metric.name
        values["score"] = None if row.score is None else row.score.value
        values["points"] = None if row.paired is None else row.paired.difference
        values["p_value"] = None if row.paired is None else row.paired.p_value
        found.append({k: v for k, v in values.items() if k not in ("paired", "rate_score")})
    return found


def _ladder_rows(explanation: Explanation) -> list[dict[str, Any]]:
    return [
        {
            "rung": step.name,
            "change": step.change,
            "metric": explanation.ladder.metric.name,
            "value": step.value,
            "late": step.late,
            "points": None if step.step is None else step.step.difference,
            "points_low": None if step.step is None else step.step.low,
            "points_high": None if step.step is None else step.step.high,
            "output_error": step.error,
        }
        for step in explanation.ladder.steps
    ]


def _explanation_parts(explanation: Explanation) -> list[Part]:
    ladder = explanation.ladder
    parts: list[Part] = [ladder_words.ladder_table(ladder), ladder_words.changes(ladder)]
    parts += [*ladder_words.layer_tables(ladder), ladder_words.MEANING]
    parts += ["", ladder_words.verdict(ladder)]
    return [*parts, *(f"→ {plain(one)}" for one in explanation.advice)]


def _energy_parts(report: EnergyReport) -> list[Part]:
    sources = [
        plain(f"{d.name}: {d.note + '. ' if d.note else ''}Source: {d.source}")
        for d in report.devices
    ]
    return [
        energy_table.operations_table(report),
        *energy_table.remarks(report),
        "",
        energy_table.energy_table(report),
        energy_table.LEFT_OUT,
        *sources,
    ]


def _energy_rows(report: EnergyReport) -> list[dict[str, Any]]:
    return [
        {
            "target": e.label,
            "samples": e.samples,
            "spikes": e.spikes,
            "host_spikes": e.operations.host_spikes,
            "synops": e.operations.effective_acs,
            "macs": e.operations.effective_macs,
            "dense": e.operations.dense,
            "updates": e.operations.neuron_updates,
            **{f"joules {device}": value for device, value in e.joules.items()},
        }
        for e in report.entries
    ]


def _shape(result: TrainingResult) -> str:
    return f" ({result.shape})" if result.shape else ""


def _curve(result: TrainingResult) -> str:
    figure = draw_curve(result.curve, plain(result.data))
    return as_file(to_svg(figure, "curve", said(result.score)))


VIEWS: dict[type, View] = {
    Comparison: View(
        headline=lambda c: headline(rows(c)),
        parts=lambda c: [table.to_rich(c)],
        numbers=json_report.as_json,
        rows=_comparison_rows,
        drawn=lambda c: [as_file(svg) for svg in html.first_sample(c)],
    ),
    Explanation: View(
        headline=lambda e: ladder_words.verdict(e.ladder),
        parts=_explanation_parts,
        numbers=lambda e: ladder_words.as_json(e.ladder, e.advice),
        rows=_ladder_rows,
        page=lambda e: as_sections([e]),
        picture=lambda e: as_file(waterfall(e.ladder, "ladder")),
    ),
    Tradeoff: View(
        headline=lambda t: f"{plain(t.model)} on {t.target}: {len(t.points)} timings from one run",
        parts=lambda t: [tradeoff_table(t)],
        numbers=asdict,
        rows=tradeoff_rows,
        page=lambda t: as_sections((), [t]),
        picture=lambda t: as_file(tradeoff_plot(t, "tradeoff", device=chip_of(t))),
    ),
    FreeRun: View(
        headline=free_run_table.headline,
        parts=lambda f: [free_run_table.free_run_table(f), free_run_table.headline(f)],
        numbers=free_run_table.as_json,
        rows=free_run_table.free_run_rows,
        picture=free_run_table.draw_free_run,
    ),
    EnergyReport: View(
        headline=lambda e: f"What a sample of {plain(e.model)} costs",
        parts=_energy_parts,
        numbers=energy_table.as_json,
        rows=_energy_rows,
        page=lambda e: as_sections((), (), [e]),
    ),
    CheckResult: View(
        headline=check_table.headline,
        parts=check_table.parts,
        numbers=check_table.as_json,
        rows=lambda c: [asdict(problem) for problem in c.problems],
        picture=lambda c: draw_cores(c.cores, f"{c.model} on {c.target}") if c.cores else "",
    ),
    CalibrationResult: View(
        headline=lambda c: f"Calibrated for {c.target} on {c.samples:,} samples of {c.data}",
        parts=lambda c: [calibration_table(c)],
        numbers=lambda c: c.model.provenance["conversion"]["calibration"],
        rows=lambda c: [
            {**asdict(point), "rates": trial.rates, "samples": trial.samples}
            for trials in c.search.rounds
            for trial in trials
            for point in trial.points
        ],
    ),
    MemoryChoice: View(
        headline=lambda m: plain(m.summary),
        parts=lambda m: [memory_table(m), *why_not(m)],
        numbers=memory_json,
        rows=memory_rows,
    ),
    TrainingResult: View(
        headline=lambda t: f"Trained on {plain(t.data)}{_shape(t)}; {said(t.score)}",
        parts=lambda t: [training_table(t)],
        numbers=lambda t: t.model.provenance["training"],
        picture=_curve,
        rows=lambda t: t.curve,
    ),
    LearnedDelay: View(
        headline=delay_headline,
        parts=lambda d: [delay_table(d)],
        numbers=delay_record,
        picture=lambda d: as_file(to_svg(draw_delay(d), "delay", delay_headline(d))),
        rows=lambda d: [{"tenth": i + 1, "nrmse": v} for i, v in enumerate(d.by_tenth)],
    ),
    LineDelay: View(
        headline=lambda d: f"A delay as a line of spikes on {d.target}: RMSE {d.rmse:.4f}",
        parts=lambda d: [line_delay_table(d)],
        numbers=line_delay_record,
        rows=lambda d: [line_delay_record(d)],
    ),
    FineTuningResult: View(
        headline=tuning_verdict,
        parts=lambda t: [tuning_table(t), tuning_verdict(t)],
        numbers=tuning_record,
        rows=tuning_rows,
    ),
    Choice: View(
        headline=lambda c: c.summary,
        parts=lambda c: [choice_table(c), c.summary],
        numbers=lambda c: {
            "options": asdict(c.options),
            "expected": asdict(c.expected),
            **c.record,
            "seconds": c.seconds,
        },
        rows=lambda c: [asdict(candidate) for candidate in c.tried],
    ),
}

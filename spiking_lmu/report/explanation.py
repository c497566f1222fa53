"""The part of the page that says why: ladders, trade-offs, and what a sample costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spiking_lmu.analysis.energy.report import EnergyReport
from spiking_lmu.analysis.explain import Explanation
from spiking_lmu.analysis.tradeoff import Tradeoff

from .energy_table import LEFT_OUT, amount, joules, rows_of
from .ladder_plot import rate_histogram, waterfall
from .ladder_words import MEANING, layer_cells, layer_heads, rung_heads, verdict, worth
from .templates import render
from .text import NONE, points
from .tradeoff_plot import tradeoff_plot

if TYPE_CHECKING:
    from markupsafe import Markup


def chip_of(tradeoff: Tradeoff) -> str:
    """Whose energy is drawn beside the spikes: that of a chip by itself.

    As :func:`spiking_lmu.analysis.energy.report.estimate` names it; empty if there is none.
    """
    devices = tradeoff.points[0].joules if tradeoff.points else {}
    return next((device for device in devices if device.endswith(" alone")), "")


def as_sections(
    explanations: Sequence[Explanation] = (),
    tradeoffs: Sequence[Tradeoff] = (),
    costs: Sequence[EnergyReport] = (),
) -> Markup:
    """Sections for a page; every name and value is escaped by the template."""
    from markupsafe import Markup

    return Markup(
        render(
            "explanation.html.j2",
            ladders=[_ladder(i, one) for i, one in enumerate(explanations)],
            # A readout that remembers has one timing alone: nothing to trade.
            tradeoffs=[_tradeoff(i, one) for i, one in enumerate(tradeoffs) if len(one.points) > 1],
            energies=[_energy(one) for one in costs],
            meaning=MEANING,
            left_out=LEFT_OUT,
        )
    )


def _ladder(number: int, explanation: Explanation) -> dict[str, Any]:
    from markupsafe import Markup

    ladder = explanation.ladder
    name = f"ladder{number}"
    return {
        "model": ladder.model,
        "target": ladder.target,
        "n": f"{len(ladder.indices):,}",
        "data": ladder.data,
        "verdict": verdict(ladder),
        "advice": [str(one) for one in explanation.advice],
        "wide": Markup(waterfall(ladder, f"{name}-wide")),
        "narrow": Markup(waterfall(ladder, f"{name}-narrow", narrow=True)),
        "heads": rung_heads(ladder),
        "rungs": [
            (s.name, s.change, worth(s), points(s.step), f"{s.error:.1%}") for s in ladder.steps
        ],
        "layers": [
            {
                "name": layer.name,
                "heads": layer_heads(ladder)[1:],
                "rows": [
                    layer_cells(s, s.layers[i], ladder.metric) for s in ladder.steps if s.layers
                ],
                "histogram": Markup(rate_histogram(layer, f"{name}-rates{i}")),
            }
            for i, layer in enumerate(ladder.steps[-1].layers)
        ],
    }


def _tradeoff(number: int, tradeoff: Tradeoff) -> dict[str, Any]:
    from markupsafe import Markup

    name = f"tradeoff{number}"
    device = chip_of(tradeoff)
    wide = tradeoff_plot(tradeoff, f"{name}-wide", device=device)
    narrow = tradeoff_plot(tradeoff, f"{name}-narrow", device=device, narrow=True)
    return {
        "model": tradeoff.model,
        "target": tradeoff.target,
        "n": f"{tradeoff.samples:,}",
        "wide": Markup(wide),
        "narrow": Markup(narrow),
    }


def _energy(report: EnergyReport) -> dict[str, Any]:
    entries = report.entries
    rows = [
        ("Effective accumulates (synops)", [amount(e.operations.effective_acs) for e in entries]),
        (
            "Effective multiply-accumulates",
            [amount(e.operations.effective_macs) for e in entries],
        ),
        ("Neuron updates", [amount(e.operations.neuron_updates) for e in entries]),
    ]
    if any(e.operations.host_spikes for e in entries):
        sent = [e.operations.host_spikes for e in entries]
        rows.insert(0, ("Spikes from the host", [amount(n) if n else NONE for n in sent]))
    estimates = [
        (device, [joules(e.joules.get(device)) for e in entries]) for device in rows_of(report)
    ]
    return {
        "model": report.model,
        "labels": [entry.label for entry in entries],
        "rows": rows,
        "estimates": estimates,
    }

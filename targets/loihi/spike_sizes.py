"""What one spike counts for where weights were trained for LIF neurons that may fire at any time.

On the chip a LIF neuron fires at the end of a step and then rests for whole steps, so that an
interval lasts half a step longer on average: at 200 Hz and steps of a millisecond it fires a tenth
less than the curve that its weights were solved for.  nengo-loihi solves decoders for the chip's
own curve (nengo-loihi 1.1.0, ``neurons.py``, ``loihi_rates``).  Weights that were trained are there
already; here each spike counts for so much more.
"""

from __future__ import annotations

from dataclasses import replace

from spiking_lmu.graph.graph import Population
from spiking_lmu.graph.model import Activity, Model

#: Rates that a curve was trained with, and its neurons keep.
TRAINED = ("lif_rate", "soft_lif")
#: What stands for all rates of a population: this share of the 99.9th percentile in training.
USUAL = 0.5


def matched(model: Model) -> Model:
    """``model`` with the spikes of its LIF neurons on the chip made larger.

    Only where a population fires at the rates of a LIF curve that it was trained with, and these
    were measured.  Other rates are chosen by a conversion, which knows what it loses.  A model that
    comes out of here stays as it is.
    """
    if model.rate_graph is None:
        return model
    trained = {p.name: p for p in model.rate_graph.populations if p.neuron.kind in TRAINED}
    changed = []
    for p in model.graph.on_chip:
        before, measured = trained.get(p.name), model.activity.get(p.name)
        if before is not None and measured is not None and p.neuron.kind == "lif":
            amplitude = before.neuron.amplitude * _larger(before, measured, model.timing.dt)
            changed.append(replace(p, neuron=replace(p.neuron, amplitude=amplitude)))
    return replace(model, graph=model.graph.with_populations(changed)) if changed else model


def _larger(population: Population, measured: Activity, dt: float) -> float:
    """An interval of 1/rate seconds, over the one that it becomes on the chip."""
    neuron = population.neuron
    longer = dt / 2 + round(neuron.tau_ref / dt) * dt - neuron.tau_ref
    return 1.0 + USUAL * measured.p999 / neuron.amplitude * longer

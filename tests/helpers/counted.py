"""A spiking model whose spikes were counted, for tests of energy."""

from functools import cache

import numpy as np

from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.runs.results import Outcome


@cache
def counted_lmu():
    """A small spiking LMU, its four samples, and what the definition counted on them."""
    model, x = small_lmu()
    totals = {p.name: np.zeros(len(x)) for p in model.graph.spiking}

    def observe(_, values, __):
        for name in totals:
            p = model.graph[name]
            totals[name] += values[name].sum(1) * model.timing.dt * p.scale / p.neuron.amplitude

    outputs = run_reference(model.graph, x, model.timing, observe)[:, -1]
    outcome = Outcome(
        "small",
        "SpikingRectifiedLinear",
        "reference",
        np.arange(4),
        outputs,
        totals,
        {p.name: "host" for p in model.graph.populations},
        1.0,
        model.timing.total_steps(x.shape[1]),
        4,
        model_digest=model.digest,
    )
    return model, x, outcome

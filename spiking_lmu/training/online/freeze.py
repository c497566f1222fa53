"""A learned delay as a model like any other: the memory, the neurons, a fixed readout."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from spiking_lmu.compat import environment
from spiking_lmu.conversion.measure import measure_activity
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import memory_matrices
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task
from spiking_lmu.graph.timing import Timing

from .delay import LearnedDelay, normalised_rmse
from .delay_network import input_divisor

KINDS = {"relu": ("relu", "spiking_relu"), "lif": ("lif_rate", "lif")}


def freeze(learned: LearnedDelay, provenance: dict[str, Any] | None = None) -> Model:
    """The model of what was learned.

    Encoders, and what the memory was divided by, become the weights onto the neurons; gain and
    bias are the neurons' own; decoders become the weights of a projection with the output's
    lowpass.  All neurons start at rest, which Nengo's do not.

    The rate graph has the same weights.  Activity is measured on the input up to where
    learning was switched off.  After that, the model's own error on the same input, by the NumPy
    definition, is in its provenance as ``["learned"]["frozen_nrmse"]``.

    ``freeze(learn_delay("tuned"))`` can be saved and compared as any model can.

    Parameters
    ----------
    learned
        What :func:`.delay.learn_delay` gave.
    provenance
        More for the record, JSON-safe.

    Raises
    ------
    SpecError
        Weights that are not finite, as learning that diverged leaves them.
    """
    spec = learned.spec
    a, b = memory_matrices(spec.order, spec.theta / spec.dt)
    rate, spiking = (
        Graph(
            (
                Population("x", 1),
                Population("lmu.m", spec.order),
                Population("ensemble", spec.neurons, Neuron(kind), learned.gain, learned.bias),
                Population("output", 1),
            ),
            (
                Projection("x", "lmu.m", b, name="lmu.x_to_m", trainable=False),
                Projection("lmu.m", "lmu.m", a, delay=1, name="lmu.m_to_m", trainable=False),
                Projection(
                    "lmu.m",
                    "ensemble",
                    learned.encoders / input_divisor(spec),
                    name="encoders",
                    trainable=False,
                ),
                Projection(
                    "ensemble",
                    "output",
                    learned.decoders[None, :],
                    tau=spec.synapse,
                    name="decoders",
                ),
            ),
            "x",
            "output",
        )
        for kind in KINDS[spec.neuron]
    )
    seen = learned.stimulus[None, : spec.learning_steps, None]
    record = {
        "task": "delay",
        "target": learned.target,
        "options": asdict(spec),
        "nrmse": learned.nrmse,
        "digests": learned.digests,
    }
    model = Model(
        spiking,
        Timing(dt=spec.dt),
        Task.parse("regression"),
        measure_activity(rate, seen),
        rate,
        {"learned": record, "environment": environment(), **(provenance or {})},
    )
    output = frozen_output(model, learned.stimulus)
    record["frozen_nrmse"] = normalised_rmse(output, learned.ideal, spec.learning_steps)
    return model


def frozen_output(model: Model, stimulus: np.ndarray) -> np.ndarray:
    """Output (steps,) of a frozen model for an input (steps,), by the NumPy definition."""
    return run_reference(model.graph, stimulus[None, :, None], model.timing)[0, :, 0]

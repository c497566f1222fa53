"""Which networks can be trained on here, and what to say where they cannot.

:func:`spiking_lmu.fine_tune` follows the slopes of a few curves through dense and one-to-one
weights.
"""

from __future__ import annotations

from .graph import Graph
from .transforms import Dense, OneToOne

#: Neurons whose slope :func:`spiking_lmu.fine_tune` knows.
TRAINED = ("relu", "tanh", "sigmoid")


def untrainable(graph: Graph) -> tuple[str, str, str] | None:
    """What of a rate graph cannot be trained here: where, what is there, and what would do.

    >>> from spiking_lmu.graph.lmu import LmuSpec, build
    >>> untrainable(build(LmuSpec(order=2, units=2))) is None
    True
    """
    for p in graph.populations:
        if p.neuron.kind not in (*TRAINED, "linear"):
            return (
                f"population {p.name}",
                f"{p.neuron.kind} neurons",
                f"one of {', '.join(TRAINED)}",
            )
    for q in graph.projections:
        if not isinstance(q.transform, Dense | OneToOne) or q.tau is not None or q.begins:
            got = "a synapse" if q.tau is not None else str(q.transform)
            got = f"a delay that begins with input {q.begins}" if q.begins else got
            return f"projection {q.name}", got, "dense or one-to-one weights"
    return None


def sturdier(graph: Graph) -> str:
    """How a rate network is trained on so that it bears rounding, as the beginning of a sentence.

    >>> from spiking_lmu.graph.lmu import LmuSpec, build
    >>> sturdier(build(LmuSpec(order=2, units=2)))
    'fine_tune(model, data, noise=0.05)'
    """
    if untrainable(graph) is None:
        return "fine_tune(model, data, noise=0.05)"
    return "training it on where it comes from, with noise of 5 % of their range on activations,"

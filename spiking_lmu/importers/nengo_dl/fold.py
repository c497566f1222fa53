"""Layers that are not worth a population of their own, folded into their neighbours.

``Dense`` without activation followed by neurons is one population of neurons, and a layer
that only passes on (Dropout after training, Flatten) is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from spiking_lmu.graph.graph import Population, Projection


def fold_layers(
    populations: Iterable[Population], projections: Iterable[Projection], layers: set[str]
) -> tuple[list[Population], list[Projection]]:
    """Fold those linear populations among ``layers`` whose values nothing else needs.

    The graph computes the same; names of what stays do not change.
    """
    parts = {population.name: population for population in populations}
    links = list(projections)
    for name in sorted(layers, key=list(parts).index):
        if parts[name].neuron.kind != "linear":
            continue
        incoming = [link for link in links if link.post == name]
        outgoing = [link for link in links if link.pre == name]
        others = [link for link in links if name not in (link.pre, link.post)]
        if len(incoming) == 1 and _passes_on(incoming[0]) and not parts[name].bias.any():
            source = incoming[0].pre
            links = others + [_renamed(link, source, link.post) for link in outgoing]
        elif len(outgoing) == 1 and _passes_on(outgoing[0]):
            post = parts[outgoing[0].post]
            # The layer's bias arrives at the neurons as input does: times their gain.
            bias = post.bias + post.gain * parts[name].bias
            parts[post.name] = replace(post, bias=bias)
            links = others + [_renamed(link, link.pre, post.name) for link in incoming]
        else:
            continue
        del parts[name]
    return list(parts.values()), links


def _passes_on(link: Projection) -> bool:
    return link.weights is None and link.immediate and link.pre != link.post


def _renamed(link: Projection, pre: str, post: str) -> Projection:
    old = f"{link.pre}_to_{link.post.rpartition('.')[2]}"
    name = f"{pre}_to_{post.rpartition('.')[2]}" if link.name == old else link.name
    return replace(link, pre=pre, post=post, name=name)

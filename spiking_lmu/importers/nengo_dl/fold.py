"""Layers that are not worth a population of their own, folded into their neighbours; and those
that need several, unfolded.

``Dense`` without activation followed by neurons is one population of neurons, and a layer
that only passes on (Dropout after training, Flatten) is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from spiking_lmu.graph.graph import Population, Projection
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.transforms import OneToOne

from ..pieces import Piece


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


def unfold_pieces(
    populations: Iterable[Population],
    projections: Iterable[Projection],
    name: str,
    pieces: Sequence[Piece],
) -> tuple[list[Population], list[Projection]]:
    """Put rectified linear populations ``<name>.piece1`` … before ``name``, which adds them up."""
    populations, projections = list(populations), list(projections)
    position = next(i for i, p in enumerate(populations) if p.name == name)
    whole = populations[position]
    parts, links = [], [link for link in projections if link.post != name]
    for number, piece in enumerate(pieces, 1):
        part = f"{name}.piece{number}"
        gain, bias = piece.gain * whole.gain, piece.gain * whole.bias + piece.bias
        parts.append(Population(part, whole.size, Neuron("relu"), gain, bias))
        links += [
            replace(link, post=part, name=f"{link.name}.{number}")
            for link in projections
            if link.post == name
        ]
        weights = np.full(whole.size, piece.weight)
        links.append(Projection(part, name, weights, name=f"{part}_weight", trainable=False))
    parts.append(Population(name, whole.size))
    return [*populations[:position], *parts, *populations[position + 1 :]], links


def _passes_on(link: Projection) -> bool:
    one_to_one = isinstance(link.transform, OneToOne) and link.weights is None
    return one_to_one and link.immediate and link.pre != link.post


def _renamed(link: Projection, pre: str, post: str) -> Projection:
    old = f"{link.pre}_to_{link.post.rpartition('.')[2]}"
    name = f"{pre}_to_{post.rpartition('.')[2]}" if link.name == old else link.name
    return replace(link, pre=pre, post=post, name=name)

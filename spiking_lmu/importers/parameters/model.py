"""Parameters of a graph or a model by name, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection

from ..nengo_dl.names import Unique
from .assigning import check_names, check_value
from .parameter import Parameter

if TYPE_CHECKING:
    from spiking_lmu.graph.model import Model
from spiking_lmu.graph.transforms import Convolution, OneToOne, Sparse

Array = np.ndarray
READOUT = "readout"


@dataclass(frozen=True)
class _Field:
    """Which part of a graph a parameter is: ``weights``, ``bias`` or ``gain`` of ``part``."""

    part: Population | Projection
    field: str


def from_graph(graph: Graph) -> dict[str, Parameter]:
    """Every parameter of a graph by name.

    Weights carry their projection's name, and the only ones that lead into the population
    ``readout`` are called that.  Neurons have ``<population>.bias`` and ``.gain``; linear
    populations where these are not 0 and 1.  A graph says which weights may be trained; of
    the others, biases count as trainable and gains as fixed, as they are in NengoDL.
    """
    found = {}
    for name, field in _fields(graph):
        part = field.part
        if isinstance(part, Projection):
            assert part.weights is not None  # others are no fields
            found[name] = Parameter(
                name,
                "weights",
                part.weights,
                part.pre,
                part.post,
                part.trainable,
                _describe(part),
            )
        else:
            neurons = f"{part.size:,} {part.neuron.kind} neuron{'s' if part.size != 1 else ''}"
            found[name] = Parameter(
                name,
                field.field,
                getattr(part, field.field),
                post=part.name,
                trainable=field.field == "bias",
                description=f"one number for each of the {neurons}: its {field.field}",
            )
    return found


def from_model(model: Model | str | Path) -> dict[str, Parameter]:
    """Every parameter of a :class:`~spiking_lmu.graph.model.Model`, a ``.slmu`` file or a shipped
    model's name.

    Raises
    ------
    FileError
        The file is missing or damaged.
    """
    if isinstance(model, str | Path):
        from spiking_lmu.files.zoo import load_model

        model = load_model(str(model))
    return from_graph(model.graph)


def with_parameters(model: Model, values: Mapping[str, Parameter | Array]) -> Model:
    """A rate model with new values; parameters not named keep theirs.

    What was measured on the old values, its activity and accuracies, is left out if any
    number changes, so that converting it asks for data.

    Raises
    ------
    SpecError
        A spiking model, a name that it does not have, another shape, or numbers that are not
        finite.
    """
    if model.graph.spiking:
        raise SpecError(
            "model",
            got="a spiking model, whose rates were fitted to its weights",
            expected="a rate model",
            fix="put the parameters into the rate model and convert it again",
        )
    fields = dict(_fields(model.graph))
    check_names(values, fields, "the model")
    populations = {p.name: p for p in model.graph.populations}
    projections = {p.name: p for p in model.graph.projections}
    changed = []
    for name, given in values.items():
        field = fields[name]
        old = getattr(field.part, field.field)
        value = check_value(name, given, old.shape)
        if np.array_equal(value, old):
            continue
        changed.append(name)
        if isinstance(field.part, Projection):
            projections[field.part.name] = field.part.with_weights(value)
        else:
            population = populations[field.part.name]
            populations[population.name] = (
                replace(population, bias=value)
                if field.field == "bias"
                else replace(population, gain=value)
            )
    if not changed:
        return model
    graph = replace(
        model.graph,
        populations=tuple(populations.values()),
        projections=tuple(projections.values()),
    )
    return replace(
        model,
        graph=graph,
        activity={},
        provenance={
            "changed_parameters": changed,
            "changed_model": {"digest": model.digest, "provenance": model.provenance},
        },
    )


def _fields(graph: Graph) -> Iterator[tuple[str, _Field]]:
    names = Unique()
    into = [p for p in graph.incoming(graph.output) if p.weights is not None]
    for population in graph.populations:
        for link in graph.incoming(population.name):
            if link.weights is not None:
                alone = population.name == READOUT and into == [link] and _unnamed(link)
                yield names.unique(READOUT if alone else link.name), _Field(link, "weights")
        linear = population.neuron.kind == "linear"
        if not linear or population.bias.any():
            yield names.unique(f"{population.name}.bias"), _Field(population, "bias")
        if not linear or (population.gain != 1).any():
            yield names.unique(f"{population.name}.gain"), _Field(population, "gain")


def _unnamed(link: Projection) -> bool:
    return link.name in (f"{link.pre}_to_{READOUT}", f"{READOUT}_weights")


def _describe(link: Projection) -> str:
    assert link.weights is not None
    text = {
        OneToOne: "weights, one a connection",
        Sparse: "weights, in the order of their places",
        Convolution: "kernel (*window, channels, filters)",
    }.get(type(link.transform), "weights (post, pre)")
    if link.delay:
        text += ", read one input later"
    return text if link.tau is None else f"{text}, through a lowpass of {1000 * link.tau:g} ms"

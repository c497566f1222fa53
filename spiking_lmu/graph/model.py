"""A model: a graph, its timing, and what is known about where it came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError, one_line

from .graph import DEFAULT_DT, Graph
from .neurons import compares
from .rate_twin import rate_twin
from .task import Scaling, Task
from .timing import Timing

ONE_STEP = Timing()
CLASSIFICATION = Task()
#: Lines of how it was converted that a model shows.
MOST_REMARKS = 5


@dataclass(frozen=True)
class Activity:
    """How active one population was on training data; all in the units of the rate network.

    Parameters
    ----------
    p999, largest
        99.9th percentile and maximum over samples and neurons of the absolute output.
    current
        99.9th percentile of the absolute summed input, before gain and bias.
    largest_current
        Maximum of the same.
    """

    p999: float
    largest: float
    current: float
    largest_current: float


@dataclass(frozen=True, eq=False)
class Model:
    """What one ``.slmu`` file holds.

    Parameters
    ----------
    graph
        Rate or spiking.
    timing
        How inputs are presented; one step of ``graph.dt`` each if not given.
    task
        A :class:`spiking_lmu.graph.task.Task`, or its words: ``"classification"``.
    activity
        By population name; measured on training data, never on test data.
    rate_graph
        For a spiking model, the rate graph that it was converted from.
    scaling
        Brings data to the range that the graph was trained on; None if the graph takes them
        as they are.  The graph's input is what comes out of it.
    provenance
        JSON-safe: command, seed, versions, data, accuracy.

    >>> from spiking_lmu.graph.lmu import LmuSpec, build
    >>> model = Model(build(LmuSpec(order=4, units=8, theta=12.0)))
    >>> model.rate is model.graph, str(model.task)
    (True, 'classification at the last step')
    """

    graph: Graph
    timing: Timing = ONE_STEP
    task: Task = CLASSIFICATION
    activity: dict[str, Activity] = field(default_factory=dict)
    rate_graph: Graph | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    scaling: Scaling | None = None

    def __repr__(self) -> str:
        """What it is for, how it is timed, and its graph, without their numbers."""
        kind = "spiking" if self.graph.spiking else "rate"
        remarks = self.recorded("conversion", "remarks")
        said = remarks[:MOST_REMARKS] if isinstance(remarks, list) else []
        said = [one_line(text) for text in said if isinstance(text, str)]
        lines = [f"{kind} model for {self.task}", self.timing, self.graph, *said]
        return "\n".join(str(line) for line in lines)

    def __post_init__(self) -> None:
        if self.timing is ONE_STEP and self.graph.dt != ONE_STEP.dt:
            object.__setattr__(self, "timing", Timing(dt=self.graph.dt))
        if isinstance(self.task, str):
            object.__setattr__(self, "task", Task.parse(self.task))
        names, outputs = len(self.task.names), self.graph.output_size
        if names and names != outputs:
            raise SpecError(
                "names of the task",
                got=f"{names} names for {outputs} outputs",
                expected="a name for each output",
                fix="train a network with an output for each name",
            )
        if self.scaling and len(self.scaling.offset) != self.graph.input_size:
            raise SpecError(
                "scaling of the model",
                got=f"{len(self.scaling.offset)} channels for {self.graph.input_size} inputs",
                expected="an offset and a range for each number in one input",
                fix="measure it on the data that the network was trained on",
            )
        for projection in self.graph.projections:
            if projection.mean_from is not None:
                self.timing.averaged_steps(projection.mean_from)

    @property
    def rate(self) -> Graph:
        """The rate graph: the one converted from, or the graph itself.

        Of a network that was written with spiking neurons and never converted it is the
        :func:`~spiking_lmu.graph.rate_twin.rate_twin`, which is what was trained.
        """
        if self.rate_graph is not None:
            return self.rate_graph
        return rate_twin(self.graph) if self.graph.spiking else self.graph

    @property
    def rate_model(self) -> Model:
        """The model of :attr:`rate`, one step an input; of a rate model all but its timing."""
        return replace(self, graph=self.rate, rate_graph=None, timing=ONE_STEP, activity={})

    @property
    def level_coded(self) -> bool:
        """Whether all that spikes are comparators, whose spikes of one step are read at once."""
        spiking, dt = self.graph.spiking, self.timing.dt
        return (
            bool(spiking)
            and all(compares(p.neuron, dt) for p in spiking)
            and not any(p.tau for p in self.graph.projections)
        )

    def recorded(self, *path: str) -> Any:
        """What the provenance has at a path of keys; None where there is nothing.

        A file may hold anything there, so what is found may be of any type.

        >>> from spiking_lmu.graph.lmu import LmuSpec, build
        >>> graph = build(LmuSpec(order=2, units=2))
        >>> model = Model(graph, provenance={"training": {"settings": {"data": "mine"}}})
        >>> model.recorded("training", "settings", "data"), model.recorded("conversion", "rates")
        ('mine', None)
        """
        found: Any = self.provenance
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Data (…, channels) as the graph's input takes them."""
        return np.asarray(x) if self.scaling is None else self.scaling.apply(np.asarray(x))

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides what the model computes."""
        digest = hashlib.sha256()
        decides = [asdict(self.timing), self.task.identity]
        if self.scaling is not None:
            decides.append(asdict(self.scaling))
        digest.update(json.dumps(decides, sort_keys=True).encode())
        for graph in (self.graph, self.rate_graph or self.graph):
            for header, arrays in describe_graph(graph):
                digest.update(json.dumps(header, sort_keys=True).encode())
                for array in arrays.values():
                    digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def require_model(model: Any, name: str = "model") -> None:
    """Raise a SpecError that says how to get a `Model` from what was given in its place."""
    if isinstance(model, Model):
        return
    if isinstance(model, Graph):
        fix = "pass spiking_lmu.Model(graph), with task=data.train.task if it answers no classes"
    elif isinstance(model, str | PathLike):
        fix = "load it: spiking_lmu.load, or from_keras, from_nengo_dl or from_nir"
    else:
        fix = "load one with spiking_lmu.load"
    raise SpecError(name, got=type(model).__name__, expected="a Model", fix=fix)


def describe_graph(graph: Graph) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Each part of a graph as a JSON-safe header and its named arrays.

    The first part names the input and the output; populations and projections follow in
    their order.
    """
    parts: list[tuple[dict[str, Any], dict[str, np.ndarray]]] = [
        ({"part": "graph", "input": graph.input, "output": graph.output}, {})
    ]
    if graph.dt != DEFAULT_DT:
        parts[0][0]["dt"] = float(graph.dt)
    for population in graph.populations:
        header = {
            "part": "population",
            "name": population.name,
            "size": population.size,
            "neuron": asdict(population.neuron),
            "scale": float(population.scale),
        }
        if population.on_host:  # Left out where it is not so: digests stay what they were.
            header["on_host"] = True
        if population.pulse is not None:
            header["pulse"] = population.pulse
        parts.append(
            (header, {"gain": _shortest(population.gain), "bias": _shortest(population.bias)})
        )
    for projection in graph.projections:
        transform, arrays = projection.transform.describe()
        header = {
            "part": "projection",
            "name": projection.name,
            "pre": projection.pre,
            "post": projection.post,
            "tau": projection.tau,
            "delay": projection.delay,
            "trainable": projection.trainable,
        }
        if projection.begins:
            header["begins"] = projection.begins
        if projection.mean_from is not None:
            header["mean_from"] = projection.mean_from
        if transform:
            header["transform"] = transform
        parts.append((header, arrays))
    return parts


def _shortest(values: np.ndarray) -> np.ndarray:
    """One number where all are the same."""
    return values[:1].reshape(()) if (values == values[0]).all() else values

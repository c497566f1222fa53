"""What each number in a NengoDL simulator's variables is: names for rows of arrays.

``Simulator.save_params`` writes ``simulator.keras_model.weights`` in order
(``nengo_dl/simulator.py``): first what training may change, then what it may not, and in each
half first NengoDL's own variables, then those of Keras layers.  NengoDL puts its signals
(weights, encoders, biases) of equal row shape, in an order that suits the execution and not
the order of layers, into one variable (``nengo_dl/tensor_graph.py``, ``create_signals``; the
order is that of ``nengo_dl/graph_optimizer.py``, ``order_signals``).  So the rows are read from
the simulator, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.errors import ImportNetworkError

from .describe import (
    describe_bias,
    describe_connection,
    describe_encoders,
    describe_gain,
    describe_variable,
)
from .naming import NetworkNames
from .parameter import Parameter, Place

Array = np.ndarray


@dataclass(frozen=True)
class Slot:
    """A parameter without its value: what is known of it before a file is read.

    ``constant`` is its value where no variable holds it.
    """

    name: str
    kind: str
    pre: str
    post: str
    trainable: bool
    description: str
    shape: tuple[int, ...]
    place: Place | None
    constant: Array | None = None

    def filled(self, arrays: list[Array]) -> Parameter:
        """The parameter with its value out of the variables' arrays."""
        if self.place is None:
            assert self.constant is not None  # every slot has a place or a constant
            value = self.constant
        else:
            value = self.place.take(arrays[self.place.array], self.shape)
        return Parameter(
            self.name,
            self.kind,
            value,
            self.pre,
            self.post,
            self.trainable,
            self.description,
            self.place,
        )


@dataclass(frozen=True)
class Content:
    """One variable of a simulator: its shape, and the names of what is in it, in order."""

    shape: tuple[int, ...]
    names: tuple[str, ...]
    minibatched: bool = False

    @property
    def label(self) -> str:
        """The names, the first three of many."""
        more = len(self.names) - 3
        return ", ".join(self.names[:3]) + (f" and {more} more" if more > 0 else "")


def contents(simulator: Any) -> list[Content]:
    """What each array of the simulator's ``save_params`` file holds."""
    inside: dict[int, list[tuple[int, str, int]]] = {}
    for slot in layout(simulator):
        if slot.place is not None:
            start = slot.place.rows[0][0] if slot.place.rows else 0
            found = inside.setdefault(slot.place.array, [])
            found.append((start, slot.name, slot.place.axis))
    return [
        Content(
            tuple(variable.shape),
            tuple(name for _, name, _ in sorted(inside[position])),
            any(axis for _, _, axis in inside[position]),
        )
        for position, variable in enumerate(simulator.keras_model.weights)
    ]


def layout(simulator: Any) -> list[Slot]:
    """Every parameter of an open simulator, in the order in which signals pass.

    Raises
    ------
    ImportNetworkError
        The simulator is closed or has no network.
    """
    if simulator.closed:
        raise ImportNetworkError(
            "simulator",
            got="a closed one, which has lost its trained weights",
            expected="an open nengo_dl.Simulator",
            fix="look at it inside the with block, or at a file of sim.save_params",
        )
    if simulator.model.toplevel is None:
        raise ImportNetworkError(
            "simulator",
            got="one that was built without a network",
            expected="nengo_dl.Simulator(network)",
            fix="give it the network",
        )
    return list(_Layout(simulator).slots())


class _Layout:
    """Walks the network and looks up where the simulator keeps each parameter."""

    def __init__(self, simulator: Any) -> None:
        from spiking_lmu.compat import import_nengo, import_nengo_dl

        self._nengo, self._nengo_dl = import_nengo(), import_nengo_dl()
        self._model, self._graph = simulator.model, simulator.tensor_graph
        self._names = NetworkNames(simulator.model.toplevel)
        self._variables = list(simulator.keras_model.weights)
        self._position = {id(v): i for i, v in enumerate(self._variables)}
        self._trained = {id(v) for v in simulator.keras_model.trainable_weights}

    def slots(self) -> Iterator[Slot]:
        taken: list[Place] = []
        for slot in self._all():
            if slot.place is not None:
                if slot.place in taken:
                    continue  # a Keras layer that stands in several places
                taken.append(slot.place)
            yield slot
        yield from self._rest(taken)

    def _all(self) -> Iterator[Slot]:
        for part in self._names.parts:
            for connection in self._names.into(part):
                yield from self._connection(connection)
            if isinstance(part, self._nengo.Ensemble):
                yield from self._ensemble(part)
            elif isinstance(part, self._nengo_dl.TensorNode):
                yield from self._layer(part)
        for connection in self._names.rules():
            yield from self._connection(connection)
        for probe in self._model.probes:
            yield from self._probe(probe)

    def _connection(self, connection: Any) -> Iterator[Slot]:
        if self._nengo_dl.compat.conn_has_weights(connection):
            decoded = isinstance(connection.pre_obj, self._nengo.Ensemble)
            kind = "decoders" if decoded and not connection.solver.weights else "weights"
            signal = self._model.sig[connection]["weights"]
            yield self._slot(
                self._names.connection(connection),
                kind,
                self._names.part(connection.pre_obj),
                self._names.part(connection.post_obj),
                describe_connection(
                    connection,
                    kind,
                    signal.shape,
                    constant=self._names.is_constant(connection.pre_obj),
                ),
                signal,
                self._model.params[connection].weights,
            )

    def _ensemble(self, ensemble: Any) -> Iterator[Slot]:
        name, built = self._names.part(ensemble), self._model.params[ensemble]
        encoders = self._model.sig[ensemble]["encoders"]
        # Where only .neurons are connected to, nothing reads them and NengoDL drops them.
        if encoders in self._graph.signals:
            yield self._slot(
                self._names.unique(f"{name}.encoders"),
                "encoders",
                f"{name}.x",
                name,
                describe_encoders(ensemble),
                encoders,
                built.scaled_encoders,
            )
        if isinstance(ensemble.neuron_type, self._nengo.Direct):
            return
        yield self._slot(
            self._names.unique(f"{name}.bias"),
            "bias",
            "",
            name,
            describe_bias(ensemble),
            self._model.sig[ensemble.neurons]["bias"],
            built.bias,
        )
        yield Slot(
            self._names.unique(f"{name}.gain"),
            "gain",
            "",
            name,
            False,
            describe_gain(ensemble),
            built.gain.shape,
            None,
            built.gain,
        )

    def _layer(self, node: Any) -> Iterator[Slot]:
        """Variables of a Keras layer: they are whole arrays of the file."""
        name = self._names.part(node)
        sources = [self._names.part(c.pre_obj) for c in self._names.into(node)]
        for variable in getattr(node.tensor_func, "weights", ()):
            kind = variable.name.partition(":")[0].rpartition("/")[2]
            yield Slot(
                self._names.unique(f"{name}.{kind}"),
                kind,
                ", ".join(sources) if len(variable.shape) > 1 else "",
                name,
                id(variable) in self._trained,
                describe_variable(node, kind),
                tuple(variable.shape),
                Place(self._position[id(variable)]),
            )

    def _probe(self, probe: Any) -> Iterator[Slot]:
        """The decoders that Nengo adds for the probe of an Ensemble's value."""
        label = str(probe.label or "probe")
        for connection in self._model.params:
            if getattr(connection, "post_obj", None) is probe:
                pre = self._names.part(connection.pre_obj)
                yield self._slot(
                    self._names.unique(f"{pre}_to_{label}"),
                    "decoders",
                    pre,
                    label,
                    describe_connection(connection, "decoders", ()),
                    self._model.sig[connection]["weights"],
                    self._model.params[connection].weights,
                )

    def _slot(
        self, name: str, kind: str, pre: str, post: str, text: str, signal: Any, built: Any
    ) -> Slot:
        """A signal of Nengo's builder: rows of a variable, or a constant of the built model."""
        if signal in self._graph.signals:
            tensor = self._graph.signals[signal]
            base = self._graph.base_params.get(tensor.key)
            if base is not None:
                axis = int(tensor.minibatched)
                rows = None
                if sum(stop - start for start, stop in tensor.slices) != base.shape[axis]:
                    rows = tuple((int(start), int(stop)) for start, stop in tensor.slices)
                place = Place(self._position[id(base)], rows, axis)
                shape = tuple(int(n) for n in tensor.full_shape)
                if axis:
                    text += f"; a copy for each of {shape[0]} samples of the minibatch"
                return Slot(name, kind, pre, post, id(base) in self._trained, text, shape, place)
        constant = _dense(built)
        text += "; a constant, which save_params does not save"
        return Slot(name, kind, pre, post, False, text, constant.shape, None, constant)

    def _rest(self, taken: Iterable[Place]) -> Iterator[Slot]:
        """Variables that none of the above explains, so that nothing in a file goes unnamed."""
        covered = {place.array for place in taken}
        for position, variable in enumerate(self._variables):
            if position not in covered:
                yield Slot(
                    self._names.unique(f"arr_{position}"),
                    "variable",
                    "",
                    "",
                    id(variable) in self._trained,
                    f"a variable that TensorFlow calls {variable.name}",
                    tuple(variable.shape),
                    Place(position),
                )


def _dense(value: Any) -> Array:
    """An array, of a sparse matrix the numbers that it stores."""
    return np.asarray(getattr(value, "data", value) if hasattr(value, "tocoo") else value)

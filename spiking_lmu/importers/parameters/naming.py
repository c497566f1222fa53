"""Names for the parts and connections of any Nengo network, as the importer gives them.

What leads to the output is named first and as :func:`spiking_lmu.from_nengo_dl` names it; the
rest follows.  Nothing has to have a counterpart in a graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..nengo_dl.names import Unique
from ..nengo_dl.plan import ImportPlan, add_rest, owner_of, survey

READOUT = "readout"


class NetworkNames:
    """The names in ``network``, which is read and not changed.

    Parameters
    ----------
    network
        A ``nengo.Network`` with any content.

    Attributes
    ----------
    parts
        Its Nodes and Ensembles, in the order in which signals pass them.
    """

    def __init__(self, network: Any) -> None:
        from spiking_lmu.compat import import_nengo, import_nengo_dl

        self._nengo, self._nengo_dl = import_nengo(), import_nengo_dl()
        self._plan, _ = survey(network, None, None, self._nengo, self._nengo_dl)
        if self._plan.output is None:
            # Several things are probed: the readout is what is probed and leads nowhere.
            ends = self._ends(network)
            if len(ends) == 1:
                self._plan, _ = survey(network, None, ends[0], self._nengo, self._nengo_dl)
        add_rest(self._plan, network, self._nengo, self._nengo_dl)
        self._names = Unique()
        labels = [self._label(connection) for connection in self._plan.connections]
        self._connections = {
            id(connection): self._names.unique(label)
            for connection, label in zip(self._plan.connections, labels, strict=True)
        }
        self.parts = list(_in_order(self._plan))

    def part(self, part: Any) -> str:
        """The name of a Node or Ensemble, of the part that ``.neurons`` belongs to, or of a
        connection that a learning rule changes."""
        owner = owner_of(part)
        known = self._plan.parts.get(owner)
        return self._label(owner) if known is None else known.name

    def connection(self, connection: Any) -> str:
        """The name of a connection, ``pre_to_post`` where it has no label."""
        return self._connections[id(connection)]

    def is_constant(self, part: Any) -> bool:
        """Whether a Node puts out the same numbers always, and is not the network's input."""
        known = self._plan.parts.get(owner_of(part))
        return known is not None and known.constant is not None

    def unique(self, name: str) -> str:
        """``name`` for something else, with a number where it is taken."""
        return self._names.unique(name)

    def into(self, part: Any) -> list[Any]:
        """The connections that end at a Node or Ensemble."""
        return [c for c in self._plan.connections if owner_of(c.post_obj) is part]

    def rules(self) -> list[Any]:
        """The connections that end at a learning rule."""
        return [c for c in self._plan.connections if owner_of(c.post_obj) not in self._plan.parts]

    def _label(self, connection: Any) -> str:
        if connection.label:
            return str(connection.label)
        pre, post = self.part(connection.pre_obj), self.part(connection.post_obj)
        if self._reads_out(connection, post):
            return READOUT
        return f"{pre}_to_{post.rpartition('.')[2]}"

    def _reads_out(self, connection: Any, post: str) -> bool:
        """Whether the weights of ``connection`` are all that leads to the readout."""
        if post != READOUT:
            return False
        end = owner_of(connection.post_obj)
        weighted = [
            c
            for c in self.into(end)
            if self._nengo_dl.compat.conn_has_weights(c) and not self.is_constant(c.pre_obj)
        ]
        return len(weighted) == 1 and weighted[0] is connection

    def _ends(self, network: Any) -> list[Any]:
        sources = {id(owner_of(c.pre_obj)) for c in network.all_connections}
        probed = {id(owner_of(p.obj)): owner_of(p.obj) for p in network.all_probes}
        return [
            part
            for key, part in probed.items()
            if key not in sources and isinstance(part, self._nengo.Node)
        ]


def _in_order(plan: ImportPlan) -> Iterator[Any]:
    """Sources first, then what they lead to; loops are entered where they are met."""
    targets: dict[int, list[Any]] = {}
    fed = set()
    for connection in plan.connections:
        pre, post = owner_of(connection.pre_obj), owner_of(connection.post_obj)
        if post in plan.parts and pre is not post:
            targets.setdefault(id(pre), []).append(post)
            fed.add(id(post))
    seen: set[int] = set()
    for start in [part for part in plan.parts if id(part) not in fed] + list(plan.parts):
        level = [start]
        for part in level:
            if id(part) not in seen:
                seen.add(id(part))
                yield part
                level += targets.get(id(part), [])

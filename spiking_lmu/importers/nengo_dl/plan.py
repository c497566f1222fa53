"""What of a Nengo network is imported, under which names; or everything that cannot be.

Only what leads to the output counts: a Node that merely watches is no obstacle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spiking_lmu.errors import ImportNetworkError
from spiking_lmu.graph.neurons import LINEAR

from .functions import Computation, NoCounterpart, computation_of, kind_of, neuron_of
from .names import Names, layer_kind

#: The population that holds the channels of all inputs where there are several.
ALL_INPUTS = "input"
#: The attributes of each kind of object that a probe may read.
PROBED = {"Node": ("output",), "Neurons": ("output", "spikes", "rates")}
#: NengoDL 3.6.0 takes a signal that is read backwards and whole for the signal itself.
TURNED = (
    "a whole object backwards, which NengoDL takes forwards",
    "write its indices as a list: x[[2, 1, 0]] for x[::-1]",
)


@dataclass(frozen=True)
class Part:
    """One Node or Ensemble: its future population's name and what it computes.

    ``constant`` is the value of a Node without input that is not the network's input.
    """

    name: str
    computation: Computation
    constant: np.ndarray | None = None


@dataclass(frozen=True)
class Output:
    """What the graph's output is: an object, part of it, or an Ensemble's decoded probe.

    ``probe`` is the probe that shows it, and whose synapse it goes through; None where an object
    was named.
    """

    owner: Any
    slice: Any = None
    decoded: bool = False
    probe: Any = None


@dataclass
class ImportPlan:
    """Everything that :func:`~.build.build_graph` needs but the weights.

    ``inputs`` are the Nodes that data are fed to, in the order of their channels.
    """

    names: Names
    inputs: tuple[Any, ...] = ()
    output: Output | None = None
    parts: dict[Any, Part] = field(default_factory=dict)
    connections: list[Any] = field(default_factory=list)
    spiking: bool = False


class Problems:
    """Collects what has no counterpart, to say it all at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, label: str, why: str, instead: str) -> None:
        """Note one."""
        self.found.append(f"{label}: {why} ({instead})")

    def raise_all(self, network: Any) -> None:
        """Raise an ImportNetworkError that names every one, if there are any."""
        if self.found:
            raise ImportNetworkError(
                f"network {network.label or type(network).__name__}",
                got=f"{len(self.found)} without a counterpart: {' | '.join(self.found)}",
                expected="parts that a graph of populations and projections has",
                fix="change what is named in brackets, then train or import again",
            )


def make_plan(
    network: Any, input: Any, output: Any, nengo: Any, nengo_dl: Any, *, spiking: bool = False
) -> ImportPlan:
    """Look at the whole network.

    Raises
    ------
    ImportNetworkError
        Anything without a counterpart, all named in one line.
    """
    plan, problems = survey(network, input, output, nengo, nengo_dl, spiking=spiking)
    problems.raise_all(network)
    return plan


def survey(
    network: Any, input: Any, output: Any, nengo: Any, nengo_dl: Any, *, spiking: bool = False
) -> tuple[ImportPlan, Problems]:
    """The plan of any network, and what of it could not be imported."""
    problems, plan = Problems(), ImportPlan(Names(network), spiking=spiking)
    plan.output = _choose_output(network, output, plan.names, problems, nengo)
    objects = _leading_to(network, plan.output)
    plan.inputs = _choose_inputs(network, input, objects, plan.names, problems, nengo)
    if len(plan.inputs) > 1:
        plan.names.unique(ALL_INPUTS)
    smoothing = lif_smoothing(network, nengo)
    for part in objects:
        _add_part(plan, part, problems, nengo, nengo_dl, smoothing)
    for connection in network.all_connections:
        if owner_of(connection.post_obj) in plan.parts or plan.output is None:
            _check_connection(connection, plan, problems, nengo)
            plan.connections.append(connection)
    return plan, problems


def lif_smoothing(network: Any, nengo: Any) -> float | None:
    """``lif_smoothing`` of ``nengo_dl.configure_settings``, None where it was not set."""
    if nengo.Network not in network.config.params:
        return None
    return getattr(network.config[nengo.Network], "lif_smoothing", None)


def add_rest(plan: ImportPlan, network: Any, nengo: Any, nengo_dl: Any) -> None:
    """Add what does not lead to the output; last, so that what does keeps its names."""
    for part in (*network.all_nodes, *network.all_ensembles):
        if part not in plan.parts:
            _add_part(plan, part, Problems(), nengo, nengo_dl, None)
    known = {id(connection) for connection in plan.connections}
    plan.connections += [c for c in network.all_connections if id(c) not in known]


def owner_of(part: Any) -> Any:
    """The Ensemble of its neurons, the Connection of its learning rule, or the object itself."""
    if type(part).__name__ == "LearningRule":
        return part.connection
    return getattr(part, "ensemble", part)


def _choose_output(
    network: Any, output: Any, names: Names, problems: Problems, nengo: Any
) -> Output | None:
    if isinstance(output, str):
        by_label = [probe for probe in network.all_probes if probe.label == output]
        found = by_label[0] if by_label else names.find(output, network)
        if found is None:
            problems.add(
                "output",
                f"no probe or object named {output!r}",
                f"give the object itself, or one of: {_probe_names(network.all_probes, names)}",
            )
            return None
        # A population is named after its Ensemble, and puts out what the neurons do.
        output = found.neurons if isinstance(found, nengo.Ensemble) else found
    if isinstance(output, nengo.Probe) and output in network.all_probes:
        return _probed(output, problems, nengo)
    if output is not None:
        if isinstance(output, nengo.Ensemble):
            problems.add("output", "an Ensemble, whose decoded output needs a probe", "probe it")
            return None
        if owner_of(output) not in [*network.all_nodes, *network.all_ensembles]:
            problems.add("output", "an object outside the network", "give a Node or neurons of it")
            return None
        return Output(owner_of(output))
    groups: dict[Any, Any] = {}
    for probe in network.all_probes:
        key = (id(owner_of(probe.obj)), probe.attr, repr(probe.slice))
        if key not in groups or (groups[key].synapse is not None and probe.synapse is None):
            groups[key] = probe
    probes = list(groups.values())
    if len(probes) > 1:
        # The others look into the network, as for the rates of hidden neurons.
        probes = _last(network, probes)
    if len(probes) != 1:
        problems.add(
            "output",
            f"probes of {len(groups)} objects: {_probe_names(groups.values(), names)}"
            if groups
            else "no probe",
            "name the output with output="
            + names.advise(owner_of(probe.obj) for probe in groups.values() if not probe.label)
            if groups
            else "add a nengo.Probe",
        )
        return None
    return _probed(probes[0], problems, nengo)


def _probe_names(probes: Iterable[Any], names: Names) -> str:
    return ", ".join(probe.label or names.describe(owner_of(probe.obj)) for probe in probes)


def _last(network: Any, probes: list[Any]) -> list[Any]:
    """Of these probes those of objects that lead nowhere, if they are of one object."""
    sources = {id(owner_of(c.pre_obj)) for c in network.all_connections}
    last = [probe for probe in probes if id(owner_of(probe.obj)) not in sources]
    return last if len(last) == 1 else probes


def _probed(probe: Any, problems: Problems, nengo: Any) -> Output | None:
    owner = owner_of(probe.obj)
    label = probe.label or str(probe)
    if probe.synapse is not None and type(probe.synapse) is not nengo.Lowpass:
        problems.add(
            label, f"the synapse {type(probe.synapse).__name__}", "use None or a Lowpass synapse"
        )
        return None
    if isinstance(probe.obj, nengo.Ensemble) and probe.attr == "decoded_output":
        return Output(owner, decoded=True, probe=probe)
    if _turned(probe.slice, probe.obj.size_out):
        problems.add(label, *TURNED)
        return None
    kind = "Neurons" if type(probe.obj).__name__ == "Neurons" else "Node"
    if not isinstance(owner, nengo.Node | nengo.Ensemble) or probe.attr not in PROBED[kind]:
        problems.add(label, f"a probe of {probe.attr!r}", "probe the output of a Node or neurons")
        return None
    return Output(owner, probe.slice, probe=probe)


def _leading_to(network: Any, output: Output | None) -> list[Any]:
    """Nodes and ensembles from which a path of connections leads to the output."""
    everything = [*network.all_nodes, *network.all_ensembles]
    if output is None:
        return everything
    reached, edges = [output.owner], network.all_connections
    for part in reached:
        for edge in edges:
            source = owner_of(edge.pre_obj)
            if owner_of(edge.post_obj) is part and source not in reached:
                reached.append(source)
    return [part for part in everything if part in reached]


def _choose_inputs(
    network: Any, input: Any, objects: list[Any], names: Names, problems: Problems, nengo: Any
) -> tuple[Any, ...]:
    sources = [part for part in objects if isinstance(part, nengo.Node) and not part.size_in]
    if input is None:
        return _found_inputs(network, sources, names, problems)
    given = list(input) if isinstance(input, list | tuple) else [input]
    chosen: list[Any] = []
    for one in given:
        node = names.find(one, network) if isinstance(one, str) else one
        if node is None:
            problems.add(
                "input",
                f"no Node named {one!r}",
                f"give the Node itself, or one of: {_described(sources, names)}",
            )
        elif not isinstance(node, nengo.Node) or node.size_in:
            problems.add("input", names.describe(node), "give a Node without incoming connections")
        elif node not in objects:
            problems.add("input", "a Node that does not lead to the output", "give one that does")
        elif node in chosen:
            problems.add("input", f"{names.describe(node)} twice", "give each once")
        else:
            chosen.append(node)
    left_out = [part for part in sources if part not in chosen and _is_placeholder(part)]
    if len(chosen) == len(given) and left_out:
        problems.add(
            "input",
            f"without {_described(left_out, names)}, whose zeros stand for data too",
            "name all inputs, in the order of the data's channels: "
            f"input=[{', '.join(map(repr, (names.describe(n) for n in [*chosen, *left_out])))}]; "
            "or remove what is no input",
        )
    return tuple(chosen)


def _found_inputs(
    network: Any, sources: list[Any], names: Names, problems: Problems
) -> tuple[Any, ...]:
    """The Nodes that data can be meant for: the only ones there are, or all placeholders.

    A network of ``nengo_dl.Converter`` says itself which they are.
    """
    if hasattr(network, "layer_map"):
        known = [node for node in network.inputs.values() if node in sources]
        if known:
            return tuple(known)
    if len(sources) == 1 or (sources and all(_is_placeholder(node) for node in sources)):
        return tuple(sources)
    found = _described(sources, names)
    problems.add(
        "input",
        f"{len(sources)} Nodes that could be it: {found}" if sources else "no input Node",
        "name the input with input=, or several in the order of the data's channels; the others "
        f"are constants{names.advise(sources)}"
        if sources
        else "add nengo.Node(np.zeros(size))",
    )
    return ()


def _is_placeholder(node: Any) -> bool:
    """Whether a Node without input puts out zeros, or what a process or function makes."""
    return not isinstance(node.output, np.ndarray) or not node.output.any()


def _described(nodes: list[Any], names: Names) -> str:
    return ", ".join(names.describe(part) for part in nodes)


def _add_part(
    plan: ImportPlan,
    part: Any,
    problems: Problems,
    nengo: Any,
    nengo_dl: Any,
    smoothing: float | None,
) -> None:
    import tensorflow as tf

    is_output = plan.output is not None and plan.output.owner is part
    is_node = isinstance(part, nengo.Node)
    computation, constant, kind = Computation(LINEAR), None, "node"
    trouble: NoCounterpart | None = None
    try:
        if isinstance(part, nengo_dl.TensorNode):
            kind = layer_kind(part.tensor_func)
            computation = computation_of(part, tf)
            kind = kind or ("piecewise" if computation.pieces else computation.neuron.kind)
        elif not is_node:
            kind = kind_of(part.neuron_type, nengo, nengo_dl)
            computation = neuron_of(
                part.neuron_type, nengo, nengo_dl, spiking=plan.spiking, smoothing=smoothing
            )
            if part.noise is not None:
                raise NoCounterpart("noise on an Ensemble", "train and import without it")
        elif part in plan.inputs:
            kind = "input" if len(plan.inputs) == 1 else "channel"
        elif isinstance(part.output, np.ndarray):
            constant, kind = np.asarray(part.output, dtype=float), "constant"
        elif part.output is not None and (part.size_in or plan.inputs):
            raise NoCounterpart(
                "a Node that runs a function or process",
                "use passthrough Nodes, neurons, or a TensorNode with a known function",
            )
    except NoCounterpart as error:
        trouble = error
    if is_output and is_node and part not in plan.inputs:
        kind = "readout"
    name = plan.names.of(part, kind or "tensor_node")
    plan.parts[part] = Part(name, computation, constant)
    if trouble is not None:
        problems.add(name, trouble.why, trouble.instead)


def _turned(chosen: Any, size: int) -> bool:
    """Whether a slice is all of ``size`` values, the last one first."""
    return isinstance(chosen, slice) and chosen.indices(size) == (size - 1, -1, -1) and size > 1


def _check_connection(connection: Any, plan: ImportPlan, problems: Problems, nengo: Any) -> None:
    parts = (owner_of(connection.pre_obj), owner_of(connection.post_obj))
    ends = [
        plan.parts[end].name if end in plan.parts else plan.names.describe(end) for end in parts
    ]
    label = connection.label or f"connection {ends[0]} to {ends[1]}"
    synapse, transform = connection.synapse, connection.transform
    if synapse is not None and type(synapse) is not nengo.Lowpass:
        problems.add(
            label, f"the synapse {type(synapse).__name__}", "use None, 0 or a Lowpass synapse"
        )
    if type(transform) not in (
        nengo.Dense,
        nengo.transforms.NoTransform,
        nengo.Sparse,
        nengo.Convolution,
    ):
        problems.add(
            label,
            f"the transform {type(transform).__name__}",
            "use nengo.Dense, Sparse or Convolution",
        )
    if connection.learning_rule_type is not None or type(parts[1]).__name__ == "Connection":
        problems.add(label, "a learning rule", "remove it and train offline")
    if connection.function is not None and not isinstance(connection.pre_obj, nengo.Ensemble):
        problems.add(label, "a function of a Node's output", "compute it before the network")
    decoded = isinstance(connection.pre_obj, nengo.Ensemble)
    if _turned(connection.post_slice, connection.post_obj.size_in) or (
        not decoded and _turned(connection.pre_slice, connection.pre_obj.size_out)
    ):
        problems.add(label, *TURNED)
    index = np.arange(connection.post_obj.size_in)[connection.post_slice]
    if np.unique(index).size != index.size:
        problems.add(label, "a post object with repeated indices", "connect each index once")

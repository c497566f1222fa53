"""Networks from and to NIR, the intermediate representation that spiking libraries share.

Source: Pedersen et al. (2024), "Neuromorphic intermediate representation: a unified instruction
set for interoperable brain-inspired computing", Nature Communications 15, and the package
``nir`` 1.0.8.  Nodes are differential equations in continuous time; a spike is a Dirac pulse of
area 1.  Here a step is ``dt`` and one presentation, and a spike of area a is ``a / dt`` for one
step.  docs/nir.md says of each node what is exact and what is not.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import ImportNetworkError, SpecError, SpikingLmuError, missing_extra
from spiking_lmu.files.archive import Wanted, read_bytes, reading
from spiking_lmu.files.writing import write_atomically
from spiking_lmu.graph.fold import cheaper, fold_linear
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model, require_model
from spiking_lmu.graph.neurons import LINEAR, Neuron
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import (
    AveragePool,
    Convolution,
    Dense,
    OneToOne,
    Sparse,
    Transform,
)

from .keras_file import all_arrays, opened

Array = np.ndarray
#: Weights of a transform that are written in full, and steps of a delay that become populations.
MAX_WEIGHTS, MAX_DELAY = 10_000_000, 1_000
MAX_FILE = 1 << 30


def from_nir(path_or_graph: Any, *, dt: float = 0.001, task: str = "classification") -> Model:
    """Import a NIR graph.

    Parameters
    ----------
    path_or_graph
        A ``.nir`` file, or a ``nir.NIRGraph``.
    dt
        Seconds of one step, and of one presentation.
    task
        What the outputs mean.

    Returns
    -------
    A model whose provenance has ``notes``: how it differs from the equations of NIR.

    Raises
    ------
    FileError
        A file that is missing, damaged or hostile.
    ImportNetworkError
        Nodes without a counterpart, all of them in one line.
    MissingExtraError
        The package ``nir`` is not installed.

    Examples
    --------
    ::

        model = from_nir("network.nir")
    """
    nir = _nir()
    graph = path_or_graph
    if isinstance(graph, str | Path):
        graph = _read(Path(graph), nir)
    if not isinstance(graph, nir.NIRGraph):
        raise _refused([f"a {type(graph).__name__}: pass a file or a nir.NIRGraph"])
    reader = _Reader(graph, dt)
    found = list(reader.problems())
    if found:
        raise _refused(found)
    try:
        built = fold_linear(reader.build(), cheaper)
    except ImportNetworkError:
        raise
    except (SpikingLmuError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _refused([f"nodes that do not fit together ({error})"]) from error
    return Model(
        built,
        timing=Timing(dt=dt),
        task=task,  # type: ignore[arg-type]
        provenance={"imported_from": {"format": "NIR"}, "notes": reader.notes},
    )


def to_nir(model: Model, path: str | Path | None = None) -> Any:
    """Export the spiking graph of ``model``, and write it if there is a path.

    Parameters
    ----------
    model
        A spiking model.
    path
        A ``.nir`` file to write.

    Returns
    -------
    A ``nir.NIRGraph``; its ``metadata["notes"]`` says how its equations differ from the model.

    Raises
    ------
    SpecError
        Rate neurons, which NIR does not have; or delays of presentations that last several
        steps.
    FileError
        The folder is missing or cannot be written, or the disk is full.
    MissingExtraError
        The package ``nir`` is not installed.

    Examples
    --------
    ::

        to_nir(spiking, "network.nir")
    """
    require_model(model)
    nir = _nir()
    made = _Writer(model, nir).build()
    if path is not None:
        # HDF5 reads what it writes: in memory first.
        content = io.BytesIO()
        nir.write(content, made)
        with write_atomically(path) as file:
            file.write(content.getbuffer())
    return made


def _nir() -> Any:
    try:
        import nir
    except ImportError as error:
        raise missing_extra("NIR", "nir", "nir") from error
    return nir


def _read(path: Path, nir: Any) -> Any:
    wanted = Wanted(path.name, "a NIR graph as nir.write makes it", "write it again")
    content = read_bytes(path, MAX_FILE, wanted)
    with reading(wanted):
        # Nothing but arrays, numbers and words that are in the file itself.
        with opened(content) as file:
            all_arrays(file, words=True)
        return nir.read(str(path))


def _refused(found: list[str]) -> ImportNetworkError:
    return ImportNetworkError(
        "NIR graph",
        got="; ".join(found),
        expected="nodes that a graph of neurons and linear maps can compute",
        fix="docs/nir.md lists them",
    )


#: Nodes that are refused, and why.
REFUSED = {
    "I": "an integrator without leak has no counterpart: use LI with a long tau",
    "Threshold": "a threshold without a neuron has no counterpart: use IF",
    "NIRGraph": "a graph inside a graph: flatten it before writing",
}


class _Reader:
    """Populations and projections of one NIR graph, node after node.

    Images are kept with the channels last; NIR has them first.
    """

    def __init__(self, graph: Any, dt: float) -> None:
        self.nodes: dict[str, Any] = dict(graph.nodes)
        self.edges = [(str(a), str(b)) for a, b in graph.edges]
        self.dt, self.notes = dt, list[str]()
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        #: Where edges to a node end, and where those from it begin.
        self.entry: dict[str, str] = {}
        self.exit: dict[str, str] = {}

    def problems(self) -> Iterator[str]:
        """A line for each node that has no counterpart."""
        ends: dict[str, list[str]] = {"Input": [], "Output": []}
        for name, node in self.nodes.items():
            kind = type(node).__name__
            if kind in ends:
                ends[kind].append(name)
            elif kind in REFUSED:
                yield f"{name} ({kind}): {REFUSED[kind]}"
            elif kind not in _MAKERS:
                yield f"{name} ({kind}): unknown"
            elif kind in ("LIF", "CubaLIF", "LI", "CubaLI"):
                for key in ("tau", "tau_mem", "tau_syn"):
                    value = getattr(node, key, None)
                    if value is not None and np.ptp(np.asarray(value, float)) > 0:
                        yield f"{name} ({kind}): several values of {key}, give all the same"
            reset = getattr(node, "v_reset", None)
            if reset is not None and np.any(np.asarray(reset) != 0):
                yield f"{name} ({kind}): v_reset other than 0"
        for kind, names in ends.items():
            if len(names) != 1:
                yield f"{len(names)} nodes of kind {kind}, not one"

    def build(self) -> Graph:
        """The graph of neurons and projections."""
        for name in self._order(self.edges):
            self._node(name)
        # What a delay or a lowpass puts out does not depend on the same step.
        late = {n for n, node in self.nodes.items() if type(node).__name__ in _LATE}
        order = self._order([(a, b) for a, b in self.edges if b not in late])
        for a, b in self.edges:
            back = b not in late and order.index(a) >= order.index(b)
            if back:
                self.notes.append(f"{a} reaches {b} one step later, since it closes a loop.")
            self.projections.append(
                Projection(
                    self.exit[a],
                    self.entry[b],
                    delay=int(back),
                    name=f"{a}_to_{b}",
                )
            )
        named = {type(n).__name__: k for k, n in self.nodes.items()}
        return Graph(
            tuple(self.populations),
            tuple(self.projections),
            self.entry[named["Input"]],
            self.exit[named["Output"]],
        )

    def _order(self, edges: list[tuple[str, str]]) -> list[str]:
        """Nodes from input to output; where a loop leaves no choice, as they come."""
        waiting, order = list(self.nodes), list[str]()
        while waiting:
            ready = [n for n in waiting if not any(b == n and a in waiting for a, b in edges)]
            # In a loop, whatever something known leads to, neurons last: they may be read late.
            led = [n for n in waiting if any(b == n and a in order for a, b in edges)]
            linear = [n for n in led if type(self.nodes[n]).__name__ not in _SPIKING]
            chosen = (ready or linear or led or waiting)[0]
            waiting.remove(chosen)
            order.append(chosen)
        return order

    def _node(self, name: str) -> None:
        node, kind = self.nodes[name], type(self.nodes[name]).__name__
        if kind == "Input":
            (shape,) = node.input_type.values()
            self.shapes[name] = _last(tuple(int(n) for n in np.ravel(shape)))
            self._linear(name, prod(self.shapes[name]))
            return
        sources = [self.shapes[a] for a, b in self.edges if b == name and a in self.shapes]
        if not sources:
            raise ValueError(f"nothing leads to {name}")
        if kind == "Output":
            self.shapes[name] = sources[0]
            self._linear(name, prod(sources[0]))
            return
        _MAKERS[kind](self, name, node, sources[0])

    def _linear(self, name: str, size: int, bias: Array | None = None) -> str:
        self.populations.append(
            Population(name, size, LINEAR, bias=np.zeros(()) if bias is None else bias)
        )
        self.entry.setdefault(name, name)
        self.exit[name] = name
        return name

    def _map(
        self,
        name: str,
        transform: Transform,
        shape: tuple[int, ...],
        source: tuple[int, ...],
        bias: Array | None = None,
    ) -> None:
        """``name.in``, the transform, and ``name``."""
        self._linear(f"{name}.in", prod(source))
        self._linear(name, prod(shape), bias)
        self.projections.append(Projection(f"{name}.in", name, transform, name=f"{name}.map"))
        self.entry[name], self.shapes[name] = f"{name}.in", shape


def _affine(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    weight = np.asarray(node.weight, float)
    if weight.ndim != 2:
        raise ValueError(f"weight of {name} with {weight.ndim} dimensions")
    bias = getattr(node, "bias", None)
    reader._map(
        name, Dense(weight), (len(weight),), source, None if bias is None else np.ravel(bias)
    )


def _scale(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    reader._map(name, OneToOne(_each(node.scale, source)), source, source)


def _convolution(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    weight, axes = np.asarray(node.weight, float), len(source) - 1
    # (filters, channels, *window) → (*window, channels, filters)
    kernel = np.moveaxis(weight, (0, 1), (-1, -2))
    transform = Convolution(
        source,
        kernel,
        _numbers(node.stride, axes),
        _padding(node.padding, axes),
        int(node.groups),
        _numbers(node.dilation, axes),
    )
    bias = np.tile(np.asarray(node.bias, float), prod(transform.windows.places))
    reader._map(name, transform, transform.output_shape, source, bias)


def _pool(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    axes = len(source) - 1
    window, padding = _numbers(node.kernel_size, axes), _padding(node.padding, axes)
    transform: Transform
    if type(node).__name__ == "AvgPool2d" and not np.any(np.asarray(node.padding)):
        transform = AveragePool(source, window, _numbers(node.stride, axes))
        shape = transform.output_shape
    else:
        # A sum; of an average with padding, which counts, the same divided.
        share = 1.0 if type(node).__name__ == "SumPool2d" else 1.0 / prod(window)
        kernel = np.full((*window, 1, source[-1]), share)
        transform = Convolution(source, kernel, _numbers(node.stride, axes), padding, source[-1])
        shape = transform.output_shape
    reader._map(name, transform, shape, source)


def _flatten(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    """NIR counts the channels first."""
    order = np.arange(prod(source)).reshape(source)
    index = np.moveaxis(order, -1, 0).ravel()
    transform = Sparse((index.size, index.size), np.arange(index.size), index, np.ones(index.size))
    reader._map(name, transform, (index.size,), source)


def _delay(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    seconds = np.asarray(node.delay, float)
    steps = round(float(seconds.max()) / reader.dt)
    if np.ptp(seconds) > 0 or steps > MAX_DELAY or abs(steps * reader.dt - seconds.max()) > 1e-9:
        raise ValueError(f"{name}: a delay that is no whole number of steps for all")
    reader._linear(f"{name}.in", prod(source))
    before = f"{name}.in"
    for step in range(1, steps + 1):
        later = name if step == steps else f"{name}.{step}"
        reader._linear(later, prod(source))
        reader.projections.append(Projection(before, later, delay=1))
        before = later
    reader.entry[name], reader.exit[name] = f"{name}.in", before
    reader.shapes[name] = source


def _neurons(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    """IF and LIF, the latter maybe behind a synapse; thresholds are moved into the gain."""
    kind = type(node).__name__
    threshold, gain = (_each(getattr(node, k), source) for k in ("v_threshold", "r"))
    size, leak = prod(source), np.zeros(prod(source))
    if kind == "IF":
        neuron = Neuron("spiking_relu")
        reader.notes.append(
            f"{name}: IF forgets what is above the threshold at a spike and spikes once a step; "
            "here it is kept, and a step may have several."
        )
    else:
        tau = float(np.ravel(node.tau_mem if kind == "CubaLIF" else node.tau)[0])
        neuron = Neuron("lif", tau_rc=tau, tau_ref=0.0)
        leak = _each(node.v_leak, source)
        reader.notes.append(f"{name}: voltages below 0 are cut off at 0.")
    post = f"{name}.neurons" if kind == "CubaLIF" else name
    reader.populations.append(Population(post, size, neuron, gain / threshold, leak / threshold))
    reader.entry[name] = reader.exit[name] = post
    reader.shapes[name] = source
    if kind == "CubaLIF":
        _synapse(reader, name, node, post, source)


def _synapse(reader: _Reader, name: str, node: Any, post: str, source: tuple[int, ...]) -> None:
    """``name.in`` behind a lowpass: tau dI/dt = w_in · S - I."""
    entry = reader._linear(f"{name}.in", prod(source))
    tau = float(np.ravel(node.tau_syn)[0])
    reader.projections.append(
        Projection(entry, post, _each(node.w_in, source), tau=tau, name=f"{name}.synapse")
    )
    reader.entry[name] = entry


def _leaky(reader: _Reader, name: str, node: Any, source: tuple[int, ...]) -> None:
    """LI: a lowpass of r · I, around v_leak; CubaLI with one more before."""
    cuba = type(node).__name__ == "CubaLI"
    tau = float(np.ravel(node.tau_mem if cuba else node.tau)[0])
    size = prod(source)
    reader._linear(f"{name}.current", size)
    reader._linear(name, size, _each(node.v_leak, source))
    reader.projections.append(
        Projection(f"{name}.current", name, _each(node.r, source), tau=tau, name=f"{name}.leak")
    )
    reader.entry[name], reader.shapes[name] = f"{name}.current", source
    if cuba:
        _synapse(reader, name, node, f"{name}.current", source)


def _each(value: Any, source: tuple[int, ...]) -> Array:
    """A number a neuron, or one for all, in our order of places."""
    array = np.asarray(value, float)
    if array.size == 1:
        return np.full(prod(source), array.ravel()[0])
    if len(source) > 1 and array.ndim == len(source):
        array = np.moveaxis(array, 0, -1)
    elif array.ndim > 1 or array.size != prod(source):
        raise ValueError(f"{array.shape} parameters for {source} neurons")
    return array.ravel()


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Channels last instead of first."""
    return (*shape[1:], shape[0]) if len(shape) > 1 else shape


def _numbers(value: Any, count: int) -> tuple[int, ...]:
    values = np.ravel(value)
    return tuple(int(v) for v in (values if len(values) == count else np.repeat(values, count)))


def _padding(value: Any, axes: int) -> Any:
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value.decode()
        return text
    return tuple((n, n) for n in _numbers(value, axes))


#: Nodes whose output is of earlier steps alone.
_LATE = ("CubaLI", "CubaLIF", "Delay", "LI")
_SPIKING = ("IF", "LIF", "CubaLIF")
_MAKERS: dict[str, Callable[[_Reader, str, Any, tuple[int, ...]], None]] = {
    "Affine": _affine,
    "AvgPool2d": _pool,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "CubaLI": _leaky,
    "CubaLIF": _neurons,
    "Delay": _delay,
    "Flatten": _flatten,
    "IF": _neurons,
    "LI": _leaky,
    "LIF": _neurons,
    "Linear": _affine,
    "Scale": _scale,
    "SumPool2d": _pool,
}


class _Writer:
    """A NIR graph of one model."""

    def __init__(self, model: Model, nir: Any) -> None:
        self.model, self.graph, self.nir = model, model.graph, nir
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def build(self) -> Any:
        """All populations, then all projections."""
        names = [p.name for p in self.graph.populations] + [q.name for q in self.graph.projections]
        if len({_word(name) for name in names}) < len(names):
            raise SpecError(
                "names in the model",
                got="two that differ in dots or slashes alone",
                expected="names that differ in letters",
                fix="rename one",
            )
        if self.model.timing.readout_tau:
            tau = self.model.timing.readout_tau
            self.notes.append(f"The lowpass of {tau:g} s on the output is left out.")
        for population in self.graph.populations:
            self._population(population)
        for projection in self.graph.projections:
            self._projection(projection)
        output = self.graph[self.graph.output]
        self.nodes["output"] = self.nir.Output({"output": np.array([output.size])})
        self.edges.append((self._out(output), "output"))
        _absorb_scales(self.nodes, self.edges, self.nir)
        made = self.nir.NIRGraph(self.nodes, self.edges, type_check=False)
        made.metadata = {"notes": "\n".join(self.notes)}
        return made

    def _population(self, p: Population) -> None:
        nir, name = self.nir, _word(p.name)
        if p.name == self.graph.input:
            self.nodes[name] = nir.Input({"input": np.array([p.size])})
            return
        if p.neuron.kind == "linear":
            self.nodes[name] = (
                nir.Affine(np.diag(p.gain), np.array(p.bias))
                if p.bias.any()
                else nir.Scale(np.array(p.gain))
            )
            return
        ones, zeros = np.ones(p.size), np.zeros(p.size)
        if p.neuron.kind == "spiking_relu":
            node = nir.IF(ones * p.scale * p.gain, ones, zeros)
            self.notes.append(
                f"{p.name}: keeps what is above the threshold at a spike; IF does not."
            )
            leak = p.scale * p.bias
            if leak.any():
                # IF has no constant current: it is added before.
                self.nodes[f"{name}_drive"] = nir.Affine(np.diag(p.scale * p.gain), np.array(leak))
                node = nir.IF(ones, ones, zeros)
                self.edges.append((f"{name}_drive", name))
        elif p.neuron.kind == "lif":
            node = nir.LIF(ones * p.neuron.tau_rc, np.array(p.gain), np.array(p.bias), ones, zeros)
            if p.neuron.tau_ref > 0:
                self.notes.append(
                    f"{p.name}: is refractory for {p.neuron.tau_ref:g} s; LIF is not."
                )
        else:
            raise SpecError(
                f"population {p.name}",
                got=f"{p.neuron.kind} neurons",
                expected="spiking neurons: NIR has no rate neurons",
                fix="convert the model first",
            )
        self.nodes[name] = node
        self.nodes[f"{name}_spikes"] = nir.Scale(ones * p.amplitude)
        self.edges.append((name, f"{name}_spikes"))

    def _out(self, p: Population) -> str:
        return _word(p.name) + ("_spikes" if p.neuron.spiking else "")

    def _projection(self, q: Projection) -> None:
        nir, pre, post = self.nir, self.graph[q.pre], self.graph[q.post]
        chain: list[tuple[str, Any]] = []
        name, ones = _word(q.name), np.ones(pre.size)
        if q.tau:
            chain.append((f"{name}_lowpass", nir.LI(ones * q.tau, ones, 0 * ones)))
        if q.begins:
            raise SpecError(
                f"projection {q.name}",
                got=f"a delay that begins with input {q.begins}",
                expected="one that is there from the first: NIR has no other",
                fix="export the network without its closed loop",
            )
        if q.delay:
            # A mean over an input of one step is that step.
            timing = self.model.timing
            if timing.steps_per_input != 1 or timing.settle_steps:
                raise SpecError(
                    f"projection {q.name}",
                    got="a delay of one input, which lasts several steps",
                    expected="inputs of one step: NIR's Delay is in seconds",
                    fix="convert with steps_per_input=1 and settle_steps=0",
                )
            chain.append((f"{name}_delay", nir.Delay(ones * timing.dt)))
        transform = q.transform
        if isinstance(transform, OneToOne):
            if transform.array is not None:
                chain.append((f"{name}_weights", nir.Scale(np.array(transform.array))))
        else:
            if pre.size * post.size > MAX_WEIGHTS:
                raise SpecError(
                    f"projection {q.name}",
                    got=f"{transform}, unrolled {pre.size * post.size:,} weights",
                    expected=f"at most {MAX_WEIGHTS:,}",
                    fix="export a smaller network",
                )
            chain.append((f"{name}_weights", nir.Linear(np.array(transform.matrix(pre.size)))))
        before = self._out(pre)
        for label, node in chain:
            self.nodes[label] = node
            self.edges.append((before, label))
            before = label
        drive = f"{_word(post.name)}_drive"
        self.edges.append((before, drive if drive in self.nodes else _word(post.name)))


def _absorb_scales(nodes: dict[str, Any], edges: list[tuple[str, str]], nir: Any) -> None:
    """Let weights take over factors beside them: ``Scale``, and ``r`` of neurons.

    Libraries read weights and neurons; hardly any reads ``Scale`` or an ``r`` other than 1.
    """
    dense = (nir.Linear, nir.Affine)
    for name in list(nodes):
        node = nodes[name]
        before = [a for a, b in edges if b == name]
        after = [b for a, b in edges if a == name]
        if isinstance(node, nir.Scale):
            factors = np.asarray(node.scale, float)
            if all(isinstance(nodes[b], dense) for b in after):
                for b in after:
                    nodes[b] = _weighted(nodes[b], nodes[b].weight * factors, nir)
            elif _end_here(before, nodes, edges, dense):
                for a in before:
                    nodes[a] = _weighted(nodes[a], factors[:, None] * nodes[a].weight, nir, factors)
            elif (factors != 1).any() or {(a, b) for a in before for b in after} & set(edges):
                continue
            edges[:] = [e for e in edges if name not in e] + [(a, b) for a in before for b in after]
            del nodes[name]
        elif isinstance(node, nir.IF | nir.LIF) and _end_here(before, nodes, edges, dense):
            factors = np.asarray(node.r, float)
            for a in before:
                nodes[a] = _weighted(nodes[a], factors[:, None] * nodes[a].weight, nir, factors)
            ones = np.ones_like(factors)
            nodes[name] = (
                nir.IF(ones, node.v_threshold, node.v_reset)
                if isinstance(node, nir.IF)
                else nir.LIF(node.tau, ones, node.v_leak, node.v_threshold, node.v_reset)
            )


def _end_here(
    before: list[str], nodes: dict[str, Any], edges: list[tuple[str, str]], dense: Any
) -> bool:
    """Whether all nodes before one are weights that lead nowhere else."""
    return bool(before) and all(
        isinstance(nodes[a], dense) and sum(e[0] == a for e in edges) == 1 for a in before
    )


def _weighted(node: Any, weight: Array, nir: Any, factors: Array | None = None) -> Any:
    """The same with other weights; the bias times ``factors``."""
    if isinstance(node, nir.Linear):
        return nir.Linear(weight)
    return nir.Affine(weight, node.bias if factors is None else factors * node.bias)


def _word(name: str) -> str:
    """Names in NIR are HDF5 groups: no slashes, and no dots."""
    return name.replace("/", "_").replace(".", "_")

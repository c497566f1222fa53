"""Layers of KerasLMU and Keras's simple recurrent layer as parts of a graph.

One time step of Keras is one presentation.  In a step an LMU cell computes (keras_lmu 0.4 to
0.9, ``layers.py``, ``LMUCell.call``)::

    u[t] = x[t] W_x (+ h[t-1] W_h) (+ m[t-1] W_m) (+ b)
    m[t] = A m[t-1] + B u[t]                            for each of memory_d dimensions
    h[t] = f(m[t] (, x[t]), h[t-1])

A and B are those of Voelker et al. (2019), discretised by zero-order hold or by Euler's method.
``LMUFeedforward`` computes the same without the terms in parentheses of the first line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.errors import require_whole
from spiking_lmu.graph.graph import Population, Projection
from spiking_lmu.graph.lmu import continuous_matrices, memory_matrices
from spiking_lmu.graph.transforms import Dense, Sparse, Transform

from .keras_builder import Builder, Tensor
from .keras_file import Layer, class_of

Array = np.ndarray
#: Layers with a time axis, and what they are as (layer around a cell, cell).
LAYERS = ("LMU", "LMUFeedforward", "SimpleRNN", "RNN")
#: Gated cells: products of activities, which no projection computes.
GATED = ("LSTM", "GRU", "LSTMCell", "GRUCell", "ConvLSTM1D", "ConvLSTM2D")
RETRAIN = "train with a SimpleRNNCell, a Dense layer or None as the hidden cell"


@dataclass(frozen=True)
class _Cell:
    """Configuration of what runs at every step, and the name that its arrays have in a path."""

    kind: str
    config: dict[str, Any]


def cell_of(layer: Layer) -> _Cell:
    """The cell in a layer: its own configuration, or that of the cell inside an ``RNN``."""
    if layer.kind != "RNN":
        kinds = {"SimpleRNN": "SimpleRNNCell"}
        return _Cell(kinds.get(layer.kind, "LMUCell"), layer.config)
    cell = layer.config.get("cell")
    if isinstance(cell, dict) and isinstance(cell.get("config"), dict):
        return _Cell(class_of(cell), cell["config"])
    return _Cell("unknown cell", {})


def hidden_of(config: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Class and configuration of the hidden cell of an LMU."""
    hidden = config.get("hidden_cell")
    if not isinstance(hidden, dict):
        return None
    return class_of(hidden), dict(hidden.get("config") or {})


def problems(layer: Layer) -> Iterator[tuple[str, str]]:
    """What in a recurrent layer has no counterpart in a graph, and what to do."""
    cell = cell_of(layer)
    for option in ("go_backwards", "stateful"):
        if layer.config.get(option):
            yield f"{option}=True", f"train with {option}=False"
    if layer.config.get("return_state"):
        yield "return_state=True", "use its output alone"
    if cell.kind not in ("LMUCell", "SimpleRNNCell"):
        yield f"the cell {cell.kind}", "use keras_lmu.LMUCell or SimpleRNNCell"
        return
    if cell.kind == "SimpleRNNCell":
        return
    if cell.config.get("discretizer", "zoh") not in ("zoh", "euler"):
        yield f"the discretizer {cell.config['discretizer']!r}", "train with zoh or euler"
    hidden = hidden_of(cell.config)
    if hidden is not None and hidden[0] not in ("SimpleRNNCell", "Dense"):
        yield f"the hidden cell {hidden[0]}", RETRAIN


def add(builder: Builder, layer: Layer, x: Tensor, name: str) -> Tensor:
    """The layer's populations and projections; its output at every step."""
    cell = cell_of(layer)
    if cell.kind == "SimpleRNNCell":
        arrays = builder.arrays(layer, _recurrent_names(cell.config))
        return _hidden(builder, "SimpleRNNCell", cell.config, arrays, [x.population], name)
    return _lmu(builder, layer, cell.config, x, name)


def _lmu(builder: Builder, layer: Layer, config: dict[str, Any], x: Tensor, name: str) -> Tensor:
    for key in ("memory_d", "order"):
        require_whole(f"{key} of {name}", config.get(key), 1, 4096)
    memory_d, order = int(config["memory_d"]), int(config["order"])
    size = memory_d * order
    hidden = hidden_of(config)
    own, inner = _arrays(builder, layer, config, hidden, x.size, size)
    u, m = f"{name}.u", f"{name}.m"
    theta = float(config["theta"])
    if "theta_inv" in own:
        theta = 1.0 / float(own["theta_inv"])
    a, b = discrete(order, theta, str(config.get("discretizer", "zoh")))
    builder.populations += [
        Population(u, memory_d, bias=own.get("bias", np.zeros(()))),
        Population(m, size),
    ]
    builder.kept |= {u, m}
    kernel = own.get("kernel")
    builder.projections += [
        Projection(
            x.population, u, None if kernel is None else kernel[: x.size].T, name=f"{name}.x_to_u"
        ),
        Projection(u, m, _each(b, memory_d), name=f"{name}.u_to_m", trainable=False),
        Projection(m, m, _each(a, memory_d), delay=1, name=f"{name}.m_to_m", trainable=False),
    ]
    if "recurrent_kernel" in own:
        builder.projections.append(
            Projection(m, u, own["recurrent_kernel"].T, delay=1, name=f"{name}.m_to_u")
        )
    sources = [m, x.population] if config.get("input_to_hidden") else [m]
    if hidden is None:
        return builder.concatenated(
            [builder.tensor(s) for s in sources], f"{name}.h" if len(sources) > 1 else m
        )
    output = _hidden(builder, *hidden, inner, sources, f"{name}.h")
    if config.get("hidden_to_memory"):
        assert kernel is not None  # else the shapes would not have fitted
        builder.projections.append(
            Projection(output.population, u, kernel[x.size :].T, delay=1, name=f"{name}.h_to_u")
        )
    return output


def discrete(order: int, theta: float, discretizer: str) -> tuple[Array, Array]:
    """A (order, order) and B (order, 1) of one step.

    Euler's method is A/θ + 1 and B/θ of the continuous matrices.
    """
    if discretizer == "zoh":
        return memory_matrices(order, theta)
    a, b = continuous_matrices(order, theta)
    return a + np.eye(order), b


def _each(matrix: Array, copies: int) -> Transform:
    """The matrix for each of ``copies`` dimensions: block-diagonal."""
    if copies == 1:
        return Dense(matrix)
    from scipy.sparse import block_diag

    return Sparse.from_matrix(block_diag([matrix] * copies))


def _hidden(
    builder: Builder,
    kind: str,
    config: dict[str, Any],
    arrays: dict[str, Array],
    sources: list[str],
    name: str,
) -> Tensor:
    """Neurons that read ``sources`` side by side, and for a recurrent cell themselves."""
    links, start = [], 0
    short = name.rpartition(".")[2]
    for source in sources:
        stop = start + builder.size(source)
        rows = arrays["kernel"][start:stop]
        links.append((source, Dense(rows.T), f"{name}.{source.rpartition('.')[2]}_to_{short}"))
        start = stop
    output = builder.activated(
        name, arrays["kernel"].shape[1], arrays.get("bias"), config.get("activation"), links
    )
    if kind == "SimpleRNNCell":
        again = arrays["recurrent_kernel"].T
        builder.feed_back(output, name, again, f"{name}.{short}_to_{short}")
    return output


def _recurrent_names(config: dict[str, Any]) -> list[str]:
    return ["kernel", "recurrent_kernel", *(["bias"] if config.get("use_bias", True) else [])]


def _arrays(
    builder: Builder,
    layer: Layer,
    config: dict[str, Any],
    hidden: tuple[str, dict[str, Any]] | None,
    width: int,
    memory: int,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The arrays of the memory and those of the hidden cell, by name and checked for shape."""
    names, inner_names, units = [], [], 0
    if hidden is not None:
        units = int(hidden[1].get("units", 0))
        inner_names = _recurrent_names(hidden[1])
        if hidden[0] == "Dense":
            inner_names.remove("recurrent_kernel")
    feeds_back = bool(config.get("hidden_to_memory"))
    memory_d = int(config["memory_d"])
    if config.get("kernel_initializer", "glorot_uniform") is not None:
        names.append("kernel")
    for name, wanted in (
        ("bias", config.get("use_bias")),
        ("theta_inv", config.get("trainable_theta")),
        ("recurrent_kernel", config.get("memory_to_memory")),
    ):
        if wanted:
            names.append(name)
    marks = ["hidden_cell", *([str(hidden[1].get("name"))] if hidden else [])]

    def is_inner(path: str) -> bool:
        return bool(set(marks) & set(path.split("/")[:-1]))

    own = builder.named(layer, names, lambda path: not is_inner(path))
    inner = builder.named(layer, inner_names, is_inner)
    entering = memory + (width if config.get("input_to_hidden") else 0)
    shapes = {
        "kernel": (width + (units if feeds_back else 0), memory_d),
        "bias": (memory_d,),
        "theta_inv": (),
        "recurrent_kernel": (memory, memory_d),
    }
    builder.check_shapes(layer, own, shapes)
    builder.check_shapes(
        layer,
        inner,
        {"kernel": (entering, units), "recurrent_kernel": (units, units), "bias": (units,)},
    )
    return own, inner

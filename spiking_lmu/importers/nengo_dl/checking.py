"""The import checks itself: the graph against NengoDL on a few random inputs.

Spiking neurons are compared by their rates, which is what NengoDL runs when it trains
(``training=True``, ``nengo_dl/neuron_builders.py``); dropout is off.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from spiking_lmu.errors import ImportNetworkError
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.rate_twin import rate_twin
from spiking_lmu.graph.reference import run_reference

from .plan import ImportPlan
from .save_params import rebuilt_simulator

Array = np.ndarray

#: Inputs a sequence, and how many times random ones are drawn before a difference is believed: a
#: neuron at its threshold may fire in one precision and not in the other.
STEPS, DRAWS = 12, 2
#: Largest difference, as a share of the largest value; NengoDL computes in float32.
TOLERANCE = 1e-3


def check_import(
    network: Any, simulator: Any, plan: ImportPlan, graph: Graph, nengo_dl: Any
) -> None:
    """Raise unless ``graph`` computes what ``simulator`` does.

    The simulator starts from its initial state and gets its state back.

    Raises
    ------
    ImportNetworkError
        Names the first population that differs, and by how much.
    """
    graph = rate_twin(graph)
    probe = None if plan.output is None else plan.output.probe
    usable = probe is not None and not (_spikes(network) and simulator.tensor_graph.inference_only)
    if usable and _agree(simulator, probe, plan, graph, network):
        return
    with rebuilt_simulator(network, simulator, list(plan.parts), nengo_dl) as (again, probes):
        named = {plan.parts[part].name: probe for part, probe in probes.items()}
        different = _different(again, named, plan, graph, network)
        if different is None and not usable:
            return
        if different is None and probe is not None:
            different = ("the output", *_difference(simulator, probe, plan, graph, network))
    assert different is not None
    name, by, largest = different
    raise ImportNetworkError(
        f"population {name} of the imported graph" if name in named else f"{name} of the graph",
        got=f"values up to {by:.3g} away from NengoDL's, whose largest is {largest:.3g}",
        expected=f"the same within {100 * TOLERANCE:g} %",
        fix=f"replace what makes {name}, or import with check=False to look at the graph",
    )


def _agree(simulator: Any, probe: Any, plan: ImportPlan, graph: Graph, network: Any) -> bool:
    for draw in range(DRAWS):
        by, largest = _difference(simulator, probe, plan, graph, network, draw)
        if by <= TOLERANCE * largest:
            return True
    return False


def _difference(
    simulator: Any, probe: Any, plan: ImportPlan, graph: Graph, network: Any, draw: int = 0
) -> tuple[float, float]:
    """Largest difference of the outputs, and the largest output."""
    x = random_inputs(plan, simulator, draw)
    want = run_simulator(simulator, plan, x, network)[probe]
    got = run_reference(graph, x)[:, -want.shape[1] :]
    return float(np.abs(got - want).max()), float(np.abs(want).max())


def _different(
    simulator: Any, probes: dict[str, Any], plan: ImportPlan, graph: Graph, network: Any
) -> tuple[str, float, float] | None:
    """The first population, in the order of computation, that differs on every draw."""
    found: dict[str, tuple[float, float]] = {}
    for draw in range(DRAWS):
        x = random_inputs(plan, simulator, draw)
        want = run_simulator(simulator, plan, x, network)
        got: dict[str, list[Array]] = {}

        def observe(step: int, values: dict[str, Array], _: Any, got: Any = got) -> None:
            for name in values:
                got.setdefault(name, []).append(values[name])

        run_reference(graph, x, observe=observe)
        now = {}
        for name in graph.order:
            if name not in probes:
                continue
            values = want[probes[name]]
            largest = float(np.abs(values).max())
            ours = np.stack(got[name], axis=1)[:, -values.shape[1] :]
            by = float(np.abs(ours - values).max())
            if by > TOLERANCE * largest:
                now[name] = (by, largest)
        found = now if draw == 0 else {n: v for n, v in found.items() if n in now}
    return next(((name, *found[name]) for name in graph.order if name in found), None)


def random_inputs(plan: ImportPlan, simulator: Any, draw: int) -> Array:
    """Normal inputs (minibatch, steps, size), some samples larger than others."""
    unroll = simulator.unroll
    steps = -(-STEPS // unroll) * unroll
    batch, size = simulator.minibatch_size or 1, sum(int(n.size_out) for n in plan.inputs)
    rng = np.random.default_rng(draw)
    scales = np.array([1.0, 0.3, 3.0])[np.arange(batch) % 3]
    x: Array = scales[:, None, None] * rng.normal(size=(batch, steps, size))
    return x.astype(np.float32).astype(float)


def run_simulator(simulator: Any, plan: ImportPlan, x: Array, network: Any) -> dict[Any, Array]:
    """What each probe of ``simulator`` shows when ``x`` is fed to the plan's inputs."""
    batch, steps, _ = x.shape
    fed, start = {}, 0
    for node in plan.inputs:
        fed[node] = x[:, :, start : start + node.size_out]
        start += node.size_out
    values = []
    for node in simulator.node_inputs:
        if node in fed:
            data = fed[node]
        elif isinstance(node.output, np.ndarray):
            data = np.tile(node.output, (batch, steps, 1))
        else:  # does not lead to the output, or it would be an input
            data = np.zeros((batch, steps, node.size_out))
        values.append(data.astype(simulator.tensor_graph.dtype))
    values.append(np.full((batch, 1), steps, np.int32))
    with _from_rest(simulator), _without_dropout(network), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NengoDL said what it has to when it was built
        outputs = simulator.keras_model(values, training=_spikes(network))
        simulator.tensor_graph.build_post()
    return dict(zip(simulator.model.probes, map(np.asarray, outputs), strict=False))


@contextmanager
def _from_rest(simulator: Any) -> Iterator[None]:
    import tensorflow as tf

    state = list(simulator.tensor_graph.saved_state.items())
    before = tf.keras.backend.batch_get_value([variable for _, variable in state])
    try:
        for key, variable in state:
            initial = simulator.tensor_graph.initial_values[key]
            variable.assign(initial(variable.shape, dtype=variable.dtype))
        yield
    finally:
        tf.keras.backend.batch_set_value(
            [(variable, value) for (_, variable), value in zip(state, before, strict=True)]
        )


@contextmanager
def _without_dropout(network: Any) -> Iterator[None]:
    import tensorflow as tf

    layers = {
        id(node.tensor_func): node.tensor_func
        for node in network.all_nodes
        if isinstance(getattr(node, "tensor_func", None), tf.keras.layers.Dropout)
    }
    rates = {key: layer.rate for key, layer in layers.items()}
    try:
        for layer in layers.values():
            layer.rate = 0.0
        yield
    finally:
        for key, layer in layers.items():
            layer.rate = rates[key]


def _spikes(network: Any) -> bool:
    return any(ensemble.neuron_type.spiking for ensemble in network.all_ensembles)

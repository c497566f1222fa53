"""Plan and trained parameters → graph.

An Ensemble is one population.  What is connected to its ``.neurons`` arrives there times
the gain; what is connected to the Ensemble itself arrives through a linear population
``<name>.x`` of its dimensions and the encoders.  A decoded connection is a projection with
the decoders as weights.  Sources: ``nengo/builder/ensemble.py`` and ``connection.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from spiking_lmu.errors import ImportNetworkError
from spiking_lmu.graph.graph import DEFAULT_DT, Graph, Population, Projection
from spiking_lmu.graph.transforms import Convolution, Sparse, Transform, as_transform

from .fold import fold_layers, unfold_pieces
from .names import Unique
from .plan import ALL_INPUTS, ImportPlan, owner_of
from .save_params import TrainedParameters

Array = np.ndarray
Weights = Array | Transform | None


@dataclass(frozen=True)
class _Link:
    """One connection on its way to a projection; ``gained`` if the post gain applies to it."""

    pre: str
    post: str
    weights: Weights
    synapse: Any
    label: str
    trainable: bool
    gained: bool = False


def build_graph(
    plan: ImportPlan,
    trained: TrainedParameters,
    nengo: Any,
    *,
    dt: float = DEFAULT_DT,
    redrawn: bool = False,
) -> Graph:
    """Build the graph.

    Parameters
    ----------
    dt
        Seconds of the simulator's step.
    redrawn
        The simulator was built anew, so what Nengo draws at random and no file holds must
        follow from a seed.

    Raises
    ------
    ImportNetworkError
        Gains or decoders that no file holds and no seed fixes.
    """
    links = [_link(plan, trained, connection, nengo) for connection in plan.connections]
    populations: list[Population] = []
    for part in plan.parts:
        if isinstance(part, nengo.Node):
            populations += _node(plan, trained, part)
        else:
            direct = [link for link in links if link.post == plan.parts[part].name]
            encoded = any(link.post == f"{plan.parts[part].name}.x" for link in links)
            if redrawn and any(link.gained for link in direct):
                _require_seed(plan.parts[part].name, "gains", part, trained, nengo)
            more, encoders, gain = _ensemble(plan, trained, part, direct, encoded)
            populations += more
            links = [_with_gain(link, gain, plan.parts[part].name) for link in links] + encoders
    entry = _input(plan, populations, links)
    output = _output(plan, trained, populations, links, nengo, redrawn)
    projections = _projections(links)
    keep = {entry, output}
    layers = {
        info.name
        for part, info in plan.parts.items()
        if hasattr(part, "tensor_func") and info.name not in keep and not info.computation.pieces
    }
    populations, projections = fold_layers(populations, projections, layers)
    for info in plan.parts.values():
        if info.computation.pieces:
            populations, projections = unfold_pieces(
                populations, projections, info.name, info.computation.pieces
            )
    names = Unique()  # folding can give two projections the same ends
    projections = [replace(link, name=names.unique(link.name)) for link in projections]
    return Graph(tuple(populations), tuple(projections), entry, output, dt)


def _input(plan: ImportPlan, populations: list[Population], links: list[_Link]) -> str:
    """Name of the input population; one that hands each of several inputs its channels."""
    entries = [plan.parts[node].name for node in plan.inputs]
    if len(entries) == 1:
        return entries[0]
    sizes = {p.name: p.size for p in populations}
    total, start = sum(sizes[name] for name in entries), 0
    for name in entries:
        channels = np.eye(sizes[name], total, start)
        links.append(_Link(ALL_INPUTS, name, channels, None, f"{ALL_INPUTS}_to_{name}", False))
        start += sizes[name]
    populations.insert(0, Population(ALL_INPUTS, total))
    return ALL_INPUTS


def _node(plan: ImportPlan, trained: TrainedParameters, node: Any) -> list[Population]:
    part = plan.parts[node]
    bias: Array = np.zeros(()) if part.constant is None else part.constant
    computation = part.computation
    if computation.layer is not None:
        _, layer_bias = trained.layer(computation.layer)
        if layer_bias is not None:
            bias = np.tile(layer_bias, computation.repeats)
    return [Population(part.name, int(node.size_out), computation.neuron, bias=bias)]


def _ensemble(
    plan: ImportPlan, trained: TrainedParameters, ensemble: Any, direct: list[_Link], encoded: bool
) -> tuple[list[Population], list[_Link], Array | None]:
    """Populations, the link with the encoders, and the gain to fold into direct links.

    The gain stays with the population where everything that arrives has it applied.  So does the
    length of each encoder where everything arrives through encoders, which are of length 1 then:
    Nengo has both in one array.
    """
    part = plan.parts[ensemble]
    size, bias = int(ensemble.n_neurons), trained.bias(ensemble)
    if not encoded and all(link.gained for link in direct):
        gain = trained.gain(ensemble) if direct else np.ones(())
        return [Population(part.name, size, part.computation.neuron, gain, bias)], [], None
    lengths, encoders = np.ones(()), []
    if encoded:
        scaled = trained.encoders(ensemble)
        if not direct:
            norms = np.linalg.norm(scaled, axis=1)
            lengths = np.where(norms > 0, norms, 1.0)
            scaled = scaled / lengths[:, None]
    populations = [Population(part.name, size, part.computation.neuron, lengths, bias)]
    if encoded:
        populations.insert(0, Population(f"{part.name}.x", int(ensemble.dimensions)))
        encoders.append(
            _Link(
                f"{part.name}.x",
                part.name,
                scaled,
                None,
                f"{part.name}.encoders",
                True,
            )
        )
    return populations, encoders, trained.gain(ensemble)


def _with_gain(link: _Link, gain: Array | None, post: str) -> _Link:
    if gain is None or not link.gained or link.post != post:
        return link
    new = as_transform(link.weights).scaled(gain)
    return _Link(link.pre, post, new, link.synapse, link.label, link.trainable)


def _link(plan: ImportPlan, trained: TrainedParameters, connection: Any, nengo: Any) -> _Link:
    pre, post = connection.pre_obj, connection.post_obj
    decoded = isinstance(pre, nengo.Ensemble)
    to_ensemble = isinstance(post, nengo.Ensemble)
    source_name = plan.parts[owner_of(pre)].name
    name = owner_name = plan.parts[owner_of(post)].name
    solved = decoded and to_ensemble and connection.solver.weights
    if solved:  # the solver's weights hold decoders and encoders in one
        name, post, post_slice = name, post.neurons, slice(None)
    else:
        post_slice = connection.post_slice
        name = f"{name}.x" if to_ensemble else name
    source = pre.neurons if decoded else pre
    weights: Weights = expanded(
        _weights(trained, connection, nengo),
        np.arange(source.size_out)[slice(None) if decoded else connection.pre_slice],
        np.arange(post.size_in)[post_slice],
        int(source.size_out),
        int(post.size_in),
    )
    trainable = weights is not None and trained.trainable(connection)
    computation = plan.parts[owner_of(post)].computation
    if computation.weigh is not None:
        layer = computation.layer
        own = computation.weigh(None if layer is None else trained.layer(layer)[0])
        weights = _through_layer(own, weights, post.size_in)
        trainable = layer is not None and bool(layer.trainable)
    return _Link(
        source_name,
        name,
        weights,
        connection.synapse,
        connection.label or f"{source_name}_to_{owner_name.rpartition('.')[2]}",
        trainable,
        gained=not solved and type(post).__name__ == "Neurons",
    )


def _weights(trained: TrainedParameters, connection: Any, nengo: Any) -> Weights:
    """What a connection multiplies by, with the trained weights in it."""
    weights, transform = trained.weights(connection), connection.transform
    if isinstance(transform, nengo.Sparse):
        from scipy.sparse import coo_matrix

        shape = (transform.size_out, transform.size_in)
        return Sparse.from_matrix(coo_matrix((weights, trained.places(connection)), shape))
    if not isinstance(transform, nengo.Convolution):
        return weights
    shape = transform.input_shape
    convolution = Convolution(
        (*shape.spatial_shape, shape.n_channels),
        np.asarray(weights),
        strides=transform.strides,
        padding=transform.padding,
        groups=getattr(transform, "groups", 1),
    )
    if shape.channels_last:
        return convolution
    # Channels come first on both sides: the same product with rows and columns in another order.
    post, pre = _channels_last(convolution.output_shape), _channels_last(convolution.input_shape)
    return Sparse.from_matrix(convolution.sparse(len(pre))[post][:, pre])


def _channels_last(shape: tuple[int, ...]) -> Array:
    """For each value with channels first its place with channels last."""
    return np.moveaxis(np.arange(prod(shape)).reshape(shape), -1, 0).ravel()


def expanded(weights: Weights, pre: Array, post: Array, pre_size: int, post_size: int) -> Weights:
    """Weights between slices as weights between whole objects.

    Parameters
    ----------
    weights
        None, shape () or (1,) or (n,) for one-to-one, or (post, pre), or a transform.
    pre, post
        Indices of the slices.

    Returns
    -------
    None or (n,) where whole objects are connected one-to-one; a transform where it was one;
    else (post_size, pre_size).
    """
    whole = np.array_equal(pre, np.arange(pre_size)) and np.array_equal(post, np.arange(post_size))
    if isinstance(weights, Transform):
        if whole:
            return weights
        inner = weights.sparse(pre.size).tocoo()
        from scipy.sparse import coo_matrix

        places = (post[inner.row], pre[inner.col])
        return Sparse.from_matrix(coo_matrix((inner.data, places), (post_size, pre_size)))
    if whole and (weights is None or weights.ndim == 2):
        return weights
    if weights is None or weights.ndim < 2:
        values = np.ones(1) if weights is None else weights.reshape(-1)
        values = np.broadcast_to(values, post.shape)
        if whole:
            return values
        matrix = np.zeros((post_size, pre_size), values.dtype)
        matrix[post, pre] = values
        return matrix
    matrix = np.zeros((post_size, pre_size), weights.dtype)
    matrix[np.ix_(post, pre)] = weights
    return matrix


def _through_layer(own: Any, weights: Weights, size: int) -> Weights:
    """A layer's own weights behind those of a connection to it, which has ``size`` values."""
    if weights is None:
        return own
    if not isinstance(own, Transform):
        if isinstance(weights, Transform):
            return np.asarray((weights.sparse(own.shape[1]).T @ own.T).T)
        return own * weights if weights.ndim == 1 else own @ weights
    # One-to-one weights are as many as the layer takes values; others know how many they take.
    return Sparse.from_matrix(own.sparse(size) @ as_transform(weights).sparse(size))


def _output(
    plan: ImportPlan,
    trained: TrainedParameters,
    populations: list[Population],
    links: list[_Link],
    nengo: Any,
    redrawn: bool,
) -> str:
    """Name of the output population, added to ``populations`` where a probe makes it."""
    output = plan.output
    assert output is not None  # make_plan raises without one
    owner = plan.parts[output.owner].name
    synapse = None if output.probe is None else output.probe.synapse
    weights: Array | None
    size = next(p.size for p in populations if p.name == owner)
    if output.decoded:
        connection = trained.probe_connection(output.probe)
        if redrawn:
            _require_seed(owner, "decoders", None, trained, nengo, connection)
        weights = trained.weights(connection)
        assert weights is not None  # always decoders
        size = weights.shape[0]
    else:
        index = np.arange(size)[slice(None) if output.slice is None else output.slice]
        whole = np.array_equal(index, np.arange(size))
        if whole and synapse is None:
            return owner
        weights = None if whole else np.eye(size)[index]
        size = len(index)
    name = plan.names.unique("readout")
    populations.append(Population(name, size))
    links.append(_Link(owner, name, weights, synapse, f"{owner}_to_{name}", False))
    return name


def _projections(links: list[_Link]) -> list[Projection]:
    projections, names = [], Unique()
    for link in links:
        tau = None if link.synapse is None or link.synapse.tau == 0 else float(link.synapse.tau)
        projections.append(
            Projection(
                link.pre,
                link.post,
                link.weights,
                tau=tau,
                delay=int(link.synapse is not None and tau is None),
                name=names.unique(link.label),
                trainable=link.trainable,
            )
        )
    return projections


def _require_seed(
    name: str, what: str, ensemble: Any, trained: TrainedParameters, nengo: Any, part: Any = None
) -> None:
    """Raise unless ``what`` is given, or drawn from a seed: no parameter file holds it."""
    if ensemble is not None:
        sources = [ensemble.gain] if ensemble.gain is not None else []
        sources = sources or [ensemble.max_rates, ensemble.intercepts]
        if not any(_random(source, nengo) for source in sources):
            return
    if trained.seeded(part or ensemble):
        return
    raise ImportNetworkError(
        f"{what} of {name}",
        got="values drawn at random without a seed, which save_params does not save",
        expected="a network with a seed",
        fix="import the live simulator, or train nengo.Network(seed=0)",
    )


def _random(source: Any, nengo: Any) -> bool:
    if not isinstance(source, nengo.dists.Distribution):
        return False
    return not (isinstance(source, nengo.dists.Choice) and len(source.options) == 1)

"""Legendre Memory Units: the memory's matrices and cells as graphs.

Sources: A. R. Voelker, I. Kajić, C. Eliasmith, *Legendre Memory Units: Continuous-Time
Representation in Recurrent Neural Networks*, NeurIPS 2019 (equations 1, 2 and 5), and
N. Chilkuri, C. Eliasmith, *Parallelizing Legendre Memory Unit Training*, ICML 2021, for the
feedforward cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spiking_lmu.errors import SpecError, require_whole

from .graph import Graph, Population, Projection
from .neurons import Neuron
from .transforms import Sparse

Array = np.ndarray

CELLS = ("feedforward", "recurrent")
RELU = Neuron("relu")


@dataclass(frozen=True)
class LmuSpec:
    """What an LMU network looks like.

    Parameters
    ----------
    input_size, output_size
        Numbers in one input and one output.
    order
        Dimensions of the memory (Legendre polynomials), q in the paper.
    theta
        Length of the remembered window in inputs, θ in the paper.
    units
        Hidden neurons a layer.
    cell
        ``feedforward`` (hidden layer on the memory) or ``recurrent`` (the hidden layer sees
        the input, the memory and itself one input earlier).
    neuron
        Model of the hidden neurons, a rate neuron.
    layers
        Cells stacked on one another.
    memories
        Memories a cell, each of ``order`` dimensions.  As many as there are inputs: one
        remembers each; one: their sum; another number: trained mixtures of them.
    current_tau, recurrence_tau
        Recurrent cell only: lowpass filters, with time constants in inputs, on the current from
        input and memory and on what the hidden layer sees of itself; 0 is none.  Spikes
        need them: one spike an input says nothing of a rate, their average does.

    Raises
    ------
    SpecError
        A value outside its range.

    >>> LmuSpec(order=4, units=8, theta=12.0).cell
    'feedforward'
    """

    input_size: int = 1
    output_size: int = 10
    order: int = 468
    theta: float = 784.0
    units: int = 346
    cell: str = "feedforward"
    neuron: Neuron = RELU
    layers: int = 1
    memories: int = 1
    current_tau: float = 0.0
    recurrence_tau: float = 0.0

    def __post_init__(self) -> None:
        limits = {
            "input_size": 10**5,
            "output_size": 10**5,
            "order": 4096,
            "units": 10**5,
            "layers": 64,
            "memories": 4096,
        }
        for name, most in limits.items():
            require_whole(f"LMU {name.replace('_', ' ')}", getattr(self, name), 1, most)
        if not (np.isfinite(self.theta) and 0 < self.theta <= 1e9):
            raise SpecError(
                "LMU theta",
                got=repr(self.theta),
                expected="a positive number of inputs",
                fix="use the length of the sequence",
            )
        longest = 1e6 if self.cell == "recurrent" else 0.0
        for name in ("current_tau", "recurrence_tau"):
            value = getattr(self, name)
            if not (np.isfinite(value) and 0 <= value <= longest):
                raise SpecError(
                    f"LMU {name.replace('_', ' ')}",
                    got=repr(value),
                    expected=f"inputs from 0 to {longest:g} for a {self.cell} cell",
                    fix="use 0 for no filter",
                )
        if self.cell not in CELLS:
            raise SpecError(
                "LMU cell", got=repr(self.cell), expected=" or ".join(CELLS), fix="choose one"
            )
        if self.neuron.spiking or self.neuron.kind == "linear":
            raise SpecError(
                "LMU hidden neuron",
                got=self.neuron.kind,
                expected="a rate neuron such as relu or tanh",
                fix="train with rate neurons, then convert",
            )


def continuous_matrices(order: int, theta: float) -> tuple[Array, Array]:
    """A (order, order) and B (order, 1) of the delay's state space, per input.

    Source: Voelker et al. 2019, equations 1 and 2.

    >>> a, b = continuous_matrices(2, theta=1.0)
    >>> a.tolist(), b.ravel().tolist()
    ([[-1.0, -1.0], [3.0, -3.0]], [1.0, -3.0])
    """
    require_whole("LMU order", order, 1, 4096)
    degree = np.arange(order, dtype=float)
    scale = (2.0 * degree + 1.0)[:, None] / theta
    row, column = np.meshgrid(degree, degree, indexing="ij")
    a = np.where(row < column, -1.0, (-1.0) ** (row - column + 1.0)) * scale
    b = (-1.0) ** degree[:, None] * scale
    return a, b


def memory_matrices(order: int, theta: float) -> tuple[Array, Array]:
    """The memory's update m[t] = A m[t-1] + B u[t], by zero-order hold at one input a step.

    Exact for an input held between samples; shapes (order, order) and (order, 1).
    """
    from scipy.signal import cont2discrete

    a, b = continuous_matrices(order, theta)
    discrete = cont2discrete((a, b, np.eye(order), np.zeros((order, 1))), dt=1.0, method="zoh")
    return discrete[0], discrete[1]


def impulse_response(order: int, theta: float, length: int) -> Array:
    """Memory at the last of ``length`` inputs as a matrix: m = H x, shape (order, length).

    Column k weighs the k-th input: A^(length-1-k) B.
    """
    a, b = memory_matrices(order, theta)
    columns = np.empty((length, order))
    state = b[:, 0]
    for back in range(length):
        columns[length - 1 - back] = state
        state = a @ state
    return columns.T


def memory(
    name: str, source: str, order: int, theta: float, encoder: Array
) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """The populations ``name.u`` (what is remembered) and ``name.m`` (the memory).

    ``encoder`` (memories, source size) makes u from the source; each number in u has a memory
    of ``order`` dimensions, one after another in m.  Encoders that mix are trainable.
    """
    a, b = memory_matrices(order, theta)
    count = len(encoder)
    u, m = f"{name}.u", f"{name}.m"
    fixed = count == 1 or np.array_equal(encoder, np.eye(*encoder.shape))
    projections = (
        Projection(source, u, encoder, name=f"{name}.x_to_u", trainable=not fixed),
        Projection(u, m, np.kron(np.eye(count), b), name=f"{name}.u_to_m", trainable=False),
        Projection(
            m, m, np.kron(np.eye(count), a), delay=1, name=f"{name}.m_to_m", trainable=False
        ),
    )
    return (Population(u, count), Population(m, count * order)), projections


def window(length: int, units: int, output_size: int) -> Graph:
    """An untrained hidden layer on all of the last ``length`` inputs, without a Legendre memory.

    Names are those of :func:`build`; the population ``lmu.m`` is the window itself, the newest
    input last: m[t] = (m[t-1] without its first, x[t]).  All weights are zero.
    """
    shift = Sparse(
        (length, length), np.arange(length - 1), np.arange(1, length), np.ones(length - 1)
    )
    enter = Sparse((length, 1), np.full(1, length - 1), np.zeros(1), np.ones(1))
    populations = (
        Population("x", 1),
        Population("lmu.m", length),
        Population("lmu.h", units, RELU),
        Population("readout", output_size),
    )
    projections = (
        Projection("x", "lmu.m", enter, name="lmu.x_to_m", trainable=False),
        Projection("lmu.m", "lmu.m", shift, delay=1, name="lmu.m_to_m", trainable=False),
        Projection("lmu.m", "lmu.h", np.zeros((units, length)), name="lmu.m_to_h"),
        Projection("lmu.h", "readout", np.zeros((output_size, units)), name="readout_weights"),
    )
    return Graph(populations, projections, "x", "readout")


def lowpass(
    name: str, source: str, size: int, tau: float, delay: int
) -> tuple[Population, tuple[Projection, ...]]:
    """The population ``name``, f[t] = a f[t-1] + (1 - a) source[t - delay], a = exp(-1/tau).

    ``tau`` counts inputs.  Unlike a synapse it moves once an input, and stands still while the
    readout settles.
    """
    keep = kept(tau)
    return Population(name, size), (
        Projection(
            source, name, np.full(size, 1.0 - keep), delay=delay, name=f"{name}.in", trainable=False
        ),
        Projection(name, name, np.full(size, keep), delay=1, name=f"{name}.kept", trainable=False),
    )


def kept(tau: float) -> float:
    """Share of a lowpass of ``tau`` inputs that is kept from one input to the next."""
    return float(np.exp(-1.0 / tau)) if tau else 0.0


def build(spec: LmuSpec, seed: int = 0) -> Graph:
    """An untrained network: Glorot-uniform weights, zero biases, drawn with ``seed``.

    Names: ``x``, then for each layer ``lmu.u``, ``lmu.m``, ``lmu.h`` (``lmu2.…`` and so on
    for further layers), then ``readout``; with filters also ``lmu.current``,
    ``lmu.current.filtered`` and ``lmu.h.trace``.
    """
    rng = np.random.default_rng(seed)
    populations: list[Population] = [Population("x", spec.input_size)]
    projections: list[Projection] = []
    source, width = "x", spec.input_size
    for layer in range(1, spec.layers + 1):
        cell = "lmu" if layer == 1 else f"lmu{layer}"
        encoder = _encoder(rng, spec.memories, width)
        parts, links = memory(cell, source, spec.order, spec.theta, encoder)
        hidden = f"{cell}.h"
        populations += [*parts, Population(hidden, spec.units, spec.neuron)]
        projections += links
        entry = hidden
        if spec.current_tau:
            entry, filtered = f"{cell}.current", f"{cell}.current.filtered"
            populations.append(Population(entry, spec.units))
            population, links = lowpass(filtered, entry, spec.units, spec.current_tau, 0)
            populations.append(population)
            projections += [
                *links,
                Projection(filtered, hidden, name=f"{cell}.current_to_h", trainable=False),
            ]
        if spec.cell == "recurrent":
            trace, delay = hidden, 1
            if spec.recurrence_tau:
                trace, delay = f"{hidden}.trace", 0
                population, links = lowpass(trace, hidden, spec.units, spec.recurrence_tau, 1)
                populations.append(population)
                projections += links
            into, again = _glorot(rng, spec.units, width), _glorot(rng, spec.units, spec.units)
            projections += [
                Projection(source, entry, into, name=f"{cell}.x_to_h"),
                Projection(trace, hidden, again, delay=delay, name=f"{cell}.h_to_h"),
            ]
        projections.append(
            Projection(
                f"{cell}.m",
                entry,
                _glorot(rng, spec.units, spec.memories * spec.order),
                name=f"{cell}.m_to_h",
            )
        )
        source, width = hidden, spec.units
    populations.append(Population("readout", spec.output_size))
    projections.append(
        Projection(source, "readout", _glorot(rng, spec.output_size, width), name="readout_weights")
    )
    return Graph(tuple(populations), tuple(projections), "x", "readout")


def _encoder(rng: np.random.Generator, memories: int, width: int) -> Array:
    if memories == 1:
        return np.ones((1, width))
    return np.eye(width) if memories == width else _glorot(rng, memories, width)


def _glorot(rng: np.random.Generator, post: int, pre: int) -> Array:
    limit = np.sqrt(6.0 / (pre + post))
    return rng.uniform(-limit, limit, (post, pre))

"""Networks into which faults are planted, made from the shipped dense MNIST network.

Its hidden layer is trained; what is added here leaves what it computes alone, or is fitted
in closed form on test images that the ladder does not climb with.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from spiking_lmu import datasets
from spiking_lmu.conversion import measure_activity
from spiking_lmu.files.zoo import load_model
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task

ROWS = 28
#: Units of the second hidden layer.
SECOND = 160
#: Regularisation of its readout.
RIDGE = 1e4


def images(samples: int, rows: bool = False) -> datasets.Dataset:
    """The first test images, whole, or row after row as a sequence of 28 inputs."""
    dataset = datasets.load("mnist", "test", samples=samples)
    return replace(dataset, x=dataset.x.reshape(-1, ROWS, ROWS), lengths=None) if rows else dataset


def dense() -> Model:
    """The shipped network."""
    return load_model("mnist-dense")


def row_by_row() -> Model:
    """The shipped network behind a delay line of 28 rows: equal to it after the last row."""
    model = dense()
    graph = model.graph
    size = ROWS * ROWS
    shift = np.eye(size, k=ROWS)
    newest = np.eye(size)[:, -ROWS:]
    hidden = next(p for p in graph.projections if p.pre == graph.input)
    populations = [
        Population(graph.input, ROWS),
        Population("memory", size),
        *(p for p in graph.populations if p.name != graph.input),
    ]
    projections = [
        Projection(graph.input, "memory", newest, name="newest"),
        Projection("memory", "memory", shift, delay=1, name="shift"),
        replace(hidden, pre="memory"),
        *(p for p in graph.projections if p is not hidden),
    ]
    return replace(
        model, graph=Graph(tuple(populations), tuple(projections), graph.input, graph.output)
    )


@functools.cache
def two_layers() -> Model:
    """A second layer of random rectified units; its readout is ridge regression on other images."""
    model = dense()
    graph = model.graph
    rng = np.random.default_rng(0)
    first = next(p for p in graph.populations if p.neuron.kind == "relu")
    weights = rng.normal(0, 1 / np.sqrt(first.size), (SECOND, first.size))
    data = datasets.load("mnist", "test")
    x, y = data.x[2000:, 0].astype(float), data.y[2000:]
    into = next(p for p in graph.projections if p.post == first.name)
    assert into.weights is not None
    activity = np.maximum(x @ into.weights.T * first.gain + first.bias, 0)
    bias = rng.normal(0, 4.0, SECOND)
    features = np.maximum(activity @ weights.T + bias, 0)
    wanted = 10.0 * np.eye(10)[y]
    # Small decoders: spikes are noisy, and what the network computes is to stand that.
    gram = features.T @ features + RIDGE * np.eye(SECOND)
    decoders = np.linalg.solve(gram, features.T @ wanted).T
    populations = (
        graph[graph.input],
        first,
        Population("second", SECOND, Neuron("relu"), bias=bias),
        Population("out", 10),
    )
    projections = (
        into,
        Projection(first.name, "second", weights, name="between"),
        Projection("second", "out", decoders, name="decoders"),
    )
    made = Graph(populations, projections, graph.input, "out")
    return Model(made, activity=measure_activity(made, x[:500, None]))


def recurrence(neuron: str = "tanh") -> tuple[Model, datasets.Dataset]:
    """A small cell that leans on what it reads of itself, and random walks of three classes.

    The classes are the cell's own decisions where these are clear, as they are after training.
    """
    spec = LmuSpec(
        order=5, theta=10.0, units=24, cell="recurrent", neuron=Neuron(neuron), output_size=3
    )
    graph = build(spec, seed=4)
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.normal(size=(400, 15, 1)), axis=1) / 4
    outputs = run_reference(graph, x)[:, -1]
    ordered = np.sort(outputs, axis=1)
    clear = np.sort(np.argsort(ordered[:, -2] - ordered[:, -1])[:60])
    activity = measure_activity(graph, x[:200])
    task = Task(names=tuple("abc"))
    walks = datasets.Dataset("walks", "test", x[clear], outputs[clear].argmax(axis=1), task)
    return Model(graph, activity=activity, task=task), walks

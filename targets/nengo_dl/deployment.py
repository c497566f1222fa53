"""A model in NengoDL: minibatches of samples on TensorFlow, in float32."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from time import perf_counter

import numpy as np

from spiking_lmu.backends.network import build_network
from spiking_lmu.backends.spikes import count_spikes, raster_of
from spiking_lmu.backends.target import Deployment, Run
from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.compat.precision import whole_float32
from spiking_lmu.compat.quiet import quiet_import
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.fold import share_sums
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import check_input

#: Populations up to which each operator of NengoDL stands by itself.  NengoDL would merge those of
#: a kind, and then write each one's result into a part of a common array, which TensorFlow does
#: element by element: a memory as a line of spikes took 15 times as long.  Beyond, so many
#: operators take TensorFlow longer to build than they save.  It changes no decision.
MOST_UNMERGED = 200
#: Bytes that a minibatch may take if nothing else is said.
DEFAULT_MEMORY = 1 << 30
#: Samples beyond which a larger minibatch is no faster (scripts/benchmark).
MAX_BATCH = 256
FLOAT32 = 4


class NengoDlDeployment(Deployment):
    """One ``nengo_dl.Simulator`` with a fixed minibatch; a short batch is filled up.

    Spikes are counted inside the simulation, so that what a batch takes does not grow with
    steps times neurons.  Only with ``raster=True`` are spike trains kept, by a simulator of
    its own with a minibatch that fits into ``memory_limit``.
    """

    def __init__(
        self,
        model: Model,
        inputs: int,
        seed: int,
        memory_limit: int | None,
        device: str | None,
        batch_size: int | None,
    ) -> None:
        if device is not None:
            _require_device(device)
        self._model, self._inputs, self._seed, self._device = model, inputs, seed, device
        self._memory_limit = DEFAULT_MEMORY if memory_limit is None else memory_limit
        self.batch_size = batch_size or self._fitting(trains=False)
        self.placement = {p.name: device or "tensorflow" for p in model.graph.populations}
        self._counting: Minibatch | None = None
        self._recording: Minibatch | None = None

    def __enter__(self) -> NengoDlDeployment:
        self._counting = self._minibatch(self.batch_size, trains=False)
        return self

    def close(self) -> None:
        """Close both simulators."""
        for minibatch in (self._counting, self._recording):
            if minibatch is not None:
                minibatch.close()

    def run(self, x: np.ndarray, *, raster: bool = False) -> Run:
        """Run ``x`` in minibatches."""
        x = check_input(self._model.graph, x, self._inputs)
        minibatch = self._recorder(len(x)) if raster else self._counting
        assert minibatch is not None, "used as a context manager"
        started = perf_counter()
        parts = [
            minibatch.run(x[start : start + minibatch.size])
            for start in range(0, len(x), minibatch.size)
        ]
        return Run(
            np.concatenate([part.outputs for part in parts]),
            {
                name: np.concatenate([part.spikes[name] for part in parts])
                for name in parts[0].spikes
            },
            perf_counter() - started,
            tuple(sample for part in parts for sample in part.rasters),
        )

    def _recorder(self, samples: int) -> Minibatch:
        """A simulator that keeps spike trains, for so many samples or what fits."""
        size = min(samples, self.batch_size, self._fitting(trains=True))
        if self._recording is not None and self._recording.size < size:
            self._recording.close()
            self._recording = None
        if self._recording is None:
            self._recording = self._minibatch(size, trains=True)
        return self._recording

    def _minibatch(self, size: int, trains: bool) -> Minibatch:
        return Minibatch(self._model, self._inputs, self._seed, self._device, size, trains)

    def _fitting(self, trains: bool) -> int:
        sample = bytes_per_sample(self._model, self._inputs, trains)
        return int(np.clip(self._memory_limit // sample, 1, MAX_BATCH))


class Minibatch:
    """A ``nengo_dl.Simulator`` for ``size`` samples, with or without their spike trains."""

    def __init__(
        self, model: Model, inputs: int, seed: int, device: str | None, size: int, trains: bool
    ) -> None:
        nengo, nengo_dl = import_nengo(), import_nengo_dl()
        from . import operators

        self.size, self._trains = size, trains
        self._model, self._inputs = model, inputs
        self._steps = model.timing.total_steps(inputs)
        self._built = build_network(
            share_sums(model.graph),
            model.timing,
            inputs,
            input_output=np.zeros(model.graph.input_size),
            hold=operators.hold,
            seed=seed,
        )
        with self._built.network as network:
            # Each call starts from rest, and nothing is trained.
            nengo_dl.configure_settings(stateful=False, inference_only=True, keep_history=True)
            optimizer = nengo_dl.graph_optimizer
            few = len(model.graph.populations) <= MOST_UNMERGED
            # NengoDL's default looks ahead three operators, and takes minutes for hundreds.
            planner = optimizer.noop_planner if few else optimizer.greedy_planner
            nengo_dl.configure_settings(planner=planner)
            self._counts = {}
            for name, probe in self._built.spikes.items():
                spike = model.graph[name].spike_size(model.timing.dt)
                count = nengo.Node(operators.Count(model.graph[name].size, spike))
                nengo.Connection(self._built.ensembles[name].neurons, count, synapse=None)
                self._counts[name] = nengo.Probe(count)
                network.config[self._counts[name]].keep_history = False
                network.config[probe].keep_history = trains
        # NengoDL warns where it finds no GPU; placement says where things ran.
        with quiet_import():
            self._simulator = nengo_dl.Simulator(
                network,
                dt=model.timing.dt,
                seed=seed,
                minibatch_size=size,
                device=device,
                progress_bar=False,
            )

    def close(self) -> None:
        """Close the simulator."""
        self._simulator.close()

    def run(self, x: np.ndarray) -> Run:
        """Run ``x`` (at most ``size``, inputs, input size)."""
        samples = len(x)
        fed = np.zeros((self.size, self._steps, x.shape[2]), np.float32)
        fed[:samples] = x[:, self._model.timing.presented(self._inputs)]
        with _no_advice(), whole_float32():
            data = self._simulator.predict_on_batch({self._built.input: fed})
        spikes = {
            name: data[probe][:samples, -1].astype(np.int64) for name, probe in self._counts.items()
        }
        rasters = [dict[str, np.ndarray]() for _ in range(samples * self._trains)]
        for i, raster in enumerate(rasters):
            for name, probe in self._built.spikes.items():
                spike = self._model.graph[name].spike_size(self._model.timing.dt)
                counts = count_spikes(data[probe][i], spike)
                raster[name] = raster_of(counts)
        outputs = np.asarray(data[self._built.output][:samples], float)
        return Run(outputs, spikes, 0.0, tuple(rasters))


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """TensorFlow counts functions that are traced anew, and advises; one a length is meant here."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        logger.setLevel(level)


def bytes_per_sample(model: Model, inputs: int, trains: bool) -> int:
    """What one sample of a minibatch takes in TensorFlow and on the way out of it, about.

    Inputs and outputs of every step, and spike trains if they are kept, exist up to five times
    over: while they are collected, in order of steps, in order of samples, and as NumPy arrays.
    Of a step itself each neuron and linear value has some 48 intermediate values.  Both numbers
    are from the peak memory of the shipped psMNIST models.
    """
    graph = model.graph
    recorded = graph.input_size + graph.output_size
    if trains:
        recorded += sum(population.size for population in graph.spiking)
    recorded *= model.timing.total_steps(inputs)
    within = sum(population.size for population in graph.populations)
    return FLOAT32 * (5 * recorded + 48 * within)


def _require_device(device: str) -> None:
    import tensorflow as tf

    known = [
        d.name.removeprefix("/physical_device:").lower() for d in tf.config.list_physical_devices()
    ]
    if device.lower().lstrip("/").removeprefix("device:") not in known:
        raise TargetError(
            "device for nengo-dl",
            got=device,
            expected="one that TensorFlow sees: " + ", ".join(f"/{name}" for name in known),
            fix="leave device out, or install the driver and: pip install 'spiking-lmu[gpu]'",
        )

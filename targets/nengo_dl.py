"""NengoDL: many samples at once on TensorFlow, CPU or GPU, in float32."""

from __future__ import annotations

from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.compat.quiet import quiet_import
from spiking_lmu.errors import TargetError
from spiking_lmu.graph import Graph
from spiking_lmu.model import Model
from spiking_lmu.network import build_network
from spiking_lmu.simulate import check_input
from spiking_lmu.target import Capabilities, Problem, Run, count_spikes, raster_of
from spiking_lmu.timing import Timing

#: Bytes that the spike trains of one batch may take; they are kept until they are counted.
TRAIN_BYTES = 512 << 20


class NengoDlTarget:
    """Runs a model on ``nengo_dl.Simulator`` in minibatches."""

    name = "nengo-dl"
    summary = "NengoDL on TensorFlow, float32, minibatched"
    extra = "dl"
    capabilities = Capabilities(batched=True, on_chip=False, precision="float32")
    distributions = ("nengo-dl", "tensorflow", "tf-keras", "nengo", "numpy")

    def available(self) -> str:
        """Whether NengoDL and TensorFlow are installed; imports neither."""
        missing = [module for module in ("nengo_dl", "tensorflow") if find_spec(module) is None]
        if not missing:
            return ""
        return f"{missing[0]} is not installed; run: pip install 'spiking-lmu[dl]'"

    def check(self, model: Model) -> list[Problem]:
        """NengoDL runs every neuron that a graph can have."""
        return []

    def deploy(
        self,
        model: Model,
        inputs: int,
        *,
        seed: int = 0,
        device: str | None = None,
        batch_size: int | None = None,
    ) -> NengoDlDeployment:
        """Build for minibatches.

        Parameters
        ----------
        device
            TensorFlow's name of a device: ``"/cpu:0"``, ``"/gpu:0"``; TensorFlow chooses if
            not given.
        batch_size
            Samples a minibatch; from the size of the spike trains if not given.

        Raises
        ------
        TargetError
            The device is not there.
        """
        return NengoDlDeployment(model, inputs, seed, device, batch_size)


class NengoDlDeployment:
    """One ``nengo_dl.Simulator`` with a fixed minibatch; a short batch is filled up."""

    notes: tuple[str, ...] = ()

    def __init__(
        self, model: Model, inputs: int, seed: int, device: str | None, batch_size: int | None
    ) -> None:
        self._nengo_dl = import_nengo_dl()
        if device is not None:
            _require_device(device)
        self._graph, self._timing, self._inputs = model.graph, model.timing, inputs
        self._steps = model.timing.total_steps(inputs)
        self.batch_size = batch_size or _batch_size(model.graph, self._steps)
        self._device, self._seed = device, seed
        self._built = build_network(
            model.graph,
            model.timing,
            inputs,
            input_output=np.zeros(model.graph.input_size),
            hold=tensor_hold,
            seed=seed,
        )
        with self._built.network:
            # Each call starts from rest, and nothing is trained.
            self._nengo_dl.configure_settings(stateful=False, trainable=None)
        where = device or "tensorflow"
        self.placement = {p.name: where for p in model.graph.populations}
        self._simulator: Any = None

    def __enter__(self) -> NengoDlDeployment:
        # NengoDL warns where it finds no GPU; placement says where things ran.
        with quiet_import():
            self._simulator = self._nengo_dl.Simulator(
                self._built.network,
                dt=self._timing.dt,
                seed=self._seed,
                minibatch_size=self.batch_size,
                device=self._device,
                progress_bar=False,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._simulator.close()

    def run(self, x: np.ndarray, *, raster: bool = False) -> Run:
        """Run ``x`` in minibatches."""
        x = check_input(self._graph, x)
        started = perf_counter()
        parts = [
            self._run_minibatch(x[start : start + self.batch_size], raster)
            for start in range(0, len(x), self.batch_size)
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

    def _run_minibatch(self, x: np.ndarray, raster: bool) -> Run:
        samples = len(x)
        fed = np.zeros((self.batch_size, self._steps, x.shape[2]), np.float32)
        fed[:samples] = x[:, self._timing.presented(self._inputs)]
        data = self._simulator.predict_on_batch({self._built.input: fed})
        spikes, rasters = {}, [dict[str, np.ndarray]() for _ in range(samples * raster)]
        for population in self._graph.spiking:
            unit = population.neuron.amplitude / (population.scale * self._timing.dt)
            counts = count_spikes(data[self._built.spikes[population.name]][:samples], unit)
            spikes[population.name] = counts.sum(axis=1)
            for sample, one in zip(rasters, counts, strict=False):
                sample[population.name] = raster_of(one)
        return Run(
            np.asarray(data[self._built.output][:samples], float), spikes, 0.0, tuple(rasters)
        )


def tensor_hold(source: Any, size: int, timing: Timing, inputs: int, label: str) -> Any:
    """A hold in TensorFlow: a Node that a Python function would run once a sample and step."""
    nengo, nengo_dl = import_nengo(), import_nengo_dl()
    import tensorflow as tf

    def hold(t: Any, x: Any) -> Any:
        step = tf.cast(tf.round(t / timing.dt), tf.int32) - 1
        starts = tf.logical_and(
            step % timing.steps_per_input == 0, step // timing.steps_per_input < inputs
        )
        return tf.where(starts, x[:, :size], x[:, size:])

    node = nengo_dl.TensorNode(hold, shape_in=(2 * size,), shape_out=(size,), label=label)
    nengo.Connection(source, node[:size], synapse=0)
    nengo.Connection(node, node[size:], synapse=0)
    return node


def _batch_size(graph: Graph, steps: int) -> int:
    neurons = sum(population.size for population in graph.spiking) + graph.output_size
    return int(np.clip(TRAIN_BYTES // (4 * steps * neurons), 1, 256))


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
            fix="leave --device out, or install the driver and: pip install 'spiking-lmu[gpu]'",
        )


TARGET = NengoDlTarget()

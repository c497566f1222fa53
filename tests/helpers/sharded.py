"""Targets for tests with worker processes, which import this module."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.backends.target import Capabilities, Deployment, Run, Target
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task

MODEL, X = small_lmu()
CLASSES = Task(names=("0", "1", "2"))
SAMPLES = np.concatenate([X, X[::-1] ** 2, 1 - X]).astype(np.float32)


def dataset(n: int = 12) -> Dataset:
    whole = Dataset(
        "made-up", "test", SAMPLES, np.arange(12) % 3, CLASSES, None, np.arange(12) * 10
    )
    return whole.draw(n)


def many(n: int) -> Dataset:
    """Random samples for `MODEL`."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 1, (n, 12, 1)), rng.integers(0, 3, n)
    return Dataset("made-up", "test", x, y, CLASSES, None, rng.permutation(n))


class Definition(Target):
    """The definition itself, in batches of two."""

    name, extra, summary = "made-up", "", "the definition"
    distributions: tuple[str, ...] = ("numpy",)
    capabilities = Capabilities(batched=True, on_chip=False, precision="float64")

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        return Deployed(self, model)

    def before(self, x):
        """Called before each batch runs."""


class Deployed(Deployment):
    batch_size, notes, verifies = 2, ("made up",), True

    def __init__(self, target, model):
        self.target, self.model = target, model
        self.placement = {p.name: "somewhere" for p in model.graph.populations}

    def run(self, x, *, raster=False):
        self.target.before(x)
        graph, timing = self.model.graph, self.model.timing
        unit = graph["lmu.h"].spike_size(timing.dt)
        trains = []
        outputs = run_reference(
            graph, x, timing, lambda step, values, totals: trains.append(values["lmu.h"] / unit)
        )
        counts = np.rint(np.moveaxis(np.array(trains), 0, 1)).astype(int)
        rasters = tuple({"lmu.h": np.argwhere(one)} for one in counts) if raster else ()
        return Run(outputs, {"lmu.h": counts.sum(axis=1)}, 0.5, rasters)

    def verify(self, x, run):
        again = self.run(x)
        if not np.array_equal(again.spikes["lmu.h"], run.spikes["lmu.h"]):
            raise TargetError("made-up", got="other spikes", expected="the same", fix="report it")


class DiesOnce(Definition):
    """Its first process to see a sample with a large sum is killed."""

    def __init__(self, folder: Path, times: int = 1):
        self.folder, self.times = folder, times

    def before(self, x):
        if x.sum(axis=(1, 2)).max() == SAMPLES.sum(axis=(1, 2)).max():
            died = len(list(self.folder.iterdir()))
            if died < self.times:
                (self.folder / f"{died}").touch()
                os.kill(os.getpid(), signal.SIGKILL)


class Fails(Definition):
    """Fails on deploying or on running, with an error of the family or another."""

    def __init__(self, when: str, error: str):
        self.when, self.error = when, error

    def _fail(self):
        if self.error == "family":
            raise TargetError("x", got="y", expected="z", fix="stop")
        raise RuntimeError("stop\nat once")

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        if self.when == "deploy":
            self._fail()
        return super().deploy(model, inputs)

    def before(self, x):
        self._fail()


class DiffersOnUpstream(Definition):
    """Verification finds another spike."""

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        return _Differs(self, model)


class _Differs(Deployed):
    def verify(self, x, run):
        run.spikes["lmu.h"][0, 0] += 1
        super().verify(x, run)


class ShowsThreads(Definition):
    """Its note is the number of threads that libraries are told to use."""

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        deployed = Deployed(self, model)
        deployed.notes = (os.environ["OPENBLAS_NUM_THREADS"],)
        return deployed


class Sleeps(Definition):
    """Writes its process's number to a file, and never finishes."""

    def __init__(self, path: str):
        self.path = Path(path)

    def deploy(self, model, inputs, *, seed=0, memory_limit=None):
        new = self.path.with_suffix(".new")
        new.write_text(str(os.getpid()))
        new.rename(self.path)
        while True:
            signal.pause()

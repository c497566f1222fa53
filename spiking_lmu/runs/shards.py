"""What a worker is told and what it tells: everything here travels between processes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import Any
from uuid import uuid4

import numpy as np

from spiking_lmu.backends.options import check_options
from spiking_lmu.backends.target import Deployment, Run, Target
from spiking_lmu.errors import SpikingLmuError, TargetError, told
from spiking_lmu.files.slmu import load, save
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import Model

from .measures import LAST_OUTPUT, Measure


@dataclass(frozen=True)
class Setup:
    """What a worker needs to deploy.

    Parameters
    ----------
    target
        Travels as a reference to its class.
    model
        The bytes of a ``.slmu`` file.
    inputs, seed, options, memory_limit
        As in :meth:`spiking_lmu.backends.target.Target.deploy`; ``inputs`` of the longest sample.
    versions
        Of the packages that decide the result, by distribution; a worker must have the same.
    measure
        What is read off each run.
    token
        Tells one setup from another.
    """

    target: Target
    model: bytes
    inputs: int
    seed: int
    options: dict[str, Any]
    memory_limit: int | None
    versions: dict[str, str]
    measure: Measure = LAST_OUTPUT
    token: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, eq=False)
class Shard:
    """Samples to run at once; without any, the worker only deploys.

    Parameters
    ----------
    positions
        The caller's numbers of the samples.
    x
        Their inputs, shape (samples, inputs, input_size); all of one length.
    traced, verified
        Those of ``positions`` to record in full, and to compare with upstream's simulator.
    """

    positions: tuple[int, ...] = ()
    x: Array = field(default_factory=lambda: np.empty((0, 0, 0)))
    traced: tuple[int, ...] = ()
    verified: tuple[int, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What a deployment says of itself; see :class:`spiking_lmu.backends.target.Deployment`."""

    placement: dict[str, str]
    notes: tuple[str, ...]
    batch_size: int
    verifies: bool


@dataclass(frozen=True, eq=False)
class ShardResult:
    """What came out of one shard: a problem in one line, or finished samples.

    Parameters
    ----------
    facts
        Of a shard without samples.
    rows
        What the measure read off each sample, shape (samples, width).
    spikes
        Spikes of each sample by population, each of shape (samples,).
    host_spikes
        Spikes of each sample that the host sent to a chip, by connection, of the same shape.
    seconds
        Time that simulating took, verification not included.
    traces
        By position: output of every step, and spikes by population as in a raster.
    reruns
        Samples that came near rounding and were run again strictly.
    problem, error
        Why it did not run, in one line; and the error itself if it is of this package.
    """

    shard: Shard
    facts: Facts | None = None
    rows: Array = field(default_factory=lambda: np.empty((0, 0)))
    spikes: dict[str, Array] = field(default_factory=dict)
    host_spikes: dict[str, Array] = field(default_factory=dict)
    seconds: float = 0.0
    traces: dict[int, tuple[Array, dict[str, Array]]] = field(default_factory=dict)
    reruns: int = 0
    problem: str = ""
    error: SpikingLmuError | None = None


def pack(model: Model) -> bytes:
    """The model as bytes of a ``.slmu`` file, without its history, which workers need not know."""
    file = io.BytesIO()
    save(replace(model, provenance={}), file)
    return file.getvalue()


def versions_of(distributions: Sequence[str]) -> dict[str, str]:
    """Installed versions of this package and of ``distributions``."""
    found = {}
    for name in ("spiking-lmu", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def one_line(error: BaseException) -> str:
    """An error as one line; this package's own say what they are by themselves."""
    if isinstance(error, SpikingLmuError):
        return str(error)
    return told(error)


class _Held:
    """The deployment of this process, kept from shard to shard: one at a time."""

    def __init__(self) -> None:
        # A Dask worker may have several threads; a deployment runs one batch at a time.
        self.lock = Lock()
        self._token = ""
        self._deployment: Deployment | None = None
        self._model: Model | None = None

    def get(self, setup: Setup, inputs: int) -> tuple[Deployment, Model]:
        """A deployment for sequences of ``inputs`` inputs."""
        token = f"{setup.token} {inputs}"
        if self._deployment is None or self._model is None or self._token != token:
            self.release()
            _require_versions(setup.versions)
            self._model = load(io.BytesIO(setup.model))
            check_options(setup.target, setup.options)
            deployment = setup.target.deploy(
                self._model,
                inputs,
                seed=setup.seed,
                memory_limit=setup.memory_limit,
                **setup.options,
            )
            self._deployment, self._token = deployment.__enter__(), token
        return self._deployment, self._model

    def release(self) -> None:
        deployment, self._deployment = self._deployment, None
        if deployment is not None:
            deployment.__exit__(None, None, None)


_held = _Held()


def work(setup: Setup, shard: Shard) -> ShardResult:
    """Run a shard in this process, which deploys ``setup`` if it has not yet.

    Whatever the target raises is told as the result's problem, so that it is the same line
    wherever the shard runs.
    """
    try:
        with _held.lock:
            # Samples of another length than the longest have a deployment of their own: the
            # last input stays while the readout settles, and padding would take its place.
            inputs = shard.x.shape[1] if shard.positions else setup.inputs
            return _run(*_held.get(setup, inputs), setup.measure, shard)
    except (Exception, SystemExit) as error:  # a target may be anybody's code
        ours = error if isinstance(error, SpikingLmuError) else None
        return ShardResult(shard, problem=one_line(error), error=ours)


def release() -> None:
    """Let go of what this process has deployed, unless it is running just now."""
    if _held.lock.acquire(blocking=False):
        try:
            _held.release()
        finally:
            _held.lock.release()


def _run(deployment: Deployment, model: Model, measure: Measure, shard: Shard) -> ShardResult:
    if not shard.positions:
        return ShardResult(shard, _facts(deployment))
    run = deployment.run(shard.x, raster=bool(shard.traced) or measure.raster)
    row = {position: i for i, position in enumerate(shard.positions)}
    if shard.verified:
        rows = [row[position] for position in shard.verified]
        deployment.verify(shard.x[rows], run.take(rows))
    return ShardResult(
        # What came with the shard need not travel back.
        replace(shard, x=np.empty((0, 0, 0))),
        rows=measure.rows(model, run),
        spikes={name: counts.sum(axis=1) for name, counts in run.spikes.items()},
        host_spikes=run.host_spikes,
        seconds=run.seconds,
        traces=_traces(run, {position: row[position] for position in shard.traced}),
        reruns=run.reruns,
    )


def _facts(deployment: Deployment) -> Facts:
    return Facts(
        dict(deployment.placement),
        tuple(deployment.notes),
        int(deployment.batch_size),
        bool(deployment.verifies),
    )


def _traces(run: Run, rows: dict[int, int]) -> dict[int, tuple[Array, dict[str, Array]]]:
    return {
        position: (run.outputs[i].copy(), run.rasters[i] if run.rasters else {})
        for position, i in rows.items()
    }


def _require_versions(expected: dict[str, str]) -> None:
    here = versions_of([name for name in expected if name != "spiking-lmu"])
    for name, wanted in expected.items():
        if here[name] != wanted:
            raise TargetError(
                f"{name} on a worker",
                got=here[name],
                expected=f"{wanted}, as where the comparison was started",
                fix="install the same versions on every worker",
            )

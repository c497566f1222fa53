"""Run a built ``nengo_loihi.Simulator`` for many samples at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from spiking_lmu.errors import TargetError, missing_extra

from .chip.engine import ChipEngine, NumpyEngine
from .chip.probes import ChipReader
from .chip.program import ChipProgram, extract
from .chip.real import RealEngine, RealProgram
from .feeds import Feed, as_feed, check_feeds
from .host import BatchedHost
from .links import ErrorLinks, Receiver
from .records import (
    ChipRecorder,
    CountRecorder,
    HostCountRecorder,
    HostRecorder,
    Record,
    SentCounter,
    record_step,
)
from .unsupported import unsupported

Array = np.ndarray
ENGINES = ("auto", "numpy", "numba")
#: About what the engines hold for each neuron and sample, temporary arrays included.
STATE_BYTES = 64


class BatchedSimulator:
    """One run from rest for each sample of a batch.

    Parameters
    ----------
    simulator
        A ``nengo_loihi.Simulator`` with ``target="sim"``; only what it built is used.
    feeds
        For each input Node: what it outputs, (batch, steps, size) or a :class:`Feed`; at
        least one Node.
    record
        What to keep of which probe; None keeps every step of every probe.
    sent
        In which steps to count the spikes that the host sends to the chip (:attr:`sent`); None
        is all of them.
    engine
        ``"numba"``, ``"numpy"``, or ``"auto"``: numba if it is installed.  Same results.  A
        chip of real numbers has an engine of its own; this is then for the host's neurons.
    strict
        Host arithmetic equal to the stock simulator to the last bit; slower, and keeps the
        spikes that the chip sends to the host for the whole run.
    margin
        See :attr:`near`; without ``strict`` only.
    program
        What :func:`extract` gave for this simulator's model, to save doing it again.  Or, for
        ``target="simreal"``, :func:`extract_real`: equal but for rounding, even if ``strict``.

    Chip noise and the rounding of learned weights draw random numbers from the seed with which
    ``simulator`` was made, and every sample sees the same ones: sample ``i`` equals a new stock
    simulator with that seed that is run on sample ``i`` alone.

    Raises
    ------
    Unsupported
        A part of the network that would not be run exactly.
    TargetError
        Feeds or records that do not fit the network.
    MissingExtraError
        ``engine="numba"`` without numba.
    """

    def __init__(
        self,
        simulator: Any,
        feeds: Mapping[Any, Array | Feed],
        *,
        record: Mapping[Any, Record] | None = None,
        sent: slice | None = None,
        engine: str = "auto",
        strict: bool = False,
        margin: float = 0.0,
        program: ChipProgram | RealProgram | None = None,
    ) -> None:
        self._model, self._precompute = simulator.model, simulator.precompute
        self.strict, self.dt = strict, float(simulator.model.dt)
        self._feeds = {node: as_feed(data) for node, data in feeds.items()}
        self.batch, self._fed_steps = check_feeds(self._feeds)
        emulator = simulator.sims["emulator"]
        if self._model.host2chip_pes_senders and program is None and emulator.t > 0:
            raise unsupported("network that learns", "weights of a run", "a new simulator")
        self.program = program or extract(self._model)
        kind = engine_class(engine)
        self.engine: ChipEngine
        if isinstance(self.program, RealProgram):
            self.engine = RealEngine(self.program, self.batch)
        else:
            self.engine = kind(self.program, self.batch, emulator.seed)
        self._hosts = {
            name: BatchedHost(
                simulator.sims[name],
                self.batch,
                self._feeds,
                strict=strict,
                compiled=kind.name == "numba",
                margin=margin,
            )
            for name in ("host_pre", "host")
            if name in simulator.sims
        }
        known = {signal for host in self._hosts.values() for signal in host.fed}
        if len(known) != len(self._feeds):
            raise TargetError(
                "feeds",
                got=f"{len(self._feeds)} Nodes, of which {len(known)} run on the host",
                expected="Nodes of the network that run on the host",
                fix="pass Nodes of the network that was built",
            )
        self._links = self._find_links()
        self._sent_steps, self._counters = sent, list[SentCounter]()
        self._receivers = self._find_receivers()
        self._errors = ErrorLinks(self._model, self._hosts.get("host"), self.engine.learners)
        self._record = dict.fromkeys(self._all_probes(), Record()) if record is None else record
        self._ran = False
        self.data: dict[Any, Array] = {}

    @property
    def near(self) -> Array:
        """Samples in which a host neuron came within ``margin`` of its threshold, bool (batch,).

        Or an error for learning within ``margin`` of where it is rounded to another number.

        In all others every spike is the stock simulator's, if sums on the host differ from its
        by less than that (``host/neurons.py``).
        """
        return np.any([host.near for host in self._hosts.values()], axis=0)

    @property
    def sent(self) -> dict[Any, Array]:
        """Spikes that the host sent to the chip, uint64 (batch,), by the Node that sends them.

        These are nengo-loihi's ``HostSendNode``: one for each connection from host to chip.
        """
        senders = self._model.host2chip_senders
        return {n: c.data() for n, c in zip(senders, self._counters, strict=True)}

    @property
    def state_bytes(self) -> int:
        """Bytes of the state of host and chip, without what is recorded."""
        hosts = sum(host.signals.nbytes for host in self._hosts.values())
        chip = STATE_BYTES * (self.program.neurons + self.program.inputs) * self.batch
        learned = sum(learner.weights.nbytes for learner in self.engine.learners)
        return 2 * hosts + chip + learned

    @property
    def learned_weights(self) -> dict[Any, Array]:
        """By nengo-loihi's ``Synapse``: int32 (batch, axons, compartments), as they are now."""
        return {
            learner.rule.synapse: np.moveaxis(learner.weights, -1, 0)
            for learner in self.engine.learners
        }

    def run(self, steps: int, on_step: Callable[[int], None] | None = None) -> None:
        """Run ``steps`` steps; afterwards :attr:`data` has what was recorded, by probe.

        Parameters
        ----------
        on_step
            Called after each step of the chip with the number of steps done.

        Raises
        ------
        TargetError
            The feeds are shorter than that, or this object has run before.
        """
        if self._ran or not 1 <= steps <= self._fed_steps:
            raise TargetError(
                "batched run",
                got="a second run" if self._ran else f"{steps} steps",
                expected=f"one run of 1 to {self._fed_steps} steps, as many as are fed",
                fix="feed an array for every step, and make a BatchedSimulator for each run",
            )
        self._ran = True
        host, chip = self._recorders(steps)
        kept = range(steps)[self._sent_steps or slice(None)]
        self._counters = [SentCounter(spikes, kept) for spikes, _ in self._links]
        report = on_step or (lambda step: None)
        run = self._precomputed if self._precompute else self._bidirectional
        run(steps, host, chip, report)
        self.data = {probe: r.data() for probe, r in (host | chip).items()}

    # Order of steps: nengo-loihi 1.1.0, ``simulator.py``, ``StepRunner``.  Spikes of the
    # host's step k reach the chip in its step k + 1 (``SynapseState.inject_current``), errors
    # in its step k.  A network that learns is never precomputed (``splitter.py``).

    def _bidirectional(self, steps: int, host: Any, chip: Any, report: Any) -> None:
        """Host and chip take turns; the host's step k sees the chip's step k - 1."""
        spikes = np.zeros((self.program.inputs, self.batch), bool)
        for step in range(steps):
            for simulator in self._hosts.values():
                simulator.step()
            self._errors.send()
            self.engine.step(spikes)
            for receiver in self._receivers:
                receiver.pass_on(self.engine)
            self._send(step, spikes)
            record_step(step, host, chip, self.engine)
            report(step + 1)

    def _precomputed(self, steps: int, host: Any, chip: Any, report: Any) -> None:
        """The host before the chip, the chip, and the host after it, a step of each in turn.

        The host after the chip sees the chip's step k - 1 in its step k, and the chip's
        step 1 in its step 1 (``builder/inputs.py``, ``EmptyQueueStep``).
        """
        before, after = self._hosts.get("host_pre"), self._hosts.get("host")
        before_records = {p: r for p, r in host.items() if r.host is before}
        after_records = {p: r for p, r in host.items() if r.host is after}
        spikes = np.zeros((self.program.inputs, self.batch), bool)
        later: list[list[list[Array]]] = [[] for _ in self._receivers]
        for step in range(steps):
            self.engine.step(spikes)
            if before is not None:
                before.step()
                self._send(step, spikes)
            record_step(step, before_records, chip, self.engine)
            if self.strict:
                for kept, receiver in zip(later, self._receivers, strict=True):
                    kept.append(receiver.reader.read(self.engine))
            elif after is not None:
                if step == 0:
                    self._pass_on()
                after.step()
                if step > 0:
                    self._pass_on()
                record_step(step, after_records, {}, self.engine)
            report(step + 1)
        if self.strict and after is not None:
            self._after(after, steps, later, after_records)

    def _after(self, after: BatchedHost, steps: int, later: Any, records: Any) -> None:
        """Run the host after the chip on values weighted as by a stock run of all steps."""
        values = [r.reader.weigh_runs(kept) for kept, r in zip(later, self._receivers, strict=True)]
        for step in range(steps):
            for value, receiver in zip(values, self._receivers, strict=True):
                receiver.set(value[:, max(step - 1, 0)])
            after.step()
            record_step(step, records, {}, self.engine)

    def _pass_on(self) -> None:
        for receiver in self._receivers:
            receiver.pass_on(self.engine)

    def _send(self, step: int, spikes: Array) -> None:
        for (sent, place), counter in zip(self._links, self._counters, strict=True):
            spikes[place] = sent
            counter.add(step)

    def _find_links(self) -> list[tuple[Array, slice]]:
        """For each host to chip connection: the spikes sent, and where the chip takes them."""
        sent = {key: spikes for host in self._hosts.values() for key, spikes in host.sent.items()}
        return [
            (sent[id(sender.output)], self.program.input_slices[self._model.spike_targets[to]])
            for sender, to in self._model.host2chip_senders.items()
        ]

    def _find_receivers(self) -> list[Receiver]:
        return [
            Receiver(
                ChipReader(self._model.objs[probe]["out"], self.program),
                self._hosts["host"].received[id(node.output)],
                self.strict,
            )
            for probe, node in self._model.chip2host_receivers.items()
        ]

    def _chip_probes(self) -> list[Any]:
        internal = self._model.chip2host_params
        return [probe for probe in self._model.nengo_probes if probe not in internal]

    def _all_probes(self) -> list[Any]:
        return [p for h in self._hosts.values() for p in h.model.probes] + self._chip_probes()

    def _recorders(self, steps: int) -> tuple[dict[Any, Any], dict[Any, Any]]:
        host: dict[Any, HostRecorder | HostCountRecorder] = {}
        chip: dict[Any, Any] = {}
        on_host = {p: h for h in self._hosts.values() for p in h.model.probes}
        for probe, record in self._record.items():
            if probe in on_host:
                kind = HostCountRecorder if record.count_only else HostRecorder
                host[probe] = kind(probe, on_host[probe], record, steps)
                continue
            if probe not in self._chip_probes():
                raise TargetError(
                    f"record of {probe}",
                    got="a probe that the network does not have",
                    expected="a probe of the network that was built",
                    fix="pass probes of that network",
                )
            if probe.sample_every is not None:
                raise unsupported(f"probe {probe}", "sample_every", "one sample every step")
            reader = ChipReader(self._model.objs[probe]["out"], self.program)
            if record.count_only:
                chip[probe] = CountRecorder(probe, reader, record, steps)
            else:
                chip[probe] = ChipRecorder(reader, record, steps, self.dt, self.strict)
        return host, chip


def engine_class(name: str) -> type[NumpyEngine]:
    """The engine called ``name``; imports numba only for its own engine."""
    if name not in ENGINES:
        raise TargetError("engine", got=repr(name), expected=", ".join(ENGINES), fix="use auto")
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return NumpyEngine
    if find_spec("numba") is None:
        raise missing_extra("engine numba", "numba", "fast")
    from .chip.compiled import NumbaEngine

    return NumbaEngine

"""Simulators for the test suites of nengo and nengo-loihi that run the batched engines beside.

``scripts/upstream-suites`` gives them to pytest in the place of upstream's simulators.  Each is
upstream's simulator, so upstream's tests see nothing else; what Nodes put out is fed to the
batched engines, for two equal samples, and every probe is compared at every step.  What came out
is a line of JSON in the file that the environment variable ``SIDE_BY_SIDE_LOG`` names.

Strictly every number has to be equal to the last bit.  Else a difference of 1e-9 of the largest
value is allowed on the host, 1e-6 behind a chip, and any in samples marked as near a threshold.
"""

from __future__ import annotations

import json
import os
import sys
from types import ModuleType
from typing import Any

import numpy as np

from spiking_lmu.backends.batched import BatchedSimulator, extract
from spiking_lmu.backends.batched.host import BatchedHost
from spiking_lmu.compat import import_nengo, import_nengo_loihi
from spiking_lmu.errors import SpikingLmuError

LOG = "SIDE_BY_SIDE_LOG"
BATCH = 2
#: Allowed share of the largest value on the host and behind a chip, if not strict.
HOST, CHIP = 1e-9, 1e-6
#: Rounding margin for samples near a threshold.
MARGIN = 1e-9
#: Where nengo 3 kept its convolutions.
FORMER = ("npconv2d", "npconv2d.conv2d")
#: Of a function without an output.
NONE = {id(None)}

nengo = import_nengo()


def note(kind: str, **facts: Any) -> None:
    """Write one simulation's result: ``equal``, ``differs``, ``refused`` or ``failed``."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if LOG in os.environ:
        with open(os.environ[LOG], "a", encoding="utf-8") as file:
            file.write(json.dumps({"test": test, "kind": kind, **facts}) + "\n")


class GrowingFeed:
    """What a Node of the simulator beside has put out so far, the same for all samples."""

    exact = True
    batch = BATCH

    def __init__(self, size: int) -> None:
        self.size, self.steps = size, 10**9
        self.seen: list[np.ndarray] = []

    def changes(self, step: int) -> bool:
        """Every step may."""
        return True

    def show(self, step: int, target: np.ndarray) -> None:
        """Set ``target`` (size, batch)."""
        target[...] = self.seen[step].reshape(target.shape[0], 1)


def feeds_of(model: Any) -> dict[Any, GrowingFeed]:
    """A feed for each Node whose function, or process without input, makes numbers."""
    from nengo.builder.operator import SimPyFunc
    from nengo.builder.processes import SimProcess

    made = set()
    for operator in model.operators:
        process = isinstance(operator, SimProcess) and operator.mode != "inc"
        received = process and type(operator.process).__name__ == "HostReceiveProcess"
        if isinstance(operator, SimPyFunc) or (process and not received and operator.input is None):
            made.add(id(operator.output))
    nodes = [obj for obj in model.sig if isinstance(obj, nengo.Node)]
    return {n: GrowingFeed(n.size_out) for n in nodes if id(model.sig[n].get("out")) in made - NONE}


def difference(ours: np.ndarray, theirs: np.ndarray, allowed: float | None) -> str:
    """In one line what differs by more than a share; None allows nothing."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, stock {theirs.shape}"
    if np.array_equal(ours, theirs, equal_nan=theirs.dtype.kind == "f"):
        return ""
    apart = np.abs(ours.astype(float) - theirs)
    if allowed is not None and np.nanmax(apart) <= allowed * max(1.0, np.nanmax(np.abs(theirs))):
        return ""
    return f"{np.nanmax(apart):.3g} apart: {np.ravel(ours)[:3]}, stock {np.ravel(theirs)[:3]}"


class HostSideBySide(nengo.Simulator):
    """``nengo.Simulator`` with strict and fast batched hosts beside it."""

    def __init__(self, *given: Any, **options: Any) -> None:
        self._hosts: dict[str, BatchedHost] = {}
        self._beside, self._differs = False, ""
        # Operators and signals one by one, as they were built.
        super().__init__(*given, **{**options, "optimize": False, "progress_bar": False})

    def reset(self, *given: Any, **options: Any) -> None:
        """As upstream's; what ran until now is one simulation."""
        self._finish()
        super().reset(*given, **options)
        self._beside = True

    def step(self) -> None:
        """As upstream's, and compare."""
        if self._beside and self.n_steps == 0:
            self._guarded(self._start)
        super().step()
        if self._hosts:
            self._guarded(self._compare)

    def close(self) -> None:
        """As upstream's."""
        self._finish()
        super().close()

    def _guarded(self, call: Any) -> None:
        try:
            call()
        except SpikingLmuError as error:
            note("refused", why=str(error), error=type(error).__name__)
        except Exception as error:
            note("failed", why=f"{type(error).__name__}: {error}")
        else:
            return
        self._hosts, self._beside = {}, False

    def _start(self) -> None:
        self._differs, self._feeds = "", feeds_of(self.model)
        # A probe's interval is of no interest to the engines; here every step is compared.
        intervals = {p: p.sample_every for p in self.model.probes}
        try:
            for probe in intervals:
                type(probe).sample_every.data[probe] = None
            self._hosts = {
                "strict": BatchedHost(self, BATCH, self._feeds, strict=True),
                "fast": BatchedHost(self, BATCH, self._feeds, compiled=True, margin=MARGIN),
            }
        finally:
            for probe, interval in intervals.items():
                type(probe).sample_every.data[probe] = interval

    def _compare(self) -> None:
        for node, feed in self._feeds.items():
            feed.seen.append(np.array(self.signals[self.model.sig[node]["out"]], float))
        for name, host in self._hosts.items():
            host.step()
            if self._differs or (name == "fast" and host.near.any()):
                continue
            for probe in self.model.probes:
                stock = np.asarray(self.signals[self.model.sig[probe]["in"]])
                ours = host.probed(probe)
                for sample in range(BATCH):
                    allowed = None if name == "strict" else HOST
                    found = difference(ours[..., sample], stock, allowed)
                    if found:
                        self._differs = f"{name}, step {self.n_steps}, {probe}: {found}"

    def _finish(self) -> None:
        if self._hosts and self.n_steps:
            kind = "differs" if self._differs else "equal"
            note(kind, steps=self.n_steps, why=self._differs, probes=len(self.model.probes))
        self._hosts, self._beside = {}, False


def _with_a_feed(network: Any) -> None:
    """Give a network without a Node to feed one that nothing reads: it says how many samples."""
    if isinstance(network, nengo.Network):
        outputs = [node.output for node in network.all_nodes]
        if not any(callable(o) or isinstance(o, nengo.Process) for o in outputs):
            with network:
                nengo.Node(lambda t: 0.0, size_out=1)


def loihi_side_by_side(request: Any) -> type:
    """What nengo-loihi's suite takes for a simulator: upstream's, and the batched one after it."""
    loihi = import_nengo_loihi()
    target = request.config.getoption("--target")

    class LoihiSideBySide(loihi.Simulator):  # type: ignore[misc, name-defined]
        """``nengo_loihi.Simulator``; a run from rest is repeated by both batched engines."""

        def __init__(self, network: Any, *given: Any, **options: Any) -> None:
            options.setdefault("target", target)
            _with_a_feed(network)
            super().__init__(network, *given, **options)
            self._beside = False
            if options["target"] != "sim" or "emulator" not in self.sims:
                return
            try:
                self._program, self._feeds = extract(self.model), self._find_feeds()
            except SpikingLmuError as error:
                note("refused", why=str(error), error=type(error).__name__)
            else:
                self._beside = True

        def _find_feeds(self) -> dict[Any, GrowingFeed]:
            found = {}
            for name in ("host_pre", "host"):
                if name in self.sims:
                    feeds = feeds_of(self.sims[name].model)
                    self._follow(self.sims[name], feeds)
                    found.update(feeds)
            return found

        def _follow(self, host: Any, feeds: dict[Any, GrowingFeed]) -> None:
            stock_step = host.step

            def step() -> None:
                stock_step()
                for node, feed in feeds.items():
                    feed.seen.append(np.array(host.signals[host.model.sig[node]["out"]], float))

            host.step = step

        def run_steps(self, steps: int, *given: Any, **options: Any) -> None:
            """As upstream's; the first run is repeated."""
            from_rest = self.n_steps == 0
            super().run_steps(steps, *given, **options)
            if not (self._beside and from_rest and steps):
                return
            self._beside = False
            for feed in self._feeds.values():
                feed.steps = steps
            for engine, strict in (("numba", True), ("numpy", False)):
                try:
                    self._repeat(steps, engine, strict)
                except SpikingLmuError as error:
                    note("refused", why=str(error), error=type(error).__name__)
                except Exception as error:
                    note("failed", why=f"{type(error).__name__}: {error}")

        def _repeat(self, steps: int, engine: str, strict: bool) -> None:
            batched = BatchedSimulator(
                self,
                self._feeds,
                engine=engine,
                strict=strict,
                program=self._program,
                margin=0.0 if strict else MARGIN,
            )
            batched.run(steps)
            differs = ""
            for probe, values in batched.data.items():
                stock = np.asarray(self.data[probe])
                for sample in range(BATCH):
                    if strict or not batched.near.any():
                        found = difference(values[sample], stock, None if strict else CHIP)
                        differs = differs or (found and f"{engine}, {probe}: {found}")
            kind = "differs" if differs else "equal"
            note(kind, steps=steps, why=differs, probes=len(batched.data))

    return LoihiSideBySide


# --- pytest's hooks for nengo-loihi's suite, which brings them in a conftest of its sources ---


def pytest_addoption(parser: Any) -> None:
    """Its two options."""
    parser.addoption("--target", default="sim")
    parser.addoption("--no-hang", action="store_true", default=False)


def pytest_configure(config: Any) -> None:
    """Its markers, and the strictness with which it is tested."""
    for name in ("target_sim", "target_loihi", "hang", "requires_multichip_snips"):
        config.addinivalue_line("markers", name)
    loihi = import_nengo_loihi()
    from nengo import _vendor
    from nengo.builder import transforms
    from nengo_loihi.builder.builder import Model, ValidationLevel
    from nengo_loihi.emulator import EmulatorInterface

    # One of its test files takes two functions from where they were in nengo 3.
    package, module = (ModuleType(f"nengo._vendor.{name}") for name in FORMER)
    module.conv2d = transforms.conv2d  # type: ignore[attr-defined]
    module.conv2d_gradx = transforms.conv2d_gradx  # type: ignore[attr-defined]
    package.conv2d = module  # type: ignore[attr-defined]
    _vendor.npconv2d = package
    sys.modules |= {package.__name__: package, module.__name__: module}
    EmulatorInterface.strict = True
    loihi.set_defaults()
    Model.default_validation_level = ValidationLevel.FULL


def pytest_collection_modifyitems(items: Any) -> None:
    """No chip here."""
    import pytest

    for item in items:
        if "target_loihi" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs the chip"))

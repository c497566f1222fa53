"""Ctrl-C reaches every process of a terminal; workers must never see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import signal, time
from spiking_lmu.backends.registry import get_target
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.runs.processes import Processes
from spiking_lmu.runs.shards import Setup, Shard, pack

# A job in the background of a shell inherits that it ignores interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
model = Model(build(LmuSpec(order=2, units=2)))
setup = Setup(get_target("reference"), pack(model), 3, 0, {}, None, {})
with Processes(2).open(setup, 100) as crew:
    (result,) = crew.results([Shard()])
    try:
        print(repr(result.problem), *(p._process.pid for p in crew._processes), flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    results = list(crew.results([Shard(), Shard()]))
    print([r.problem for r in results], *(p._process.pid for p in crew._processes))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc, which Linux has")
def test_an_interrupt_of_the_terminal_reaches_the_parent_alone():
    """The first worker too: with it multiprocessing starts a process that unblocks signals."""
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    problem, worker = parent.stdout.readline().split()
    assert problem == "''"
    with open(f"/proc/{worker}/status") as status:
        masks = dict(line.split(":\t") for line in status if line.startswith("Sig"))
    interrupt = 1 << (signal.SIGINT - 1)
    assert (int(masks["SigBlk"], 16) | int(masks["SigIgn"], 16)) & interrupt
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=120)
    assert err == ""
    assert out.splitlines()[0] == "interrupted"
    problems, *workers = out.splitlines()[1].rpartition("]")[0] + "]", *out.split("]")[1].split()
    assert problems == "['', '']"
    assert worker in workers

"""Shards over worker processes: killed, interrupted, resumed, and what each is given."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiking_lmu.analysis.comparison import Interrupted, Job, compare
from spiking_lmu.backends.registry import get_target
from spiking_lmu.runs.cutting import cut, to_verify
from spiking_lmu.runs.processes import WORTH_A_PROCESS, Processes, cores
from spiking_lmu.runs.shards import Setup, Shard, pack, work
from spiking_lmu.runs.single import ThisProcess

from ..helpers.sharded import (
    MODEL,
    SAMPLES,
    Definition,
    DiesOnce,
    DiffersOnUpstream,
    Fails,
    ShowsThreads,
    dataset,
    many,
)

MODELS = {"small": MODEL}


class OnAdvance:
    """Progress that calls ``action`` when the target has so many batches finished."""

    def __init__(self, action, batches=2):
        self.action, self.batches, self.label = action, batches, ""

    def start(self, label, done, total, unit="samples"):
        self.label, self.count = label, 0

    def advance(self, samples, label=""):
        self.count += 1
        if "rate" not in self.label and self.count == self.batches:
            self.action()


def run(folder, job, data, **options):
    # The rate model first and here: what is tested is the target.
    settings = {"journal": folder, "workers": ThisProcess(), "progress": False}
    compare(MODELS, data, [], **settings)
    return compare(MODELS, data, [job], **{**settings, **options}).outcomes[0]


def same(one, other):
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.decisions, other.decisions)
    np.testing.assert_allclose(one.outputs, other.outputs, atol=1e-9)
    for name, counts in one.spikes.items():
        np.testing.assert_array_equal(counts, other.spikes[name])
    assert (one.problem, one.verified) == (other.problem, other.verified)


def kill_one():
    children = multiprocessing.active_children()
    assert len(children) == 2
    children[0].kill()


def test_a_killed_process_changes_nothing(tmp_path):
    job, data = Job(get_target("reference"), 24), many(24)
    single = run(tmp_path / "single", job, data, memory_limit=1)
    assert (single.problem, len(single.indices), single.verified) == ("", 24, 3)
    killed = run(
        tmp_path / "killed",
        job,
        data,
        memory_limit=1,
        workers=Processes(2),
        progress=OnAdvance(kill_one),
    )
    same(killed, single)
    assert len(killed.traces) == 3
    assert multiprocessing.active_children() == []


def test_a_shard_whose_process_dies_is_run_by_another(tmp_path):
    (tmp_path / "deaths").mkdir()
    single = run(tmp_path / "single", Job(Definition(), 12), dataset())
    dies = run(tmp_path, Job(DiesOnce(tmp_path / "deaths"), 12), dataset(), workers=Processes(2))
    assert len(list((tmp_path / "deaths").iterdir())) == 1
    same(dies, single)


def test_a_shard_that_ends_every_process_is_a_problem_and_others_go_on(tmp_path):
    (tmp_path / "deaths").mkdir()
    jobs = [Job(DiesOnce(tmp_path / "deaths", times=99), 12), Job(Definition(), 2)]
    kept = tmp_path / "kept"
    run(kept, Job(Definition(), 2), dataset())
    comparison = compare(
        MODELS, dataset(), jobs, journal=kept, workers=Processes(2), progress=False
    )
    bad, good = comparison.outcomes
    assert "killed by SIGKILL" in bad.problem
    assert "memory limit" in bad.problem
    assert 3 <= len(bad.indices) < 12
    assert len(list((tmp_path / "deaths").iterdir())) == 3
    assert (good.problem, len(good.indices)) == ("", 2)


@pytest.mark.parametrize(
    "target",
    [Fails("deploy", "family"), Fails("run", "other"), DiffersOnUpstream()],
    ids=["refused", "failed", "differs"],
)
def test_problems_are_the_same_line_as_without_workers(tmp_path, target):
    here = run(tmp_path / "here", Job(target, 12), dataset())
    there = run(tmp_path / "there", Job(target, 12), dataset(), workers=Processes(2))
    assert here.problem
    assert "\n" not in here.problem
    assert there.problem == here.problem


def interrupt():
    raise KeyboardInterrupt


def test_an_interrupted_run_ends_its_processes_and_is_finished_by_others(tmp_path):
    job = Job(Definition(), 12)
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path, job, dataset(), workers=Processes(2), progress=OnAdvance(interrupt))
    assert multiprocessing.active_children() == []
    part = stopped.value.comparison.outcomes[0]
    assert 3 <= len(part.indices) < 12
    whole = run(tmp_path, job, dataset(), workers=Processes(3))
    same(whole, run(tmp_path / "single", job, dataset()))


def test_ctrl_c_in_a_terminal_reaches_the_parent_alone():
    with Processes(2).open(setup(Definition()), 100) as crew:
        list(crew.results([Shard()]))
        (child,) = multiprocessing.active_children()
        pid = child.pid
        os.kill(pid, signal.SIGINT)
        (result,) = crew.results([Shard((0,), SAMPLES[:1])])
        assert result.problem == ""
        assert [child.pid for child in multiprocessing.active_children()] == [pid]


def test_few_samples_start_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", None)
    few = WORTH_A_PROCESS - 1
    assert len(run(tmp_path, Job(Definition(), few), dataset(few), workers=Processes(2)).indices)


def test_processes_share_the_cores(tmp_path):
    with Processes(2).open(setup(ShowsThreads()), 100) as crew:
        (result,) = crew.results([Shard()])
    assert result.facts.notes == (str(max(1, cores() // 2)),)


def setup(target, **versions):
    return Setup(target, pack(MODEL), 12, 0, {}, None, versions)


def test_another_version_is_refused():
    with ThisProcess().open(setup(Definition(), numpy="0.1"), 1) as crew:
        (result,) = crew.results([Shard()])
    assert "numpy on a worker: got " in result.problem
    assert "expected 0.1" in result.problem


def test_what_cannot_be_imported_by_a_worker_is_a_problem():
    class Local(Definition):
        pass

    with (
        Processes(2).open(setup(Local()), 100) as crew,
        pytest.raises(AttributeError, match="local object"),
    ):
        list(crew.results([Shard()]))


def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = (
        "from tests.runs.test_workers import *; from tests.helpers.sharded import Sleeps; import sys\n"
        "if __name__ == '__main__':\n"
        "    with Processes(2).open(setup(Sleeps(sys.argv[1])), 100) as crew:\n"
        "        list(crew.results([Shard()]))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "pid")])
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    parent.kill()
    parent.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))


def wait_for(condition, seconds=30):
    for _ in range(seconds * 20):
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


def test_a_result_does_not_carry_the_samples_back():
    shard = Shard((4, 7), SAMPLES[[4, 7]], traced=(7,), verified=(4,))
    result = work(setup(Definition()), shard)
    assert (result.problem, result.shard.positions, result.shard.x.size) == ("", (4, 7), 0)
    assert result.rows.shape == (2, 3)
    assert result.spikes["lmu.h"].shape == (2,)
    readout, spikes = result.traces[7]
    np.testing.assert_array_equal(readout[-1], result.rows[1])
    assert spikes["lmu.h"].shape[1] == 2


@given(st.integers(0, 400), st.integers(1, 150), st.integers(1, 20), st.sets(st.integers(0, 399)))
def test_shards_are_all_samples_once_in_batches(samples, batch, workers, special):
    shards = cut(range(samples), batch, workers, special)
    assert sorted(chain.from_iterable(shards)) == list(range(samples))
    sizes = [len(shard) for shard in shards]
    assert all(1 <= size <= batch for size in sizes)
    assert not sizes or max(sizes) - min(sizes) <= 1
    special = special & set(range(samples))
    if shards:
        assert max(len(special & set(shard)) for shard in shards) <= -(-len(special) // len(shards))


def test_a_small_run_is_for_few_workers():
    assert len(cut(range(100), 128, 8, set())) == 1
    assert len(cut(range(200), 128, 8, set())) == 3
    assert len(cut(range(10_000), 128, 2, set())) == 80


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(0, 20))
def test_more_verification_includes_less(seed, samples, number):
    fewer, more = to_verify(seed, samples, number), to_verify(seed, samples, number + 3)
    assert more[: len(fewer)] == fewer
    assert len(set(more)) == len(more) == min(samples, number + 3)
    assert all(0 <= position < samples for position in more)

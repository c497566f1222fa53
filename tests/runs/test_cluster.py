"""Shards over a real Dask cluster on this machine, one of whose processes is killed."""

import os
import signal
import socket
import sys
import threading

import pytest

from spiking_lmu.analysis.comparison import Interrupted, Job
from spiking_lmu.backends.registry import get_target
from spiking_lmu.errors import MissingExtraError, SpecError
from spiking_lmu.runs import cluster
from spiking_lmu.runs.cluster import Cluster
from spiking_lmu.runs.processes import Processes
from spiking_lmu.runs.shards import Setup, Shard, pack

from ..helpers.sharded import MODEL, Definition, DiesOnce, Fails, dataset, many
from .test_workers import OnAdvance, interrupt, run, same

distributed = pytest.importorskip("distributed", reason="needs: pip install 'spiking-lmu[cluster]'")


def start(workers):
    """A scheduler in this process, and its workers in processes of their own."""
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=":0",
        silence_logs="CRITICAL",
    )


@pytest.fixture(scope="module")
def local():
    with start(2) as started:
        yield started


@pytest.fixture
def workers(local):
    local.wait_for_workers(2, timeout=60)
    with Cluster(local.scheduler_address) as connected:
        yield connected


def test_a_killed_worker_changes_nothing(tmp_path, local, workers):
    job, data = Job(get_target("reference"), 24), many(24)
    single = run(tmp_path / "single", job, data, memory_limit=1)
    assert (single.problem, len(single.indices), single.verified) == ("", 24, 3)
    pid = local.workers[1].pid

    def kill():
        os.kill(pid, signal.SIGKILL)

    killed = run(
        tmp_path / "killed", job, data, memory_limit=1, workers=workers, progress=OnAdvance(kill)
    )
    same(killed, single)
    assert len(killed.traces) == 3
    assert pid not in [worker.pid for worker in local.workers.values()]


def test_a_shard_whose_worker_dies_is_run_by_another(tmp_path, workers):
    (tmp_path / "deaths").mkdir()
    single = run(tmp_path / "single", Job(Definition(), 12), dataset())
    dies = run(tmp_path, Job(DiesOnce(tmp_path / "deaths"), 12), dataset(), workers=workers)
    assert len(list((tmp_path / "deaths").iterdir())) == 1
    same(dies, single)


def test_a_shard_that_ends_every_worker_is_a_problem(tmp_path, local, workers):
    (tmp_path / "deaths").mkdir()
    local.scheduler.allowed_failures = 1  # 3 by default, and each costs a worker's start
    job = Job(DiesOnce(tmp_path / "deaths", times=99), 12)
    bad = run(tmp_path / "kept", job, dataset(), workers=workers)
    assert "died running the same samples" in bad.problem
    assert len(bad.indices) < 12


def test_problems_are_the_same_line_as_without_workers(tmp_path, workers):
    job = Job(Fails("run", "other"), 12)
    here = run(tmp_path / "here", job, dataset())
    assert here.problem
    assert run(tmp_path / "there", job, dataset(), workers=workers).problem == here.problem


def test_an_interrupted_run_is_finished_by_other_workers(tmp_path, workers):
    job = Job(Definition(), 12)
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path, job, dataset(), workers=workers, progress=OnAdvance(interrupt))
    assert 3 <= len(stopped.value.comparison.outcomes[0].indices) < 12
    whole = run(tmp_path, job, dataset(), workers=Processes(2))
    same(whole, run(tmp_path / "single", job, dataset()))


def test_another_version_here_is_refused(local, monkeypatch):
    monkeypatch.setattr(cluster, "versions_of", lambda _: {"spiking-lmu": "99.0"})
    with pytest.raises(SpecError, match=r"spiking-lmu on the worker tcp://.*expected 99\.0"):
        Cluster(local.scheduler_address)


def test_a_worker_without_the_package_is_refused(local, monkeypatch):
    monkeypatch.setattr(cluster, "PACKAGE", "no-such-distribution")
    with pytest.raises(SpecError, match="got none"):
        Cluster(local.scheduler_address)


def test_another_version_of_anything_else_is_a_problem(workers):
    setup = Setup(Definition(), pack(MODEL), 12, 0, {}, None, {"numpy": "0.1"})
    with workers.open(setup, 12) as crew:
        (result,) = crew.results([Shard()])
    assert "numpy on a worker" in result.problem


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with pytest.raises(SpecError, match=r"no answer from tcp://127\.0\.0\.1:1 within"):
        Cluster("tcp://127.0.0.1:1")


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 64])
def test_who_answers_nothing_or_nonsense_is_no_scheduler(monkeypatch, says):
    """Dask's own client waits for ever for a listener that never speaks."""
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    refused = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk():
            with listener.accept()[0] as connection:
                connection.sendall(says)
                refused.wait(60)  # the connection stays open until the refusal

        talking = threading.Thread(target=talk, daemon=True)
        talking.start()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(SpecError, match="no answer from"):
            Cluster(address)
        refused.set()
        talking.join()


def test_a_scheduler_without_workers():
    with start(0) as empty, pytest.raises(SpecError, match="no worker at"):
        Cluster(empty.scheduler_address)


def test_a_scheduler_that_ends_is_a_problem(tmp_path):
    with start(1) as short, Cluster(short.scheduler_address) as workers:
        outcome = run(
            tmp_path,
            Job(Definition(), 12),
            dataset(),
            workers=workers,
            progress=OnAdvance(short.close),
        )
    assert "no connection any more" in outcome.problem
    assert 0 < len(outcome.indices) < 12


@pytest.mark.parametrize(
    "address", ["", "here", "127.0.0.1:8786", "http://127.0.0.1:8786", "tcp://a b:1", "tcp://a"]
)
def test_not_an_address(address):
    with pytest.raises(SpecError, match="tcp://HOST:PORT"):
        Cluster(address)


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"spiking-lmu\[cluster\]"):
        Cluster("tcp://127.0.0.1:8786")

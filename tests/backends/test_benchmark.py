"""scripts/benchmark runs, and its numbers become the table in docs/performance.md."""

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name):
    """A script without a suffix, as a module."""
    loader = importlib.machinery.SourceFileLoader(f"scripts_{name}", str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    # dataclasses look their module up there
    sys.modules[loader.name] = module
    dont_write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = dont_write
    return module


def run_benchmark(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPTS / "benchmark", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_quick_run_measures_both_sides(tmp_path):
    path = tmp_path / "speeds.json"
    done = run_benchmark("--quick", "--targets", "reference", "--output", str(path))
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert [(row["engine"], row["batch"]) for row in result["rows"]] == [
        ("stock", 1),
        ("ours", 1),
        ("ours", 3),
    ]
    assert result["finished"]
    assert result["threads"] == 1
    assert result["models"] == {"4": {"neurons": 10, "steps": 25, "weights": "random"}}
    for row in result["rows"]:
        rate = row["batch"] * row["steps"] / median(row["seconds"])
        assert row["rate"] == pytest.approx(rate, rel=0.1)  # seconds are rounded
    assert "3 at once" in done.stdout


def test_an_unknown_target_is_one_line():
    done = run_benchmark("--quick", "--targets", "spinnaker")
    assert done.returncode == 1
    assert "expected one of reference, nengo-dl, loihi" in done.stderr
    assert "Traceback" not in done.stderr


class Deployment:
    """Remembers how many samples it was given at once."""

    def __init__(self, batch_size):
        self.batch_size, self.ran = batch_size, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, x):
        self.ran.append(len(x))


class Target:
    """Makes deployments whose batch size is 4, or what is asked for."""

    def __init__(self, name):
        self.name, self.made = name, []

    def deploy(self, model, inputs, *, seed, **options):
        size = 1 if options.get("engine") == "stock" else options.get("batch_size", 4)
        self.made.append((options, Deployment(size)))
        return self.made[-1][1]


def compare(target):
    import numpy as np

    return script("benchmark").compare_engines(
        target, None, np.zeros((10, 2, 1)), (1, 10), lambda: None
    )


def test_each_engine_runs_one_batch_first_and_then_in_turn():
    target = Target("reference")
    cases = compare(target)
    (stock_options, stock), (ours_options, ours) = sorted(
        target.made, key=lambda made: len(made[0]), reverse=True
    )
    assert (stock_options, ours_options) == ({"engine": "stock"}, {})
    assert stock.ran == [1] * 6
    # a batch to warm up, then one sample, and ten in batches of four, five times
    assert ours.ran == [4, *([1, 4, 4, 2] * 5)]
    assert [len(case.seconds) for case in cases] == [5, 5, 5]


def test_a_minibatch_is_as_large_as_what_is_measured():
    """NengoDL fills a minibatch up: one sample in a minibatch of four would cost four."""
    target = Target("nengo-dl")
    cases = compare(target)
    assert [case.deployment.batch_size for case in cases] == [1, 1, 4]


def test_ratios_are_to_upstream_and_of_medians():
    benchmark = script("benchmark")
    cases = [
        benchmark.Case("stock", 1, None, [2.0, 4.0, 9.0]),
        benchmark.Case("ours", 10, None, [1.0, 1.0, 7.0]),
    ]
    stock, ours = benchmark.rows("loihi", 64, 100, cases)
    assert (stock["rate"], stock["ratio"]) == (25.0, 1.0)
    assert (ours["rate"], ours["ratio"]) == (1000.0, 40.0)


def test_the_table_shows_rates_with_three_digits(monkeypatch, tmp_path):
    update = script("update_docs")
    row = {"target": "loihi", "order": 64, "steps": 834}
    result = {
        "rows": [
            {**row, "engine": "stock", "batch": 1, "rate": 195.4, "ratio": 1.0},
            {**row, "engine": "ours", "batch": 1000, "rate": 77012.4, "ratio": 394.1},
            {**row, "order": 256, "engine": "stock", "batch": 1, "rate": 95.44, "ratio": 1.0},
        ],
        "models": {"64": {"neurons": 212}, "256": {"neurons": 212}},
        "machine": {"processor": "abacus", "cores": 2, "memory": 2**34, "system": "Linux"},
        "versions": {"nengo": "4.1.0"},
        "command": ["scripts/benchmark"],
        "started": "2030-01-02T03:04:05Z",
        "threads": 1,
        "load": [0.1, 1.0],
        "finished": False,
    }
    folder = tmp_path / "docs/results/benchmark"
    folder.mkdir(parents=True)
    (folder / "abacus.json").write_text(json.dumps(result))
    monkeypatch.setattr(update, "ROOT", tmp_path)
    text = update.speeds()
    assert "| loihi | 64 | 212 | 195 | 77,000 (× 394) |" in text
    assert "| loihi | 256 | 212 | 95.4 | – |" in text
    assert "on 2030-01-02. abacus, 2 cores of which 1 was used, 16 GiB" in text
    assert "stopped before its end" in text
    assert "(results/benchmark/abacus.json)" in text


def test_the_range_over_machines(monkeypatch, tmp_path):
    update = script("update_docs")
    folder = tmp_path / "docs/results/benchmark"
    folder.mkdir(parents=True)
    for name, ratio in (("a", 290.4), ("b", 405.2)):
        row = {"target": "loihi", "order": 468, "engine": "ours", "batch": 256, "ratio": ratio}
        (folder / f"{name}.json").write_text(json.dumps({"rows": [row]}))
    monkeypatch.setattr(update, "ROOT", tmp_path)
    assert "290 to 405 times (`loihi`)" in update.ratios()
    assert "on the 2 machines of" in update.ratios()


def test_a_folder_gets_a_file_for_the_machine(tmp_path):
    done = run_benchmark("--quick", "--targets", "reference", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    benchmark = script("benchmark")
    assert path.name == f"{benchmark.machine_name(benchmark.machine())}.json"
    given = {"processor": "AMD EPYC (x)", "vectors": "avx2"}
    assert benchmark.machine_name(given) == "amd-epyc-x-avx2"

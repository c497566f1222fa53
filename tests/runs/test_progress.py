"""What the progress bar says of a run, whatever order and size its results come in."""

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from spiking_lmu.runs.progress import RichProgress, _SinceStart


def says(total, before, completed, elapsed, finished_time=None):
    task = SimpleNamespace(
        total=total,
        completed=completed,
        elapsed=elapsed,
        finished_time=finished_time,
        fields={"before": before},
    )
    return _SinceStart.render(None, task).plain


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ((100, 0, 0, 3.0), "starting"),
        ((100, 40, 40, 3.0), "starting"),
        ((100, 100, 100, 3.0), "finished earlier"),
        ((1000, 0, 128, 4.0), "32.0 samples/s, 0:28 left"),
        ((1000, 500, 600, 4.0), "25.0 samples/s, 0:16 left"),
        ((100, 0, 100, 50.0, 4.0), "25.0 samples/s"),
    ],
)
def test_speed_is_this_runs_and_over_all_of_it(task, text):
    assert says(*task) == text


def test_each_run_has_a_bar():
    shown = StringIO()
    with RichProgress(Console(file=shown, width=100)) as progress:
        progress.start("a · reference", 2, 10)
        progress.advance(8)
        progress.start("a · loihi", 0, 5)
    first, second = shown.getvalue().splitlines()[-2:]
    assert "a · reference" in first
    assert "10/10" in first
    assert "samples/s" in first
    assert "0/5" in second
    assert "starting" in second

"""What the progress bar says of a run, whatever order and size its results come in."""

from io import StringIO

import pytest
from rich.console import Console

from spiking_lmu.runs.progress import Progress, RichProgress, Silent, shown, speed_and_rest


@pytest.mark.parametrize(
    ("work", "text"),
    [
        ((0, 100, 3.0), "starting"),
        ((0, 60, 3.0), "starting"),
        ((0, 0, 3.0), "finished earlier"),
        ((128, 872, 4.0), "32.0 samples/s, 0:28 left"),
        ((100, 400, 4.0), "25.0 samples/s, 0:16 left"),
        ((100, 0, 4.0), "25.0 samples/s"),
        ((3, -3, 4.0), "0.8 samples/s"),
    ],
)
def test_speed_is_this_runs_and_over_all_of_it(work, text):
    assert speed_and_rest(*work, "samples") == text


def test_each_run_has_a_bar():
    drawn = StringIO()
    with RichProgress(Console(file=drawn, width=100)) as progress:
        progress.start("a · reference", 2, 10)
        progress.advance(8)
        progress.start("a · loihi", 0, 5, "images")
        progress.advance(5, "a · loihi, done")
    first, second = drawn.getvalue().splitlines()[-2:]
    assert "a · reference" in first
    assert "10/10" in first
    assert "samples/s" in first
    assert "a · loihi, done" in second
    assert "images/s" in second


def test_progress_can_be_silent_or_ones_own(capsys):
    own = Silent()
    with shown(own) as progress:
        assert progress is own
    with shown(False) as progress:
        assert isinstance(progress, Progress)
        progress.start("nothing", 0, 1)
        progress.advance(1)
    with shown(True) as progress:
        progress.start("something", 0, 1)
        progress.advance(1)
    out, err = capsys.readouterr()
    assert not out
    assert "nothing" not in err
    assert "something" in err


def test_a_notebook_without_ipywidgets_gets_bars_on_standard_error(monkeypatch, capsys):
    """And no output in its cell for every time that they move."""
    from spiking_lmu.runs import progress as module

    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as ipykernel does
    with shown(True) as progress:
        progress.start("something", 0, 1)
        progress.advance(1)
    out, err = capsys.readouterr()
    assert "something" in err
    assert "\x1b" not in err
    assert "ipywidgets" not in out + err
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    assert module._console().is_jupyter

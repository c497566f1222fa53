"""Progress of long work on the terminal: a bar, a rate and the time left."""

from __future__ import annotations

from math import ceil
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Work done a second since this run began."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.2f} {self._unit}/s")


def bars(console: Console, unit: str) -> Progress:
    """Bars with the share done, ``unit`` a second, and time left."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(compact=True),
        console=console,
        refresh_per_second=4,
        speed_estimate_period=60,
    )


class _SinceStart(ProgressColumn):
    """Samples a second and the time left, averaged over the whole run.

    Samples come a batch at a time, from several workers, so that the last few arrivals say
    little.
    """

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["before"]
        elapsed = task.elapsed if task.finished_time is None else task.finished_time
        left = (task.total or 0) - task.completed
        if not done or not elapsed:
            return Text("starting" if left else "finished earlier")
        speed = done / elapsed
        text = f"{speed:,.1f} samples/s"
        return Text(f"{text}, {_clock(left / speed)} left" if left else text)


def _clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are some.

    >>> _clock(75.2), _clock(7275)
    ('1:16', '2:01:15')
    """
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class RichProgress:
    """A bar for each run of :func:`spiking_lmu.analysis.comparison.compare`."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _SinceStart(),
            console=console,
            refresh_per_second=4,
        )
        self._task = self._bars.add_task("", visible=False, before=0)

    def __enter__(self) -> RichProgress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(self, label: str, done: int, total: int) -> None:
        """A new bar; samples that were finished earlier do not count towards the rate."""
        self._bars.stop_task(self._task)
        self._task = self._bars.add_task(label, total=total, completed=done, before=done)

    def advance(self, samples: int) -> None:
        """Move the newest bar."""
        self._bars.advance(self._task, samples)

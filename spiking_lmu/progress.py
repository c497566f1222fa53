"""Progress of long work on the terminal: a bar, a rate and the time left."""

from __future__ import annotations

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
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(compact=True),
        console=console,
        refresh_per_second=4,
        speed_estimate_period=60,
    )


class RichProgress:
    """A bar for each run of :func:`spiking_lmu.compare.compare`."""

    def __init__(self, console: Console) -> None:
        self._bars = bars(console, "samples")
        self._task = self._bars.add_task("", visible=False)

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
        self._task = self._bars.add_task(label, total=total, completed=done)

    def advance(self, samples: int) -> None:
        """Move the newest bar."""
        self._bars.advance(self._task, samples)

"""Progress of long work: one protocol, shown by rich in a terminal and in a notebook."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.console import Console


@runtime_checkable
class Progress(Protocol):
    """Told how far long work is; everything here that takes long tells one of these."""

    def start(self, label: str, done: int, total: int | None, unit: str = "samples") -> None:
        """Work begins, of which ``done`` of ``total`` units were finished earlier."""

    def advance(self, amount: int, label: str = "") -> None:
        """So many more units are finished; ``label``, if given, takes the place of the old."""


class Silent:
    """Says nothing."""

    def start(self, label: str, done: int, total: int | None, unit: str = "samples") -> None:
        """Nothing."""

    def advance(self, amount: int, label: str = "") -> None:
        """Nothing."""


def shown(progress: bool | Progress = True) -> AbstractContextManager[Progress]:
    """What is told of progress: bars on standard error or in the notebook, nobody, or ``progress``.

    >>> with shown(False) as progress:
    ...     progress.start("nothing to see", 0, 10)
    """
    if isinstance(progress, bool):
        return RichProgress() if progress else nullcontext(Silent())
    return nullcontext(progress)


def speed_and_rest(done: float, left: float, elapsed: float | None, unit: str) -> str:
    """Units a second and the time left, averaged over the whole run.

    Results come a batch at a time, from several workers, so that the last few arrivals say
    little.

    >>> speed_and_rest(128, 872, 4.0, "samples"), speed_and_rest(0, 10, 3.0, "samples")
    ('32.0 samples/s, 0:28 left', 'starting')
    """
    if not done or not elapsed:
        return "starting" if left else "finished earlier"
    speed = done / elapsed
    text = f"{speed:,.1f} {unit}/s"
    return f"{text}, {_clock(left / speed)} left" if left > 0 else text


def _clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are some.

    >>> _clock(75.2), _clock(7275)
    ('1:16', '2:01:15')
    """
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class RichProgress:
    """A bar for each piece of work.  A context manager.

    Parameters
    ----------
    console
        Where it is drawn: standard error, or the notebook's cell, if not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _speed_column(),
            console=console or _console(),
            refresh_per_second=4,
        )
        self._task: Any = None

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

    def start(self, label: str, done: int, total: int | None, unit: str = "samples") -> None:
        """A new bar; what was finished earlier does not count towards the speed."""
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._task = self._bars.add_task(label, total=total, completed=done, before=done, unit=unit)

    def advance(self, amount: int, label: str = "") -> None:
        """Move the newest bar."""
        if label:
            self._bars.update(self._task, description=label)
        self._bars.advance(self._task, amount)


def _console() -> Console:
    """Standard error, or a notebook's cell.

    Without ipywidgets rich cannot move a bar in a cell, and says so in each; then what it would
    write to a file is written to standard error: every bar, once, when all are done.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter and find_spec("ipywidgets") is None:
        # Or FORCE_COLOR, which ipykernel sets, makes it a terminal: four outputs a second.
        return Console(stderr=True, force_jupyter=False, force_terminal=False)
    return console


def _speed_column() -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            elapsed = task.elapsed if task.finished_time is None else task.finished_time
            done = task.completed - task.fields["before"]
            left = (task.total or 0) - task.completed
            return Text(speed_and_rest(done, left, elapsed, task.fields["unit"]))

    return Speed()

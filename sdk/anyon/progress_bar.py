"""Progress for people: a rich bar on stderr, for loads and transcriptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from anyon.progress import Progress, Report

_LABELS = {
    "download": "downloading",
    "verify": "checking",
    "convert": "converting",
    "wait": "waiting",
    "transcribe": "transcribing",
    "calibrate": "calibrating",
    "listen": "listening",
    "measure": "measuring layers",
    "write": "writing",
}


class _Amount(DownloadColumn):
    """Bytes as a download shows them, seconds of audio as minutes, whatever else as a count."""

    def render(self, task):  # type: ignore[no-untyped-def]
        from rich.text import Text

        if task.fields.get("unit") == "bytes":
            return super().render(task) if task.total else Text("")
        show = _minutes if task.fields.get("unit") == "seconds" else _whole
        done = show(task.completed)
        return Text(f"{done}/{show(task.total)}" if task.total else done)


class Bar:
    """A bar that follows reports; a new stage replaces the old one's line."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Amount(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID | None = None
        self._line = ("", "")

    def __call__(self, report: Progress) -> None:
        line = (report.stage, report.detail)
        if self._task is None or line != self._line:
            self._begin(report, line)
        assert self._task is not None
        self._rich.update(self._task, completed=report.done, total=report.total or None)

    def _begin(self, report: Progress, line: tuple[str, str]) -> None:
        if self._task is not None:
            self._rich.remove_task(self._task)
        label = _LABELS.get(report.stage, report.stage)
        name = report.detail if len(report.detail) <= 40 else "..." + report.detail[-37:]
        self._task = self._rich.add_task(f"{label} {name}", total=report.total or None, unit=report.unit)
        self._line = line
        self._rich.start()

    def close(self) -> None:
        self._rich.stop()


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar for the length of the block; it appears with the first report and leaves nothing behind."""
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()


def _whole(count: float | None) -> str:
    return str(int(count or 0))


def _minutes(seconds: float | None) -> str:
    whole = int(seconds or 0)
    return f"{whole // 60}:{whole % 60:02d}"

"""What `anyon transcribe` says on stderr while it works: a bar for people, JSON lines for programs, or nothing."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

import click

from anyon.progress import Progress

if TYPE_CHECKING:
    from anyon.results import Segment, Transcript
    from anyon.whisper import WhisperModel

_MIN_SECONDS_BETWEEN_LINES = 0.1


class Reporter(Protocol):
    def progress(self, report: Progress) -> None: ...

    def loaded(self, model: WhisperModel, seconds: float) -> None: ...

    def started(self, file: str) -> None: ...

    def segment(self, file: str, segment: Segment) -> None: ...

    def text(self, line: str) -> None:
        """Prints a line of the transcript on stdout."""

    def finished(self, file: str, transcript: Transcript, outputs: list[str], interrupted: bool) -> None: ...

    def failed(self, file: str, error: Exception) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """One JSON object per line on stderr: event load, loaded, start, progress, segment, done, interrupted or error."""

    def __init__(self) -> None:
        self._last = 0.0
        self._stage = ""
        self._file = ""

    def progress(self, report: Progress) -> None:
        now = time.monotonic()
        ended = report.total > 0 and report.done >= report.total
        if report.stage == self._stage and not ended and now - self._last < _MIN_SECONDS_BETWEEN_LINES:
            return
        self._last, self._stage = now, report.stage
        amount = {"done": round(report.done, 3), "total": round(report.total, 3), "unit": report.unit}
        if report.stage == "transcribe":
            _line("progress", file=self._file, **amount)
        else:
            _line("load", stage=report.stage, detail=report.detail, **amount)

    def loaded(self, model: WhisperModel, seconds: float) -> None:
        info = model.info
        placement = [place.to_dict() for place in model.placement]
        _line("loaded", model=info["name"], source=info["source"], seconds=round(seconds, 4), placement=placement)

    def started(self, file: str) -> None:
        self._file = file
        _line("start", file=file)

    def segment(self, file: str, segment: Segment) -> None:
        _line("segment", file=file, id=segment.id, start=segment.start, end=segment.end, text=segment.text)

    def text(self, line: str) -> None:
        print(line, flush=True)

    def finished(self, file: str, transcript: Transcript, outputs: list[str], interrupted: bool) -> None:
        _line(
            "interrupted" if interrupted else "done",
            file=file,
            language=transcript.language,
            duration=transcript.duration,
            timings=transcript.timings,
            outputs=outputs,
        )

    def failed(self, file: str, error: Exception) -> None:
        _line("error", file=file, error=type(error).__name__, message=str(error))

    def close(self) -> None:
        pass


class Terminal:
    """A bar where stderr is a terminal; otherwise notes and errors only. `verbose` tells the placement too."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._to_terminal = sys.stdout.isatty()
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from anyon.progress_bar import Bar

            self._bar = Bar()

    def progress(self, report: Progress) -> None:
        if self._bar is not None:
            self._bar(report)

    def loaded(self, model: WhisperModel, seconds: float) -> None:
        origin = model.info["origin"]
        if origin.get("note"):
            self._note(f"model: {origin['note']}")
        if self._verbose:
            self._note(f"model: {model.info['name']} loaded in {seconds * 1000:.1f} ms from {model.info['bundle']}")
            for place in model.placement:
                self._note(f"placement: {place}, {model.threads} threads")

    def started(self, file: str) -> None:
        pass

    def segment(self, file: str, segment: Segment) -> None:
        pass

    def text(self, line: str) -> None:
        if self._bar is not None and self._to_terminal:
            # Above the bar, not through it.
            self._bar.console.print(line, soft_wrap=True, markup=False, highlight=False)
        else:
            print(line, flush=True)

    def finished(self, file: str, transcript: Transcript, outputs: list[str], interrupted: bool) -> None:
        spent = transcript.timings.get("total", 0.0)
        if interrupted:
            self._note(f"{file}: interrupted: what was finished is kept")
        for output in outputs:
            self._note(f"wrote {output}")
        if self._verbose or self._bar is not None:
            speed = f", {transcript.duration / spent:.1f} times real time" if spent else ""
            language = f", language {transcript.language}" if transcript.language else ""
            self._note(f"{file}: {transcript.duration:.1f} s of audio in {spent:.2f} s{speed}{language}")

    def failed(self, file: str, error: Exception) -> None:
        self._say(f"error: {error}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _note(self, line: str) -> None:
        if not self._quiet:
            self._say(line)

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, soft_wrap=True, markup=False, highlight=False, style="dim")
        else:
            click.echo(line, err=True)


def _line(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}, ensure_ascii=False), file=sys.stderr, flush=True)

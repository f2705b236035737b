"""One running transcription: an iterator of segments that decodes audio, feeds the runtime, and can be cancelled."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from anyon import _native
from anyon.audio import AudioStream, Samples
from anyon.engines import Engine, EngineRack
from anyon.errors import AnyonError, InterruptedTranscription, translated
from anyon.placement import Placement
from anyon.progress import Progress, Report
from anyon.results import Segment, Transcript, join_text

_SECONDS = ("mel", "encoder", "decoder", "align")
_COUNTS = ("windows", "fallbacks", "tokens")


class Transcription(Iterator[Segment]):
    """Segments as soon as each is final; `result()` gives the whole transcript.

    Belongs to one thread at a time, except `cancel`, `progress` and `segments`. Leaving the loop early is fine: `close`
    (or the end of a `with` block, or garbage collection) gives the engine back.

    While iterating: AudioError where the recording is damaged, CancelledError after `cancel`, and
    InterruptedTranscription, a KeyboardInterrupt, at Ctrl-C. Each carries the finished segments as `transcript`.
    """

    def __init__(
        self,
        model: _native.WhisperModel,
        rack: EngineRack,
        audio: AudioStream,
        options: dict[str, Any],
        placement: list[Placement],
        report: Report,
    ) -> None:
        self.placement = placement
        self.segments: list[Segment] = []
        """What is final so far."""
        self._audio = audio
        self._report = report
        self._word_timestamps = bool(options.get("word_timestamps", False))
        self._ready: deque[Segment] = deque()
        self._chunks: Iterator[Samples] | None = None
        self._finished = False
        self._seconds = {"total": 0.0, "audio": 0.0}
        # Reentrant: garbage collection may close another transcription, or this one, at any point.
        self._lock = threading.RLock()
        self._native: _native.Transcriber | None = None
        self._final: dict[str, Any] | None = None
        self._rack = rack
        self._engine: Engine | None = rack.take()
        try:
            sessions = self._engine.sessions
            with translated():
                self._native = _native.Transcriber(
                    model, sessions["encoder"], sessions["decoder"], self._engine.pool, options
                )
        except BaseException:
            self.close()
            raise

    @property
    def language(self) -> str:
        """The language's code; "" until the first window was heard."""
        return str(self._fact("language", ""))

    @property
    def language_probability(self) -> float | None:
        """How sure the detection was; None when nothing had to be detected, or nothing was heard yet."""
        if not self._fact("info", {}).get("language_probabilities"):
            return None
        return float(self._fact("language_probability", 0.0))

    @property
    def duration(self) -> float:
        """Seconds of the recording read so far; all of it once the transcription is over."""
        return float(self._fact("duration", 0.0))

    @property
    def progress(self) -> float:
        """Seconds of the recording that are transcribed."""
        return float(self._fact("progress", 0.0))

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by part of the work ("total", "audio", "mel", "encoder", "decoder", "align") and counts of it."""
        info = self._fact("info", {})
        timings = dict(self._seconds)
        timings.update({name: float(info.get(f"{name}_seconds", 0.0)) for name in _SECONDS})
        timings.update({name: float(info.get(name, 0)) for name in _COUNTS})
        return timings

    def cancel(self) -> None:
        """Ends the transcription within one token; any thread may call it."""
        with self._lock:
            if self._native is not None:
                self._native.cancel()

    def result(self) -> Transcript:
        """Runs to the end and returns everything."""
        for _ in self:
            pass
        return self.transcript()

    def transcript(self) -> Transcript:
        """What is final so far, as a transcript."""
        return Transcript(
            text=join_text(self.segments),
            language=self.language,
            segments=list(self.segments),
            duration=self.duration,
            placement=list(self.placement),
            timings=self.timings,
            language_probability=self.language_probability,
        )

    def close(self) -> None:
        """Gives the engine back. Calling it again does nothing."""
        with self._lock:
            native, self._native = self._native, None
            engine, self._engine = self._engine, None
        if native is not None:
            self._final = _facts(native)
        self._audio.close()
        # The transcriber uses the engine's sessions until it is gone.
        del native
        if engine is not None:
            self._rack.give_back(engine)

    def __next__(self) -> Segment:
        while not self._ready:
            if self._native is None:
                raise StopIteration
            self._advance()
        return self._ready.popleft()

    def __enter__(self) -> Transcription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_engine", None) is not None:
            # At the interpreter's end what close needs may be gone already.
            with suppress(Exception):
                self.close()

    def _advance(self) -> None:
        """One step of the runtime, and one chunk of audio where it asks for more."""
        started = time.perf_counter()
        try:
            raw = self._step()
        except KeyboardInterrupt as error:
            self._stop(started)
            raise InterruptedTranscription(self.transcript()) from error
        except BaseException as error:
            self._stop(started)
            if isinstance(error, AnyonError):
                error.transcript = self.transcript()
            raise
        if raw is None:
            self._stop(started)
        else:
            self._seconds["total"] += time.perf_counter() - started
        for item in raw or ():
            segment = Segment.from_native(item, self._word_timestamps)
            self.segments.append(segment)
            self._ready.append(segment)
        self._report(Progress("transcribe", self.progress, self._audio.duration or 0.0, "seconds", self._audio.name))

    def _step(self) -> list[dict[str, Any]] | None:
        assert self._native is not None
        with translated():
            raw = self._native.step()
            if raw is not None and not raw:
                self._feed(self._native)
        return raw

    def _feed(self, native: _native.Transcriber) -> None:
        started = time.perf_counter()
        if self._chunks is None:
            self._chunks = iter(self._audio)
        chunk = next(self._chunks, None)
        if chunk is not None:
            native.push(chunk, self._audio.rate)
        elif not self._finished:
            native.finish()
            self._finished = True
        self._seconds["audio"] += time.perf_counter() - started

    def _stop(self, started: float) -> None:
        self._seconds["total"] += time.perf_counter() - started
        self.close()

    def _fact(self, name: str, default: Any) -> Any:
        with self._lock:
            native = self._native
        if native is not None:
            return getattr(native, name)
        return (self._final or {}).get(name, default)


def _facts(native: _native.Transcriber) -> dict[str, Any]:
    """What is still asked for when the runtime's object is gone."""
    return {
        name: getattr(native, name) for name in ("language", "language_probability", "duration", "progress", "info")
    }

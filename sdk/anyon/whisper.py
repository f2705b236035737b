"""Whisper: speech to text."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, overload

from anyon import _native
from anyon.audio import open_audio
from anyon.engines import Engine, EngineRack, engine_maker
from anyon.errors import BundleError, translated
from anyon.options import native_options
from anyon.placement import Placement
from anyon.progress import Report, silent
from anyon.results import Transcript
from anyon.transcription import Transcription

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from anyon.bundle import Bundle
    from anyon.options import TranscribeOptions
    from anyon.selection import EngineOptions

# Engines kept for the next transcription; more are made while more run at once.
_KEPT_ENGINES = max(2, os.cpu_count() or 1)


class WhisperModel:
    """A Whisper that is loaded: immutable, shared by any number of threads. Made by `anyon.load`."""

    def __init__(
        self,
        bundle: Bundle,
        options: EngineOptions,
        *,
        origin: Mapping[str, Any],
    ) -> None:
        self._bundle = bundle
        self._origin = dict(origin)
        self.threads = options.threads
        missing = [program for program in ("encoder", "decoder") if program not in bundle.programs]
        if missing:
            raise BundleError(
                f"{bundle.path}: has no program {' and no '.join(missing)} (convert the checkpoint again)"
            )
        with translated():
            self._model = _native.WhisperModel(bundle.native)
        make, first, self._placement = engine_maker(bundle, options)
        self._rack = EngineRack(make, _KEPT_ENGINES)
        self._rack.give_back(first)
        self._running: weakref.WeakSet[Transcription] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def placement(self) -> list[Placement]:
        """Which backend, device, ISA and precision run each program, and why."""
        return list(self._placement)

    @property
    def info(self) -> dict[str, Any]:
        """What was loaded: name, family, source with sha256 and licence, recipe, the bundle's path and size."""
        manifest = self._bundle.manifest
        return {
            "name": manifest.get("name", ""),
            "family": self._bundle.family,
            "task": manifest.get("task", ""),
            "recipe": self._bundle.recipe,
            "source": dict(manifest.get("source", {})),
            "origin": dict(self._origin),
            "bundle": str(self._bundle.path),
            "bytes": self._bundle.native.file_bytes,
            "threads": self.threads,
        }

    @property
    def multilingual(self) -> bool:
        return bool(self._model.languages)

    @property
    def languages(self) -> list[str]:
        """Codes of the languages the model knows; an English-only model knows "en"."""
        return list(self._model.languages) or ["en"]

    @overload
    def transcribe(
        self,
        audio: Any,
        *,
        stream: Literal[False] = ...,
        sampling_rate: int | None = ...,
        allow_incomplete: bool = ...,
        progress: Report | None = ...,
        **options: Unpack[TranscribeOptions],
    ) -> Transcript: ...

    @overload
    def transcribe(
        self,
        audio: Any,
        *,
        stream: Literal[True],
        sampling_rate: int | None = ...,
        allow_incomplete: bool = ...,
        progress: Report | None = ...,
        **options: Unpack[TranscribeOptions],
    ) -> Transcription: ...

    def transcribe(self, audio: Any, *, stream: bool = False, **options: Any) -> Transcript | Transcription:
        """Turns speech into text.

        audio: a path, the bytes of a file, an open binary file, or samples in an array of any rate and channel count
            (`anyon.audio` has the rules). Any container that FFmpeg reads.
        stream: True returns what `transcribe_iter` returns.
        sampling_rate: hertz of an array (16000 unless given); files state their own.
        allow_incomplete: True reads a file that broke off as far as it goes.
        progress: called with `anyon.Progress` reports.
        options: the names of openai-whisper's transcribe, faster-whisper's spellings too: language, task, temperature,
            beam_size, initial_prompt, word_timestamps, ...; `anyon.TranscribeOptions` lists all with their types.

        Raises AudioError for what is not sound, OptionError for an option that is unknown or does not fit this model,
        CancelledError after `cancel`, InterruptedTranscription (a KeyboardInterrupt) at Ctrl-C; the last two, and an
        AudioError in the middle of a recording, carry what was finished as `transcript`.
        """
        transcription = self.transcribe_iter(audio, **options)
        return transcription if stream else transcription.result()

    def transcribe_iter(
        self,
        audio: Any,
        *,
        sampling_rate: int | None = None,
        allow_incomplete: bool = False,
        progress: Report | None = None,
        sample_rate: int | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> Transcription:
        """Like `transcribe`, but returns an iterator that yields each segment as soon as it is final.

        Arguments and the start of the recording are checked here, before the first segment is asked for.
        `sample_rate` is another spelling of `sampling_rate`.
        """
        native = native_options(options)
        rate = sampling_rate if sampling_rate is not None else sample_rate
        stream = open_audio(audio, sampling_rate=rate, allow_incomplete=allow_incomplete)
        try:
            transcription = Transcription(self._model, self._rack, stream, native, self._placement, progress or silent)
        except BaseException:
            stream.close()
            raise
        with self._lock:
            self._running.add(transcription)
        return transcription

    @contextmanager
    def lent_engine(self) -> Iterator[Engine]:
        """The engine that the next transcription will use, for measuring it."""
        engine = self._rack.take()
        try:
            yield engine
        finally:
            self._rack.give_back(engine)

    def cancel(self) -> None:
        """Ends every transcription that is running on this model within one token; any thread may call it."""
        with self._lock:
            running = list(self._running)
        for transcription in running:
            transcription.cancel()

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, as `initial_prompt` and `suppress_tokens` take them."""
        with translated():
            return self._model.encode(text)

    def decode(self, ids: list[int]) -> str:
        """The text of token ids; bytes that are no UTF-8 become U+FFFD."""
        with translated():
            return self._model.decode(ids).decode("utf-8", errors="replace")

    def __repr__(self) -> str:
        engines = ", ".join(f"{place.program} on {place.backend}" for place in self._placement)
        return f"<WhisperModel {self._bundle.manifest.get('name', '')} ({self._bundle.recipe}): {engines}>"

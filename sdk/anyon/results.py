"""What a transcription returns; field names are those of openai-whisper and faster-whisper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anyon.placement import Placement


@dataclass(frozen=True, slots=True)
class Word:
    """One word with the punctuation that belongs to it; a leading space is part of `word`."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech; times are seconds on the clock of the recording."""

    id: int
    seek: int
    """First frame (10 ms each) of the window that held the segment."""
    start: float
    end: float
    text: str
    tokens: list[int]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[Word] | None
    """None unless `word_timestamps` was asked for."""
    temperature: float

    @classmethod
    def from_native(cls, raw: Mapping[str, Any], word_timestamps: bool) -> Segment:
        """A segment from the dictionary that the runtime returns."""
        words = [Word(w["start"], w["end"], w["word"], w["probability"]) for w in raw.get("words") or ()]
        return cls(
            id=raw["id"],
            seek=raw["seek"],
            start=raw["start"],
            end=raw["end"],
            text=raw["text"],
            tokens=list(raw["tokens"]),
            avg_logprob=raw["avg_logprob"],
            compression_ratio=raw["compression_ratio"],
            no_speech_prob=raw["no_speech_prob"],
            words=words if word_timestamps else None,
            temperature=raw["temperature"],
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a recording.

    `language` is a code such as "en", empty when nothing was heard that tells. `duration` is in seconds.
    `timings` are seconds spent, by part of the work, and counts of what was done.
    """

    text: str
    language: str
    segments: list[Segment]
    duration: float
    placement: list[Placement] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    language_probability: float | None = None
    """How sure the language detection was; None when nothing had to be detected."""

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dictionaries, strings and numbers, ready for JSON."""
        return asdict(self)

    def save(self, path: str | Path, *, format: str | None = None, **options: Any) -> Path:
        """Writes the transcript; the format follows the file's extension unless it is given.

        Formats and options: see `anyon.writers`. The file appears whole or not at all.
        """
        from anyon.writers import write

        return write(self, path, format=format, **options)

    def __str__(self) -> str:
        return self.text


def join_text(segments: Sequence[Segment]) -> str:
    """The running text: segments carry their own leading spaces."""
    return "".join(segment.text for segment in segments).strip()

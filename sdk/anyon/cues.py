"""How segments become subtitle cues: whole segments, lines of limited width, or single words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anyon.errors import OptionError
from anyon.results import Segment, Transcript, Word


@dataclass(frozen=True, slots=True)
class Layout:
    """What a subtitle should look like; everything but the default needs word timestamps."""

    words: bool = False
    """One cue (row, timed tag) for each word."""
    highlight_words: bool = False
    """Repeat each cue once per word, with the word being spoken underlined (srt, vtt)."""
    max_line_width: int | None = None
    """Characters in a line."""
    max_line_count: int | None = None
    """Lines in a cue."""
    max_words_per_line: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_line_width", "max_line_count", "max_words_per_line"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise OptionError(f"{name}={value!r}: expected a whole number of at least 1, or None")

    @property
    def splits(self) -> bool:
        """Whether lines are made from words rather than from whole segments."""
        limits = (self.max_line_width, self.max_line_count, self.max_words_per_line)
        return self.words or any(limit is not None for limit in limits)

    @property
    def needs_words(self) -> bool:
        return self.splits or self.highlight_words


@dataclass(frozen=True, slots=True)
class Cue:
    """A stretch of time and the lines shown in it; `words` only where the layout works with words."""

    start: float
    end: float
    lines: list[list[Word]] | None
    text: str
    """The lines' text, one per line."""


def one_line(text: str) -> str:
    """The text without line breaks, tabs and doubled spaces: what every line-based format needs."""
    return " ".join(text.split())


def cues(transcript: Transcript, layout: Layout) -> Iterator[Cue]:
    """The cues of a transcript in order. Raises OptionError when the layout needs words that are not there."""
    for segment in transcript.segments:
        if not segment.text.strip():
            continue
        if not layout.needs_words:
            yield Cue(segment.start, max(segment.start, segment.end), None, one_line(segment.text))
            continue
        lines = _lines(_words_of(segment), layout)
        per_cue = layout.max_line_count or (1 if layout.words or layout.max_words_per_line else len(lines))
        for first in range(0, len(lines), per_cue):
            chosen = lines[first : first + per_cue]
            text = "\n".join(one_line("".join(word.word for word in line)) for line in chosen)
            yield Cue(chosen[0][0].start, chosen[-1][-1].end, chosen, text)


def _words_of(segment: Segment) -> Sequence[Word]:
    if segment.words is None:
        raise OptionError(
            "this subtitle layout is made from words, and the transcript has none "
            "(transcribe with word_timestamps=True, or on the command line with --word-timestamps)"
        )
    if segment.words:
        return segment.words
    return [Word(segment.start, segment.end, segment.text, 0.0)]


def _lines(words: Sequence[Word], layout: Layout) -> list[list[Word]]:
    """Fills lines word by word; a word wider than a line gets one of its own."""
    max_words = 1 if layout.words else layout.max_words_per_line
    lines: list[list[Word]] = []
    width = 0
    for word in words:
        size = len(word.word.strip())
        joined = width + len(word.word)
        full = not lines or (max_words is not None and len(lines[-1]) >= max_words)
        too_wide = layout.max_line_width is not None and joined > layout.max_line_width
        if full or too_wide:
            lines.append([word])
            width = size
        else:
            lines[-1].append(word)
            width = joined
    return lines

"""Transcripts as files: txt, srt, vtt, tsv, json, lrc. UTF-8, "\\n" line ends, written whole or not at all.

srt   SubRip: times "HH:MM:SS,mmm".
vtt   WebVTT (https://www.w3.org/TR/webvtt1/): times "HH:MM:SS.mmm"; & < > are escaped.
tsv   start, end (whole milliseconds) and text with a header line, as openai-whisper writes it.
lrc   lyrics: "[mm:ss.xx]text"; with `words`, a time before every word as well (enhanced LRC).
json  Transcript.to_dict().
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from anyon import atomic
from anyon.cues import Cue, Layout, cues, one_line
from anyon.errors import OptionError, OutputError
from anyon.results import Transcript, Word


def format_time(seconds: float, *, decimal: str = ".") -> str:
    """ "HH:MM:SS.mmm"; hours grow past two digits rather than wrap. Negative times count as 0."""
    milliseconds = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, fraction = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{decimal}{fraction:03d}"


def _format_lrc_time(seconds: float) -> str:
    hundredths = max(0, round(seconds * 100))
    minutes, hundredths = divmod(hundredths, 6000)
    return f"{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}"


def to_txt(transcript: Transcript, layout: Layout) -> str:
    if layout.needs_words:
        raise OptionError("txt has no times: word-level layout is for srt, vtt, tsv and lrc")
    return "".join(f"{cue.text}\n" for cue in cues(transcript, layout))


def to_srt(transcript: Transcript, layout: Layout) -> str:
    # SubRip has no escape; an arrow in the text would be read as a time line.
    blocks = []
    for number, (start, end, text) in enumerate(_shown(transcript, layout, _escape_srt), start=1):
        times = f"{format_time(start, decimal=',')} --> {format_time(end, decimal=',')}"
        blocks.append(f"{number}\n{times}\n{text}\n\n")
    return "".join(blocks)


def to_vtt(transcript: Transcript, layout: Layout) -> str:
    blocks = ["WEBVTT\n\n"]
    for start, end, text in _shown(transcript, layout, _escape_vtt):
        blocks.append(f"{format_time(start)} --> {format_time(end)}\n{text}\n\n")
    return "".join(blocks)


def to_tsv(transcript: Transcript, layout: Layout) -> str:
    if layout.highlight_words:
        raise OptionError("highlight_words: tsv cannot underline (use srt or vtt)")
    rows = ["start\tend\ttext\n"]
    for cue in cues(transcript, layout):
        rows.append(f"{round(cue.start * 1000)}\t{round(cue.end * 1000)}\t{one_line(cue.text)}\n")
    return "".join(rows)


def to_lrc(transcript: Transcript, layout: Layout) -> str:
    if layout.highlight_words:
        raise OptionError("highlight_words: lrc cannot underline (use srt or vtt, or words for timed words)")
    rows = ["[re:anyon]\n"]
    # Timed words stand inside their segment's line, so words alone does not split the lines.
    inline = layout.words
    lines = Layout(max_line_width=layout.max_line_width or 1_000_000) if inline else layout
    for cue in cues(transcript, lines):
        if inline and cue.lines is not None:
            text = "".join(f"<{_format_lrc_time(w.start)}> {one_line(w.word)} " for line in cue.lines for w in line)
        else:
            text = one_line(cue.text)
        rows.append(f"[{_format_lrc_time(cue.start)}]{text.strip()}\n")
    return "".join(rows)


def to_json(transcript: Transcript, layout: Layout) -> str:
    if layout.needs_words:
        raise OptionError("json holds every word already: subtitle layout options are for srt, vtt, tsv and lrc")
    return json.dumps(_finite(transcript.to_dict()), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Transcript, Layout], str]] = {
    "txt": to_txt,
    "srt": to_srt,
    "vtt": to_vtt,
    "tsv": to_tsv,
    "json": to_json,
    "lrc": to_lrc,
}


def render(transcript: Transcript, format: str, **layout: Any) -> str:
    """The text of a file in `format`; `layout` are the fields of `anyon.cues.Layout`."""
    writer = FORMATS.get(format)
    if writer is None:
        raise OptionError(f"output format {format!r}: expected one of {', '.join(FORMATS)}")
    try:
        chosen = Layout(**layout)
    except TypeError:
        names = ", ".join(Layout.__dataclass_fields__)
        raise OptionError(f"unknown layout option among {', '.join(layout)}: expected {names}") from None
    return writer(transcript, chosen)


def write(transcript: Transcript, path: str | Path, *, format: str | None = None, **layout: Any) -> Path:
    """Writes the transcript and returns the path; the format follows the extension unless it is given.

    Raises OptionError for a format or layout that is not ours, OutputError when the file cannot be written;
    then nothing is left behind and an older file keeps its content.
    """
    path = Path(path)
    text = render(transcript, format or path.suffix[1:].lower(), **layout)
    try:
        atomic.write_bytes(path, text.encode("utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot write the transcript: {reason} (choose another folder)") from error
    return path


def _shown(transcript: Transcript, layout: Layout, escape: Callable[[str], str]) -> Iterator[tuple[float, float, str]]:
    for cue in cues(transcript, layout):
        if layout.highlight_words:
            yield from _highlighted(cue, escape)
        else:
            yield cue.start, cue.end, "\n".join(escape(line) for line in cue.text.split("\n"))


def _highlighted(cue: Cue, escape: Callable[[str], str]) -> Iterator[tuple[float, float, str]]:
    """The cue once for each word, that word underlined, and once plain for each pause between words."""
    spoken = [word for line in cue.lines or [] for word in line]
    clock = cue.start
    for word in spoken:
        if word.start > clock:
            yield clock, word.start, _underlined(cue, None, escape)
        yield max(clock, word.start), max(clock, word.end), _underlined(cue, word, escape)
        clock = max(clock, word.end)


def _underlined(cue: Cue, marked: Word | None, escape: Callable[[str], str]) -> str:
    lines = []
    for line in cue.lines or []:
        parts = []
        for word in line:
            text = escape(word.word)
            core = text.strip()
            parts.append(text.replace(core, f"<u>{core}</u>") if word is marked and core else text)
        lines.append(one_line("".join(parts)))
    return "\n".join(lines)


def _escape_srt(text: str) -> str:
    return text.replace("-->", "->")


def _escape_vtt(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _finite(value: Any) -> Any:
    """NaN and infinities have no place in JSON; they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value

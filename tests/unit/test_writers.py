"""Transcripts as files: exact text of every format, escapes, layouts made of words, and writing all or nothing."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anyon
from anyon.results import Segment, Transcript, Word
from anyon.writers import FORMATS, format_time, render, write


def segment(start: float, end: float, text: str, words: list[Word] | None = None, **fields: Any) -> Segment:
    values: dict[str, Any] = {
        "id": 0,
        "seek": 0,
        "tokens": [1, 2],
        "avg_logprob": -0.25,
        "compression_ratio": 1.5,
        "no_speech_prob": 0.01,
        "temperature": 0.0,
    }
    return Segment(start=start, end=end, text=text, words=words, **{**values, **fields})


def words(*rows: tuple[float, float, str]) -> list[Word]:
    return [Word(start, end, word, 0.9) for start, end, word in rows]


def transcript(*segments: Segment) -> Transcript:
    return Transcript(anyon.results.join_text(segments), "en", list(segments), 70.0)


PLAIN = transcript(
    segment(0.0, 2.5, " It was the best of times,"), segment(59.9996, 3661.2345, " the worst\nof\ttimes.")
)
SPOKEN = transcript(
    segment(1.0, 3.0, " One two three.", words((1.0, 1.4, " One"), (1.4, 2.0, " two"), (2.5, 3.0, " three.")))
)


def test_txt_is_one_line_for_each_segment() -> None:
    assert render(PLAIN, "txt") == "It was the best of times,\nthe worst of times.\n"


def test_srt_numbers_cues_and_carries_rounded_milliseconds_into_hours() -> None:
    assert render(PLAIN, "srt") == (
        "1\n00:00:00,000 --> 00:00:02,500\nIt was the best of times,\n\n"
        "2\n00:01:00,000 --> 01:01:01,234\nthe worst of times.\n\n"
    )


def test_vtt_has_its_header_and_points_in_times() -> None:
    assert render(PLAIN, "vtt") == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:02.500\nIt was the best of times,\n\n"
        "00:01:00.000 --> 01:01:01.234\nthe worst of times.\n\n"
    )


def test_tsv_has_a_header_whole_milliseconds_and_no_tab_in_the_text() -> None:
    assert render(PLAIN, "tsv") == (
        "start\tend\ttext\n0\t2500\tIt was the best of times,\n60000\t3661234\tthe worst of times.\n"
    )


def test_lrc_counts_minutes_past_the_hour() -> None:
    late = transcript(segment(0.125, 1, " a"), segment(6001.239, 6002, " b"))
    assert render(late, "lrc") == "[re:anyon]\n[00:00.12]a\n[100:01.24]b\n"


def test_json_is_the_transcript_and_nan_becomes_null() -> None:
    text = render(transcript(segment(0, 1, " naïve 日本", avg_logprob=float("nan"))), "json")
    assert "naïve 日本" in text
    stored = json.loads(text)
    assert stored["segments"][0]["avg_logprob"] is None
    assert list(stored) == ["text", "language", "segments", "duration", "placement", "timings", "language_probability"]
    assert list(stored["segments"][0]) == [
        "id", "seek", "start", "end", "text", "tokens", "avg_logprob", "compression_ratio", "no_speech_prob", "words",
        "temperature",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("format", "expected"),
    [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n\n"), ("tsv", "start\tend\ttext\n"), ("lrc", "[re:anyon]\n")],
)
def test_silence_is_a_valid_file_without_cues(format: str, expected: str) -> None:
    assert render(transcript(), format) == expected
    assert render(transcript(segment(0, 30, "  ")), format) == expected


def test_vtt_escapes_what_would_be_markup_or_an_arrow() -> None:
    tricky = transcript(segment(0, 1, " <b>Q&A</b> --> done"))
    assert "&lt;b&gt;Q&amp;A&lt;/b&gt; --&gt; done\n" in render(tricky, "vtt")


def test_srt_keeps_no_arrow_in_the_text() -> None:
    tricky = transcript(segment(0, 1, " a --> b\r\n\r\nc"))
    assert render(tricky, "srt") == "1\n00:00:00,000 --> 00:00:01,000\na -> b c\n\n"


def test_a_segment_that_ends_before_it_starts_does_not_run_backwards() -> None:
    assert "00:00:02,000 --> 00:00:02,000" in render(transcript(segment(2, 1, " x")), "srt")


def test_words_make_a_cue_each() -> None:
    assert render(SPOKEN, "srt", words=True) == (
        "1\n00:00:01,000 --> 00:00:01,400\nOne\n\n"
        "2\n00:00:01,400 --> 00:00:02,000\ntwo\n\n"
        "3\n00:00:02,500 --> 00:00:03,000\nthree.\n\n"
    )
    assert render(SPOKEN, "tsv", words=True).splitlines()[2] == "1400\t2000\ttwo"


def test_lrc_words_stand_inside_their_line() -> None:
    expected = "[re:anyon]\n[00:01.00]<00:01.00> One <00:01.40> two <00:02.50> three.\n"
    assert render(SPOKEN, "lrc", words=True) == expected


def test_highlighting_underlines_the_word_and_shows_the_pause_plain() -> None:
    assert render(SPOKEN, "vtt", highlight_words=True) == (
        "WEBVTT\n\n"
        "00:00:01.000 --> 00:00:01.400\n<u>One</u> two three.\n\n"
        "00:00:01.400 --> 00:00:02.000\nOne <u>two</u> three.\n\n"
        "00:00:02.000 --> 00:00:02.500\nOne two three.\n\n"
        "00:00:02.500 --> 00:00:03.000\nOne two <u>three.</u>\n\n"
    )


def test_lines_are_filled_to_their_width_and_cues_to_their_line_count() -> None:
    text = words((0, 1, " aaaa"), (1, 2, " bbbb"), (2, 3, " cccc"), (3, 4, " overlongword"), (4, 5, " dd"))
    long = transcript(segment(0, 5, " aaaa bbbb cccc overlongword dd", text))
    assert render(long, "srt", max_line_width=9, max_line_count=2) == (
        "1\n00:00:00,000 --> 00:00:03,000\naaaa bbbb\ncccc\n\n2\n00:00:03,000 --> 00:00:05,000\noverlongword\ndd\n\n"
    )
    assert render(long, "srt", max_words_per_line=3).startswith(
        "1\n00:00:00,000 --> 00:00:03,000\naaaa bbbb cccc\n\n2\n"
    )
    assert render(long, "srt", max_line_width=9).count("-->") == 1


def test_a_word_layout_without_words_says_how_to_get_them() -> None:
    with pytest.raises(anyon.OptionError, match="word_timestamps=True"):
        render(PLAIN, "srt", words=True)


@pytest.mark.parametrize(
    ("format", "layout"),
    [("txt", {"words": True}), ("json", {"max_line_width": 3}), ("tsv", {"highlight_words": True}), ("xml", {}),
     ("srt", {"max_line_width": 0}), ("srt", {"max_words": 3}), ("srt", {"max_line_count": True})],
)  # fmt: skip
def test_what_a_format_cannot_do_is_refused(format: str, layout: dict[str, Any]) -> None:
    with pytest.raises(anyon.OptionError):
        render(SPOKEN, format, **layout)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_times_never_go_backwards_and_never_show_sixty_seconds(first: float, second: float) -> None:
    early, late = sorted((first, second))
    assert format_time(early) <= format_time(late) or len(format_time(early)) < len(format_time(late))
    _, minutes, seconds = format_time(late).split(":")
    assert int(minutes) < 60
    assert float(seconds) < 60


@given(st.text(max_size=60))
def test_no_text_breaks_the_line_structure(text: str) -> None:
    one = transcript(segment(0, 1, text))
    shown = bool(text.strip())
    assert len(render(one, "tsv").splitlines()) == 1 + shown
    assert render(one, "srt").count(" --> ") == shown
    assert render(one, "vtt").count("-->") == shown
    assert json.loads(render(one, "json"))["segments"][0]["text"] == text


def test_the_format_follows_the_extension(tmp_path: Path) -> None:
    assert PLAIN.save(tmp_path / "talk.SRT").read_text(encoding="utf-8").startswith("1\n")
    assert PLAIN.save(tmp_path / "talk.out", format="vtt").read_text(encoding="utf-8").startswith("WEBVTT")
    with pytest.raises(anyon.OptionError, match="expected one of txt, srt"):
        PLAIN.save(tmp_path / "talk.doc")


def test_a_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        assert stat.S_IMODE(write(PLAIN, tmp_path / "a.txt").stat().st_mode) == 0o640
    finally:
        os.umask(old)


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"talk.{format}"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(anyon.OutputError, match="No space left"):
        write(PLAIN, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(anyon.OutputError, match="missing"):
        write(PLAIN, tmp_path / "missing" / "a.txt")

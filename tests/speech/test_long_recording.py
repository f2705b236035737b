"""Seven and a half minutes, five readers: the words, and segment times against the .stm."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import scoring
import speech_data
from settings import SETTINGS

DEFAULT = {"language": "en", **SETTINGS["default"]}
# faster-whisper 1.2.1, float32, the same settings: 126 of 1050 words wrong (12.00 %), 128 with word times. It is one
# recording, and each window begins where the last one ended: rounding in another place moves the cuts, and two correct
# engines differ by a point. The gate of 0.3 points is that of the 105 separate files in test_word_error.py.
PEER_WER, ALLOWED_POINTS = 12.00, 1.0


@pytest.fixture(scope="module")
def transcript(tiny_en: Any, data: Path) -> dict[str, Any]:
    found = tiny_en.transcribe(data / "speech" / speech_data.LONG_FILE, word_timestamps=True, **DEFAULT)
    segments = [
        {
            "start": s.start,
            "end": s.end,
            "text": s.text,
            "words": [{"start": w.start, "end": w.end, "word": w.word} for w in s.words],
        }
        for s in found.segments
    ]
    return {"text": found.text, "duration": found.duration, "segments": segments}


@pytest.fixture(scope="module")
def turns(data: Path) -> list[speech_data.Turn]:
    return speech_data.turns((data / "speech" / speech_data.LONG_FILE).with_suffix(".stm"))


@pytest.mark.slow
def test_word_error_is_no_worse_than_the_peers(transcript: dict[str, Any], turns: list[speech_data.Turn]) -> None:
    errors = scoring.word_errors(" ".join(turn.text for turn in turns), transcript["text"])
    assert errors.percent <= PEER_WER + ALLOWED_POINTS, f"{errors.wrong} of {errors.words} words wrong"


@pytest.mark.slow
def test_times_are_within_half_a_second_of_the_stm(
    transcript: dict[str, Any], turns: list[speech_data.Turn], data: Path
) -> None:
    samples = speech_data.read_audio(data / "speech" / speech_data.LONG_FILE)
    times = scoring.compare_turns(transcript, turns, speech_data.sound_bounds(samples, turns))
    # Distances to the pause at a turn's edge, see scoring.LongTimes. faster-whisper places 95 % of its times
    # within half a second of it; one word in ten whose edge the model misplaces is allowed.
    for measured in (times.segments["distance"], times.words["distance"]):
        assert measured["count"] >= 60
        assert measured["median"] <= 0.1
        assert measured["share_within_0.5"] >= 0.9


@pytest.mark.slow
def test_segments_follow_each_other_inside_the_recording(transcript: dict[str, Any]) -> None:
    segments = transcript["segments"]
    assert all(0 <= s["start"] < s["end"] <= transcript["duration"] + 0.01 for s in segments)
    assert all(a["start"] <= b["start"] for a, b in itertools.pairwise(segments))

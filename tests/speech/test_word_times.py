"""Word times: in order, inside the recording, and close to faster-whisper's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import scoring
import speech_data
from settings import SETTINGS

GREEDY = {"language": "en", **SETTINGS["greedy"]}

# Word times of faster-whisper 1.2.1 float32, greedy, on speech_data.WORD_FILES: [word, start, end] by file,
# written by `python benchmarks/wer.py --words --only peer --save-words FILE`.
PEER = json.loads((Path(__file__).parent / "faster_whisper_words.json").read_text(encoding="utf-8"))


def _words(transcript: Any) -> list[dict[str, Any]]:
    return [{"start": w.start, "end": w.end, "word": w.word} for s in transcript.segments for w in s.words]


def test_words_are_in_order_and_inside_the_recording(tiny_en: Any, two_cities: tuple[Path, str]) -> None:
    transcript = tiny_en.transcribe(two_cities[0], word_timestamps=True)
    words = _words(transcript)
    assert len(words) == len(transcript.text.split())
    assert "".join(w["word"] for w in words).strip() == transcript.text
    assert scoring.words_monotone(words)
    assert scoring.words_inside(words, transcript.duration)
    assert all(s.start <= s.words[0].start and s.words[-1].end <= s.end for s in transcript.segments)


@pytest.mark.slow
def test_word_times_differ_from_the_peers_by_60_ms_at_most_on_average(tiny_en: Any, data: Path) -> None:
    compared, summed = 0, 0.0
    for utterance in speech_data.word_files(data):
        words = _words(tiny_en.transcribe(utterance.path, word_timestamps=True, **GREEDY))
        peer = [{"word": word, "start": start, "end": end} for word, start, end in PEER[utterance.name]]
        times = scoring.compare_words(
            {"segments": [{"words": words}]}, {"segments": [{"words": peer}]}, utterance.seconds
        )
        assert times.monotone, utterance.name
        assert times.inside, utterance.name
        assert times.compared >= 0.9 * len(peer), utterance.name
        compared += times.compared
        summed += times.mean_difference * times.compared
    assert summed / compared <= 0.060

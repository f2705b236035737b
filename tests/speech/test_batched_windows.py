"""Windows decoded together: the words and the times of the recording, as when they are decoded one after the other."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import scoring
import speech_data
from settings import SETTINGS

GREEDY = {"language": "en", **SETTINGS["greedy"]}


@pytest.mark.parametrize("beam_size", [1, 5])
def test_two_cities_is_transcribed_without_a_wrong_word(
    tiny_en: Any, two_cities: tuple[Path, str], beam_size: int
) -> None:
    recording, text = two_cities
    found = tiny_en.transcribe(recording, batch_size=4, beam_size=beam_size, word_timestamps=True)
    assert scoring.word_errors(text, found.text).wrong == 0
    assert found.timings["windows"] >= 2
    # Two seconds without speech follow: nothing is invented for them.
    assert found.segments[-1].text.endswith(" only.")
    words = [word for segment in found.segments for word in segment.words]
    assert len(words) == len(found.text.split())
    assert all(a.end <= b.start for a, b in itertools.pairwise(words))
    assert all(0 <= word.start <= word.end <= found.duration for word in words)


def test_the_number_of_threads_does_not_change_a_bit(
    tiny_en: Any, tiny_en_folder: Path, two_cities: tuple[Path, str]
) -> None:
    import anyon

    expected = tiny_en.transcribe(two_cities[0], batch_size=4, **GREEDY)
    for threads in (1, 3):
        model = anyon.load(str(tiny_en_folder), threads=threads)
        found = model.transcribe(two_cities[0], batch_size=4, **GREEDY)
        assert [s.to_dict() for s in found.segments] == [s.to_dict() for s in expected.segments], f"{threads} threads"


def test_a_language_is_detected_once_for_all_windows(base: Any, two_cities: tuple[Path, str]) -> None:
    found = base.transcribe(two_cities[0], batch_size=4, beam_size=1)
    assert found.language == "en"
    assert found.language_probability > 0.9
    assert scoring.word_errors(two_cities[1], found.text).wrong == 0


def test_noise_and_silence_give_no_text(tiny_en: Any, data: Path) -> None:
    for path in speech_data.no_speech_files(data):
        assert tiny_en.transcribe(path, batch_size=4).text == "", path.name


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["f32", "int8"])
def test_the_long_recording_has_no_more_errors_than_window_by_window(
    tiny_en_folder: Path, data: Path, recipe: str
) -> None:
    import anyon

    model = anyon.load(str(tiny_en_folder), recipe=recipe, threads=2)
    path = data / "speech" / speech_data.LONG_FILE
    turns = speech_data.turns(path.with_suffix(".stm"))
    spoken = " ".join(turn.text for turn in turns)
    alone = scoring.word_errors(spoken, model.transcribe(path, **GREEDY).text)
    found = model.transcribe(path, batch_size=8, **GREEDY)
    together = scoring.word_errors(spoken, found.text)
    # Other cuts, other errors: between versions that differ in rounding alone one recording moves by a point.
    assert together.percent <= alone.percent + 1.0, f"{together.wrong} of {together.words}, {alone.wrong} alone"
    assert all(0 <= s.start < s.end <= found.duration + 0.01 for s in found.segments)
    assert all(a.start <= b.start for a, b in itertools.pairwise(found.segments))
    transcript = {
        "text": found.text,
        "duration": found.duration,
        "segments": [{"start": s.start, "end": s.end, "text": s.text, "words": []} for s in found.segments],
    }
    samples = speech_data.read_audio(path)
    times = scoring.compare_turns(transcript, turns, speech_data.sound_bounds(samples, turns))
    distance = times.segments["distance"]
    # As in test_long_recording.py: distances to the pause at a turn's edge.
    assert distance["count"] >= 40
    assert distance["median"] <= 0.1
    assert distance["share_within_0.5"] >= 0.9

"""One model, many threads: the same transcripts to the last bit, whatever the number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from settings import SETTINGS

GREEDY = {"language": "en", **SETTINGS["greedy"]}


def _everything(transcript: Any) -> list[dict[str, Any]]:
    """Every field of every segment: text, tokens, times, words, probabilities."""
    return [segment.to_dict() for segment in transcript.segments]


@pytest.mark.slow
def test_eight_threads_sharing_a_model_agree_with_one(
    tiny_en: Any, two_cities: tuple[Path, str], beckett: tuple[Path, str]
) -> None:
    recordings = [two_cities[0], beckett[0]]
    alone = [_everything(tiny_en.transcribe(r, word_timestamps=True, **GREEDY)) for r in recordings]
    with ThreadPoolExecutor(8) as threads:
        together = threads.map(
            lambda index: _everything(tiny_en.transcribe(recordings[index % 2], word_timestamps=True, **GREEDY)),
            range(8),
        )
        for index, found in enumerate(together):
            assert found == alone[index % 2], f"thread {index}"


def test_the_number_of_threads_does_not_change_a_bit(
    tiny_en: Any, tiny_en_folder: Path, beckett: tuple[Path, str]
) -> None:
    import anyon

    expected = _everything(tiny_en.transcribe(beckett[0], word_timestamps=True, **GREEDY))
    for threads in (1, 3, 8):
        model = anyon.load(str(tiny_en_folder), threads=threads)
        assert _everything(model.transcribe(beckett[0], word_timestamps=True, **GREEDY)) == expected, (
            f"{threads} threads"
        )

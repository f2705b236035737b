"""Transcribing with a draft: the same tokens as without one, in fewer runs of the decoder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import speech_data

GREEDY: dict[str, Any] = {"language": "en", "beam_size": 1, "temperature": 0.0}


def _everything(transcript: Any) -> list[dict[str, Any]]:
    return [segment.to_dict() for segment in transcript.segments]


@pytest.mark.parametrize("recipe", ["f32", "int8"])
def test_no_draft_changes_the_transcript(tiny_en_folder: Path, two_cities: tuple[Path, str], recipe: str) -> None:
    import anyon

    model = anyon.load(str(tiny_en_folder), recipe=recipe, threads=2)
    expected = model.transcribe(two_cities[0], **GREEDY)
    tokens = [token for segment in expected.segments for token in segment.tokens]
    noise = random.Random(1)
    drafts: dict[str, Any] = {
        "a transcript": expected,
        "its text": expected.text,
        "nothing": [],
        "another text": "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.",
        "half of it": tokens[: len(tokens) // 2],
        "every ninth token missing": [token for i, token in enumerate(tokens) if i % 9],
        "every ninth token wrong": [token if i % 9 else noise.randrange(50_000) for i, token in enumerate(tokens)],
        "three times as long": tokens * 3,
    }
    for name, draft in drafts.items():
        # To the last bit: attention sums up to 16 queries as it sums one, and so do the products.
        assert _everything(model.transcribe(two_cities[0], draft=draft, **GREEDY)) == _everything(expected), name


def test_growing_audio_takes_most_tokens_from_the_transcript_before(tiny_en: Any, two_cities: tuple[Path, str]) -> None:
    samples = speech_data.read_audio(two_cities[0])
    draft = None
    for seconds in (4, 6, 8, 10):
        part = samples[: seconds * 16_000]
        expected = tiny_en.transcribe(part, **GREEDY)
        found = tiny_en.transcribe_iter(part, draft=draft, **GREEDY)
        draft = found.result()
        assert _everything(draft) == _everything(expected)
    tokens = sum(len(segment.tokens) for segment in draft.segments)
    # The last two seconds bring about nine new tokens; the rest but the first comes from the draft.
    assert found._fact("info", {})["drafted"] >= 0.6 * tokens
    assert found._fact("info", {})["steps"] <= 0.5 * tokens

"""The multilingual base model names the language of short clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import speech_data

# faster-whisper 1.2.1 float32 names 50 of these 51 (fr, es, it, ru, de, ja); it takes one Spanish prompt for Polish.
PEER_RIGHT, CLIPS = 50, 51


@pytest.mark.slow
def test_languages_are_detected_as_often_as_by_the_peer(base: Any, data: Path) -> None:
    clips = speech_data.language_files(data)
    assert len(clips) == CLIPS
    wrong = {}
    for clip in clips:
        found = base.transcribe(clip.path, beam_size=1, temperature=0.0, max_new_tokens=1).language
        if found != clip.language:
            wrong[clip.name] = found
    assert len(wrong) <= CLIPS - PEER_RIGHT, wrong


def test_english_speech_is_english(base: Any, two_cities: tuple[Path, str]) -> None:
    assert base.transcribe(two_cities[0], temperature=0.0).language == "en"


def test_translation_of_french_speech_is_english(base: Any, data: Path) -> None:
    text = base.transcribe(data / "speech/picovoice/test_fr.flac", task="translate", temperature=0.0).text.lower()
    # "Sous le consulat il devient conservateur des eaux et forêts et conseiller général."
    # Whisper base hardly understands it: what it gets right are the consulate and the general, in English.
    assert "consulate" in text
    assert "general" in text

"""Silence, noise, rain and a tone give an empty transcript by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import speech_data

ROOT = speech_data.data_root()
FILES = speech_data.no_speech_files(ROOT) if ROOT else []


@pytest.mark.parametrize("model", ["tiny_en", "base"])
@pytest.mark.parametrize("recording", FILES, ids=[path.name for path in FILES])
def test_nothing_is_written_for(recording: Path, model: str, request: pytest.FixtureRequest) -> None:
    transcript = request.getfixturevalue(model).transcribe(recording)
    assert transcript.text == ""
    assert transcript.segments == []


def test_nothing_is_written_for_digital_silence(tiny_en: Any) -> None:
    assert tiny_en.transcribe(np.zeros(16000 * 5, np.float32), sample_rate=16000).text == ""


def test_nothing_is_written_for_white_noise(tiny_en: Any) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(16000 * 12).astype(np.float32)
    assert tiny_en.transcribe(noise, sample_rate=16000).text == ""

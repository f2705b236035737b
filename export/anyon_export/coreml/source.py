"""What is exported: the weights and settings of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyon_export.checkpoints import Checkpoint, TokenizerData
from anyon_export.export import load_model
from anyon_export.models.whisper import PRESETS, Whisper


@dataclass(frozen=True)
class Source:
    """loop: decoding settings, as in a bundle's manifest. licence: "" where the publisher states none."""

    model: Whisper
    tokenizer: TokenizerData
    loop: Mapping[str, Any]
    name: str
    origin: str
    sha256: str
    licence: str


def source_of(checkpoint: Checkpoint) -> Source:
    """Reads the weights. Raises ExportError and CheckpointError."""
    model = load_model(checkpoint)
    return Source(
        model=model,
        tokenizer=checkpoint.tokenizer,
        loop=checkpoint.generation,
        name=f"whisper-{next((preset for preset, sizes in PRESETS.items() if sizes == model.config), 'custom')}",
        origin=Path(str(checkpoint.source["path"])).name,
        sha256=str(checkpoint.source["sha256"]),
        licence=checkpoint.source["licence"] or "",
    )

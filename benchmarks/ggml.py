"""Writes a Whisper checkpoint as whisper.cpp's ggml file: f16, q8_0 or q5_1 matrices, f16 convolutions, f32 vectors.

Little endian: magic, 11 hyperparameters, mel filters, base vocabulary, then the tensors until the end of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from log_mel import mel_filters

Array = npt.NDArray[Any]
MAGIC = 0x67676D6C
HYPERPARAMETERS = (
    "n_vocab",
    "n_audio_ctx",
    "n_audio_state",
    "n_audio_head",
    "n_audio_layer",
    "n_text_ctx",
    "n_text_state",
    "n_text_head",
    "n_text_layer",
    "n_mels",
)
# Two-dimensional tensors that whisper.cpp wants in f32.
FLOAT32 = ("encoder.conv1.bias", "encoder.conv2.bias", "encoder.positional_embedding", "decoder.positional_embedding")


def q8_0(values: Array) -> bytes:
    """Blocks of 32: f16 scale, 32 signed bytes."""
    blocks = values.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    quantised = np.rint(np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0)).astype(np.int8)
    packed = np.empty(len(blocks), [("scale", "<f2"), ("values", "i1", 32)])
    packed["scale"], packed["values"] = scale[:, 0], quantised
    return packed.tobytes()


def q5_1(values: Array) -> bytes:
    """Blocks of 32: f16 step and minimum, the fifth bits as u32, the low four as nibbles (i with i + 16)."""
    blocks = values.astype(np.float32).reshape(-1, 32)
    low = blocks.min(1, keepdims=True)
    step = (blocks.max(1, keepdims=True) - low) / 31
    scaled = np.divide(blocks - low, step, out=np.zeros_like(blocks), where=step > 0)
    quantised = np.minimum(31, (scaled + 0.5).astype(np.uint32))
    packed = np.empty(len(blocks), [("step", "<f2"), ("low", "<f2"), ("fifth", "<u4"), ("nibbles", "u1", 16)])
    packed["step"], packed["low"] = step[:, 0], low[:, 0]
    packed["fifth"] = ((quantised >> 4) << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32)
    packed["nibbles"] = (quantised[:, :16] & 15) | ((quantised[:, 16:] & 15) << 4)
    return packed.tobytes()


@dataclass(frozen=True)
class Kind:
    """How matrices are stored: the file's and the tensors' type numbers, and what packs the values."""

    file_type: int
    tensor_type: int
    pack: Callable[[Array], bytes]


KINDS = {
    "f16": Kind(1, 1, lambda values: np.ascontiguousarray(values, np.float16).tobytes()),
    # Thousands: the version of ggml's block formats.
    "q8_0": Kind(2007, 8, q8_0),
    "q5_1": Kind(2009, 7, q5_1),
}


def write_ggml(
    path: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, npt.NDArray[Any]],
    tokens: Sequence[bytes],
    kind: str = "f16",
) -> None:
    """`kind`: a row of KINDS. `tensors` under openai-whisper's names; `tokens` are the bytes of the ordinary tokens,
    special ones left out."""
    chosen = KINDS[kind]
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        file.write(struct.pack("<I", MAGIC))
        file.write(struct.pack("<11i", *(int(config[name]) for name in HYPERPARAMETERS), chosen.file_type))
        filters = mel_filters(int(config["n_mels"]))
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<I", len(token)) + token)
        for name in tensors:
            values = np.asarray(tensors[name])
            stored = chosen if values.ndim == 2 and name not in FLOAT32 else KINDS["f16"]
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                values = values.reshape(-1, 1)
            plain = values.ndim < 2 or name in FLOAT32
            key = name.encode()
            file.write(struct.pack("<3i", values.ndim, len(key), 0 if plain else stored.tensor_type))
            file.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)) + key)
            file.write(np.ascontiguousarray(values, np.float32).tobytes() if plain else stored.pack(values))
    partial.replace(path)

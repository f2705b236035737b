"""Writes a Whisper checkpoint as whisper.cpp's ggml file (f16 matrices, f32 vectors): the same weights for it.

Little endian: magic, 11 hyperparameters, mel filters, base vocabulary, then the tensors until the end of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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


def mel_filters(n_mels: int, sample_rate: int = 16000, n_fft: int = 400) -> npt.NDArray[np.float32]:
    """Triangular filters on Slaney's mel scale, each of unit area; (n_mels, n_fft // 2 + 1) f32."""

    def to_mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # Linear to 1 kHz (3 mel per 200 Hz), then 27 mel for a factor of 6.4.
        return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1e-9) / 1000) / np.log(6.4))

    def to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    limits = to_mel(np.array([0.0, sample_rate / 2]))
    edges = to_hertz(np.linspace(limits[0], limits[1], n_mels + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    return (triangles * 2 / (right - left)).astype(np.float32)


def write_ggml(
    path: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, npt.NDArray[Any]],
    tokens: Sequence[bytes],
) -> None:
    """`tensors` under openai-whisper's names; `tokens` are the bytes of the ordinary tokens, special ones left out."""
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        file.write(struct.pack("<I", MAGIC))
        file.write(struct.pack("<11i", *(int(config[name]) for name in HYPERPARAMETERS), 1))
        filters = mel_filters(int(config["n_mels"]))
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<I", len(token)) + token)
        for name in tensors:
            values = np.asarray(tensors[name])
            half = values.ndim >= 2 and name not in FLOAT32
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                values = values.reshape(-1, 1)
            key = name.encode()
            file.write(struct.pack("<3i", values.ndim, len(key), int(half)))
            file.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)) + key)
            file.write(np.ascontiguousarray(values, dtype=np.float16 if half else np.float32).tobytes())
    partial.replace(path)

"""A tiny blueprint with the expressions of a real one, and a checkpoint for it, without torch or onnx."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from anyon_export import expressions as ex
from anyon_export.blueprint import Blueprint, OnnxProgram, Weight

Array = npt.NDArray[Any]

CONFIG = {"n_audio_state": 5, "n_vocab": 18}


@dataclass
class FakeTokenizer:
    merges: Any = "id"
    n_vocab: int = 3
    special: dict[str, int] = field(default_factory=lambda: {"<|endoftext|>": 2})
    offsets: Array = field(default_factory=lambda: np.array([0, 1, 2, 13], np.uint32))
    data: Array = field(default_factory=lambda: np.frombuffer(b"ab<|endoftext|>"[:13], np.uint8))


@dataclass
class FakeCheckpoint:
    """Only what make_bundle reads."""

    tensors: dict[str, Array]
    config: dict[str, int] = field(default_factory=lambda: dict(CONFIG))
    tokenizer: FakeTokenizer = field(default_factory=FakeTokenizer)
    generation: dict[str, Any] = field(default_factory=lambda: {"eot": 2})
    source: dict[str, Any] = field(
        default_factory=lambda: {"format": "test", "path": "/some/where.pt", "sha256": "ab" * 32, "licence": "MIT"}
    )


def checkpoint(**changes: Any) -> Any:
    random = np.random.default_rng(0)
    tensors = {
        "head.weight": random.standard_normal((18, 5)).astype(np.float16),
        "q.weight": random.standard_normal((5, 5)).astype(np.float32),
        "k.weight": random.standard_normal((5, 5)).astype(np.float32),
        "q.bias": random.standard_normal(5).astype(np.float32),
        "conv.weight": random.standard_normal((4, 2, 3)).astype(np.float32),
    }
    return FakeCheckpoint(tensors | changes.pop("tensors", {}), **changes)


def blueprint(**changes: Any) -> Blueprint:
    head, q, k = ex.param("head.weight", (18, 5)), ex.param("q.weight", (5, 5)), ex.param("k.weight", (5, 5))
    conv = ex.reshape(ex.transpose(ex.param("conv.weight", (4, 2, 3)), [0, 2, 1]), [4, 6])
    bias = ex.rows([ex.param("q.bias", (5,)), ex.zeros([5])])
    weights = {
        "conv.weight": Weight(ex.panel16(conv), "panel16", conv.shape),
        "qk.weight": Weight(ex.panel16(ex.rows([q, k])), "panel16", (10, 5)),
        "qk.bias": Weight(bias, "plain", bias.shape),
        "head.weight": Weight(ex.panel16(head), "panel16", head.shape),
    }
    rows: dict[str, dict[str, Any]] = {
        "conv.weight": {"tensor": "conv.weight", "layout": "panel16", "rows": [0, 4], "shape": [4, 2, 3]},
        "q.weight": {"tensor": "qk.weight", "layout": "panel16", "rows": [0, 5], "shape": [5, 5]},
        "k.weight": {"tensor": "qk.weight", "layout": "panel16", "rows": [5, 10], "shape": [5, 5]},
        "q.bias": {"tensor": "qk.bias", "layout": "plain", "rows": [0, 5], "shape": [5]},
        "head.weight": {"tensor": "head.weight", "layout": "panel16", "rows": [0, 18], "shape": [18, 5]},
    }
    rows["conv.weight"] |= {"view": [4, 3, 2], "perm": [0, 2, 1]}
    fields: dict[str, Any] = {
        "name": "small",
        "family": "whisper",
        "task": "transcribe",
        "recipe": "f32",
        "config": dict(CONFIG),
        "frontend": {"n_mels": 2},
        "programs": {"decoder": {"ops": []}},
        "weights": weights,
        "onnx": {"decoder": OnnxProgram(b"a graph \xff\x00" * 9, rows)},
    }
    return Blueprint(**(fields | changes))

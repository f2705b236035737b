"""Weights that are no numbers are named when they are read, in every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_writers import (
    SMALL,
    TINY_VOCABULARY,
    ctranslate2_bytes,
    ctranslate2_variables,
    ggml_bytes,
    openai_bytes,
    random_tensors,
    write_huggingface,
)

from anyon_export.checkpoints import CheckpointError, load
from anyon_export.checkpoints.ctranslate2 import parse_model_bin
from anyon_export.checkpoints.ggml import parse_ggml
from anyon_export.checkpoints.openai_pt import parse_openai_pt

TINY_HF = {**SMALL, "n_vocab": TINY_VOCABULARY}


def with_a_wrong_value(value: float, dtype: str = "f2") -> dict[str, Any]:
    """A well-formed checkpoint's tensors, of which one value is not finite."""
    tensors = random_tensors(TINY_HF, dtype=dtype)
    tensors["decoder.blocks.0.mlp.2.weight"][3, 5] = value
    return tensors


FORMATS: dict[str, Callable[[Path, dict[str, Any]], Any]] = {
    "huggingface": lambda path, tensors: load(write_huggingface(path, TINY_HF, tensors)).tensors,
    "openai": lambda path, tensors: written(path / "a.pt", openai_bytes(TINY_HF, tensors), parse_openai_pt)[1],
    "ctranslate2": lambda path, tensors: written(
        path / "model.bin", ctranslate2_bytes(ctranslate2_variables(TINY_HF, tensors)), parse_model_bin
    )[1],
    "ggml": lambda path, tensors: written(path / "a.bin", ggml_bytes(TINY_HF, tensors, [b"a"]), parse_ggml)[1],
}


def written(path: Path, content: bytes, read: Callable[[Path], Any]) -> Any:
    path.write_bytes(content)
    return read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("format", FORMATS)
def test_weights_that_are_not_finite_are_named(tmp_path: Path, format: str, value: float) -> None:
    tensors = FORMATS[format](tmp_path, with_a_wrong_value(value))
    assert np.isfinite(tensors["decoder.blocks.0.mlp.0.weight"]).all()
    message = rf"{tmp_path}.*mlp\.2\.weight': 1 of 4096 values are not finite, the first at \[3, 5\]: {value} \(.*\)"
    with pytest.raises(CheckpointError, match=message):
        tensors["decoder.blocks.0.mlp.2.weight"]

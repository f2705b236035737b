"""Smaller weights for ML programs: what each compression is called, and coremltools' settings for it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anyon_export.coreml.convert import quiet
from anyon_export.coreml.palette import VALUES, palettise
from anyon_export.expressions import Array
from anyon_export.models.whisper import Whisper

BLOCK = 32
# Norms and biases stay as they are: they are no share of the size, and every activation passes them. So do positions,
# which are added to activations rather than multiplied.
MINIMUM_ELEMENTS = 2048
_POSITIONS = "positional_embedding"


@dataclass(frozen=True)
class Compression:
    """half: the program computes in float16. notes: what becomes of matrices and kernels."""

    half: bool
    notes: str


COMPRESSIONS: Mapping[str, Compression] = {
    "f32": Compression(False, "float32 weights and arithmetic"),
    "f16": Compression(True, "float16 weights and arithmetic"),
    "int8": Compression(True, "weights of 8 bits, a scale for each output channel; float16 arithmetic"),
    # Zero points cost an eighth of a bit for each weight; without them tiny.en diverges five times as far.
    "int4": Compression(
        True,
        f"weights of 4 bits, scale and zero point for each {BLOCK} inputs (8 bits where {BLOCK} do not divide them); "
        "float16 arithmetic",
    ),
    "palette4": Compression(True, f"{VALUES} values for the weights of each output channel; float16 arithmetic"),
}


def prepared(model: Whisper, name: str) -> Whisper:
    """The model to convert: for palette4 a copy that has few values already, which coremltools then only packs."""
    if name != "palette4":
        return model
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for parameter_name, parameter in changed.named_parameters():
            if _compressible(parameter_name, tuple(parameter.shape)):
                parameter.copy_(palettise(parameter))
    return changed


def compress(model: Any, name: str) -> Any:
    """A coremltools MLModel with its matrices and kernels compressed; f32 and f16 change nothing.

    ValueError when coremltools leaves one as it is, which it would only log.
    """
    if name in ("f32", "f16"):
        return model
    with quiet():
        import coremltools.optimize.coreml as cto

        settings = {weight: _settings(cto, name, shape) for weight, shape in _matrices(model).items()}
        config = cto.OptimizationConfig(op_name_configs=settings)
        apply = cto.palettize_weights if name == "palette4" else cto.linear_quantize_weights
        compressed = apply(model, config)
    left = sorted(set(settings) & set(_matrices(compressed)))
    if left:
        raise ValueError(f"coremltools did not compress {', '.join(left)} to {name}")
    return compressed


def _settings(cto: Any, name: str, shape: tuple[int, ...]) -> Any:
    if name == "palette4":
        each_channel = {"granularity": "per_grouped_channel", "group_size": 1}
        return cto.OpPalettizerConfig(mode="custom", lut_function=_table, weight_threshold=0, **each_channel)
    if name == "int4" and shape[1] % BLOCK == 0:
        blocks = {"granularity": "per_block", "block_size": BLOCK}
        return cto.OpLinearQuantizerConfig(mode="linear", dtype="uint4", weight_threshold=0, **blocks)
    # int8, and what int4 cannot cut into blocks: the kernel over 80 mel bands.
    symmetric = {"mode": "linear_symmetric", "dtype": "int8"}
    return cto.OpLinearQuantizerConfig(granularity="per_channel", weight_threshold=0, **symmetric)


def _table(channel: Array) -> tuple[Array, Array]:
    """float16 values of which no more than VALUES differ -> those values (VALUES,), and the index of each in them."""
    patterns, indices = np.unique(channel.reshape(-1).view(np.uint16), return_inverse=True)  # far faster than on halves
    table = np.zeros(VALUES, np.float16)
    table[: len(patterns)] = patterns.view(np.float16)
    return table, indices.astype(np.uint8)


def _matrices(model: Any) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the constants that compression is for."""
    constants = (op for op in model._mil_program.functions["main"].operations if op.op_type == "const")
    shapes = {op.name: tuple(op.outputs[0].shape) for op in constants}
    return {name: shape for name, shape in shapes.items() if _compressible(name, shape)}


def _compressible(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) >= 2 and math.prod(shape) >= MINIMUM_ELEMENTS and _POSITIONS not in name

"""Smaller weights for ML programs: what each name means, and coremltools' settings for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anyon_export.coreml.convert import quiet
from anyon_export.expressions import Array

BLOCK, GROUP, BITS = 32, 32, 4
# Smaller tensors (norms, biases) stay as they are: they are no share of the size and every activation passes them.
MINIMUM_ELEMENTS = 2048
# Rows that are added to activations rather than multiplied.
_POSITIONS = "positional_embedding"


@dataclass(frozen=True)
class Compression:
    """half: the program computes in float16. notes: what becomes of the matrices."""

    half: bool
    notes: str


COMPRESSIONS: Mapping[str, Compression] = {
    "f32": Compression(False, "float32 weights and arithmetic"),
    "f16": Compression(True, "float16 weights and arithmetic"),
    "int8": Compression(True, "weights of 8 bits, symmetric, a scale for each output channel; float16 arithmetic"),
    "int4": Compression(True, f"weights of 4 bits, symmetric, a scale for each {BLOCK} inputs; float16 arithmetic"),
    "palette4": Compression(True, f"weights are 16 values for each {GROUP} output channels; float16 arithmetic"),
}


def compress(model: Any, name: str) -> Any:
    """A coremltools MLModel with its matrices and kernels compressed; f32 and f16 change nothing."""
    if name in ("f32", "f16"):
        return model
    with quiet():
        import coremltools.optimize.coreml as cto

        positions = [op.name for op in model._mil_program.functions["main"].operations if _POSITIONS in op.name]
        config = cto.OptimizationConfig(global_config=_settings(cto, name), op_name_configs=dict.fromkeys(positions))
        if name == "palette4":
            return cto.palettize_weights(model, config)
        return cto.linear_quantize_weights(model, config)


def _settings(cto: Any, name: str) -> Any:
    threshold = {"weight_threshold": MINIMUM_ELEMENTS}
    if name == "palette4":
        # coremltools' own k-means changes its method with the number of values; ours is one method for all.
        grouped = {"granularity": "per_grouped_channel", "group_size": GROUP}
        return cto.OpPalettizerConfig(mode="custom", lut_function=palette, **grouped, **threshold)
    symmetric = {"mode": "linear_symmetric", "dtype": name, **threshold}
    if name == "int8":
        return cto.OpLinearQuantizerConfig(granularity="per_channel", **symmetric)
    return cto.OpLinearQuantizerConfig(granularity="per_block", block_size=BLOCK, **symmetric)


def palette(values: Array, rounds: int = 30) -> tuple[Array, npt.NDArray[np.uint8]]:
    """The 2 ** BITS values that stand for all (k-means by Lloyd's rounds from evenly filled bins), and which one stands
    for each. Deterministic. Returns (16,) of the dtype of `values`, ascending, and uint8 (values.size,)."""
    flat = np.asarray(values, np.float64).reshape(-1)
    ordered = np.sort(flat)
    sums = np.concatenate([np.zeros(1), np.cumsum(ordered)])
    bounds = (
        np.linspace(0, flat.size, 2**BITS + 1).round().astype(np.int64)
    )  # bin i is ordered[bounds[i] : bounds[i + 1]]
    centres = np.zeros(2**BITS)
    for _ in range(rounds):
        counts = np.diff(bounds)
        filled = counts > 0  # an empty bin keeps its centre
        centres[filled] = np.diff(sums[bounds])[filled] / counts[filled]
        between = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        moved = np.concatenate([[0], between, [flat.size]])
        if np.array_equal(moved, bounds):
            break
        bounds = moved
    table = centres.astype(values.dtype)
    wide = table.astype(np.float64)
    indices = np.searchsorted((wide[1:] + wide[:-1]) / 2, flat)
    return table, indices.astype(np.uint8)

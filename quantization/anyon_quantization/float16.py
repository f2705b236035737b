"""The scheme `f16`: half precision in the same panels as `f32`; the kernels widen it as they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anyon_quantization.float32 import pack_panel16, unpack_panel16
from anyon_quantization.matrix import PANEL, Array, Layout, QuantizationError, padded

LARGEST = 65504


def to_half(array: Array) -> Array:
    """Rounded to the nearest half; QuantizationError for what halves cannot hold."""
    largest = np.abs(array).max(initial=0)
    if not largest <= LARGEST:
        raise QuantizationError(f"f16: a weight of {largest:g}, halves end at {LARGEST} (use f32, int8 or int4)")
    return array.astype(np.float16)


@dataclass(frozen=True)
class Float16:
    name = "f16"
    layout = "panel16"

    def tensors(self, n: int, k: int) -> dict[str, Layout]:
        return {"": ((padded(n, PANEL) // PANEL, k, PANEL), "float16")}

    def pack(self, matrix: Array, moments: Array | None = None) -> dict[str, Array]:
        return {"": pack_panel16(to_half(matrix))}

    def unpack(self, tensors: Mapping[str, Array], n: int, k: int) -> Array:
        return unpack_panel16(tensors[""], 0, n).astype(np.float32)

    def error_bound(self, matrix: Array) -> Array:
        """Half of the last of 11 bits, or half of the smallest subnormal."""
        bound: Array = np.maximum(np.abs(matrix) * 2.0**-11, 2.0**-25)
        return bound

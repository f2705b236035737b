"""The scheme `f32`: weights as they are, packed in panels of 16 outputs, the layout that every CPU kernel reads.

Packing loses nothing: `unpack_panel16(pack_panel16(w), 0, n)` equals w bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anyon_quantization.matrix import PANEL, Array, Layout, padded


def pack_panel16(matrix: Array) -> Array:
    """(N, K) of any dtype -> (ceil(N / 16), K, 16), rows beyond N zero: element (n, k) lies at (n // 16, k, n % 16)."""
    n, k = matrix.shape
    panels = -(-n // PANEL)
    packed = np.zeros((panels, k, PANEL), dtype=matrix.dtype)
    full = n // PANEL
    packed[:full] = matrix[: full * PANEL].reshape(full, PANEL, k).transpose(0, 2, 1)
    if full < panels:
        packed[full, :, : n - full * PANEL] = matrix[full * PANEL :].T
    return packed


def unpack_panel16(packed: Array, first: int, last: int) -> Array:
    """Rows first .. last - 1 of the matrix that `pack_panel16` packed, (last - first, K)."""
    panels = packed[first // PANEL : -(-last // PANEL)]
    matrix = panels.transpose(0, 2, 1).reshape(-1, packed.shape[1])
    start = first // PANEL * PANEL
    return np.ascontiguousarray(matrix[first - start : last - start])


@dataclass(frozen=True)
class Float32:
    name = "f32"
    layout = "panel16"

    def tensors(self, n: int, k: int) -> dict[str, Layout]:
        return {"": ((padded(n, PANEL) // PANEL, k, PANEL), "float32")}

    def pack(self, matrix: Array, moments: Array | None = None) -> dict[str, Array]:
        return {"": pack_panel16(matrix.astype(np.float32, copy=False))}

    def unpack(self, tensors: Mapping[str, Array], n: int, k: int) -> Array:
        return unpack_panel16(tensors[""], 0, n)

    def error_bound(self, matrix: Array) -> Array:
        return np.zeros((1, 1), np.float32)

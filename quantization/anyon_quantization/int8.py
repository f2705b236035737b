"""The scheme `int8`: one scale for each output channel, symmetric, and the sums that unsigned activations need.

w ≈ scale[n] * q, q in -127..127. Activations x ≈ s * (u - z) with u unsigned make
x · w = s * scale[n] * (u · q - z * sum(q)), so the sum of each row of q is stored beside the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anyon_quantization.gptq import round_columns
from anyon_quantization.matrix import PANEL, Array, Layout, finite, padded, row_blocks

QMAX = 127
QUAD = 4  # inputs that one instruction multiplies and sums


def quantise(matrix: Array) -> tuple[Array, Array]:
    """(N, K) float -> q (N, K) int8 and scale (N,) float32. A row of zeros has scale 1."""
    n, k = matrix.shape
    q, scale = np.empty((n, k), np.int8), np.empty(n, np.float32)
    for block in row_blocks(n, k):
        rows = matrix[block].astype(np.float32, copy=False)
        scale[block] = row_scales(rows)
        q[block] = np.rint(rows / scale[block, None])
    return q, scale


def row_scales(rows: Array) -> Array:
    """max|w| / 127 of each row; 1 where that is no normal number, which makes the row zero."""
    largest = np.maximum(rows.max(axis=1, initial=0), -rows.min(axis=1, initial=0))
    scale: Array = finite(largest, "int8") / np.float32(QMAX)
    scale[scale < np.finfo(np.float32).tiny] = 1
    return scale


def pack_panel16x4(q: Array) -> Array:
    """(N, K) int8 -> (ceil(N/16), ceil(K/4), 16, 4): element (i, j) lies at (i // 16, j // 4, i % 16, j % 4)."""
    n, k = q.shape
    if n % PANEL or k % QUAD:
        q = np.pad(q, ((0, -n % PANEL), (0, -k % QUAD)))
    quads = np.ascontiguousarray(q).view(np.int32).reshape(len(q) // PANEL, PANEL, -1)
    return np.ascontiguousarray(quads.transpose(0, 2, 1)).view(np.int8).reshape(*quads.shape[::2], PANEL, QUAD)


def unpack_panel16x4(packed: Array, first: int, last: int, k: int) -> Array:
    """Rows first .. last - 1 of the matrix that `pack_panel16x4` packed, (last - first, K) int8."""
    start = first // PANEL
    panels = packed[start : -(-last // PANEL)].transpose(0, 2, 1, 3)
    rows = panels.reshape(len(panels) * PANEL, -1)[first - start * PANEL : last - start * PANEL, :k]
    return np.ascontiguousarray(rows)


@dataclass(frozen=True)
class Int8:
    name = "int8"
    layout = "panel16x4"

    def tensors(self, n: int, k: int) -> dict[str, Layout]:
        panels, quads = padded(n, PANEL) // PANEL, padded(k, QUAD) // QUAD
        return {"": ((panels, quads, PANEL, QUAD), "int8"), "scale": ((n,), "float32"), "sum": ((n,), "int32")}

    def pack(self, matrix: Array, moments: Array | None = None) -> dict[str, Array]:
        q, scale = quantise(matrix)
        if moments is not None:
            q = round_columns(matrix, moments, scale[:, None], np.zeros((1, 1), np.float32), (-QMAX, QMAX)).astype(
                np.int8
            )
        return {"": pack_panel16x4(q), "scale": scale, "sum": q.sum(axis=1, dtype=np.int32)}

    def unpack(self, tensors: Mapping[str, Array], n: int, k: int) -> Array:
        return unpack_panel16x4(tensors[""], 0, n, k) * tensors["scale"][:, None]

    def error_bound(self, matrix: Array) -> Array:
        """Half a step, and the float rounding of q * scale and of w / scale: two parts in 2^23 of up to 127 steps."""
        scale = row_scales(matrix.astype(np.float32))
        dropped = np.where((scale == 1) & (np.abs(matrix).max(axis=1, initial=0) < 1e-30), 1e-30, 0)
        bound: Array = (scale * np.float32(0.5 + 2 * QMAX * 2.0**-23) + dropped)[:, None]
        return bound

"""GPTQ (Frantar et al. 2022): rounds a matrix column by column, and lets the columns to come make up for each error.

What is kept small is the error of the product on real inputs, sum over x of |x · (w - w')|², which only needs their
second moments H = sum of x xᵀ (K, K). Scales and zero points are those of plain rounding.
"""

from __future__ import annotations

import numpy as np

from anyon_quantization import int4, int8
from anyon_quantization.matrix import Array, row_blocks

_LAZY = 64  # columns whose errors are passed on together to those beyond


def inverse_factor(moments: Array, damping: float = 0.01) -> Array:
    """Upper Cholesky factor (K, K) of the inverse of H, damped by a part of its mean diagonal; float32."""
    matrix = moments.astype(np.float64)
    mean = float(np.diag(matrix).mean()) or 1.0
    matrix[np.diag_indices_from(matrix)] += damping * mean
    factor: Array = np.linalg.cholesky(np.linalg.inv(matrix)).T.astype(np.float32)
    return np.ascontiguousarray(factor)


def round_int8(matrix: Array, moments: Array) -> tuple[Array, Array]:
    """q (N, K) int8 and scale (N,), as int8.quantise gives them."""
    _, scale = int8.quantise(matrix)
    steps = np.broadcast_to(scale[:, None], matrix.shape)
    q = _round(matrix, moments, steps, np.broadcast_to(np.float32(0), matrix.shape), -int8.QMAX, int8.QMAX)
    return q.astype(np.int8), scale


def round_int4(matrix: Array, moments: Array, group: int, symmetric: bool = False) -> tuple[Array, Array, Array]:
    """q (N, K) uint8, scale and zero (N, K / group), as int4.quantise gives them. K is a multiple of the group."""
    _, scale, zero = int4.quantise(matrix, group, symmetric)
    steps, zeros = (np.repeat(part.astype(np.float32), group, axis=1) for part in (scale, zero))
    return _round(matrix, moments, steps, zeros, 0, int4.QMAX).astype(np.uint8), scale, zero


def _round(matrix: Array, moments: Array, steps: Array, zeros: Array, low: int, high: int) -> Array:
    factor = inverse_factor(moments)
    q = np.empty(matrix.shape, np.float32)
    for block in row_blocks(*matrix.shape):
        # Columns become rows: each is worked on as a whole.
        left, step, zero = (np.array(part[block].T, np.float32, order="C") for part in (matrix, steps, zeros))
        q[block] = _round_columns(left, step, zero, factor, low, high).T
    return q


def _round_columns(left: Array, steps: Array, zeros: Array, factor: Array, low: int, high: int) -> Array:
    """left (K, N): the matrix, which becomes what is left of it while errors are passed on."""
    q = np.empty_like(left)
    for start in range(0, len(left), _LAZY):
        stop = min(start + _LAZY, len(left))
        errors = np.empty((stop - start, left.shape[1]), np.float32)
        for j in range(start, stop):
            q[j] = np.clip(np.rint(left[j] / steps[j]) + zeros[j], low, high)
            errors[j - start] = (left[j] - (q[j] - zeros[j]) * steps[j]) / factor[j, j]
            left[j:stop] -= factor[j, j:stop, None] * errors[j - start]
        left[stop:] -= factor[start:stop, stop:].T @ errors
    return q

"""GPTQ (Frantar et al. 2022): rounds a matrix column by column, and lets the columns to come make up for each error.

What is kept small is the error of the product on real inputs, sum over x of |x · (w - w')|², which only needs their
second moments H = sum of x xᵀ (K, K). Scales and zero points are those of plain rounding.
"""

from __future__ import annotations

import numpy as np

from anyon_quantization.matrix import Array, QuantizationError, row_blocks

_LAZY = 64  # columns whose errors are passed on together to those beyond
# Part of H's mean diagonal that is added to it. On Whisper's decoder, calibrated in other languages than it is measured
# in, 0.02 and 0.3 both give a tenth more divergence.
_DAMPING = 0.1


def round_columns(matrix: Array, moments: Array, steps: Array, zeros: Array, limits: tuple[int, int]) -> Array:
    """(N, K) -> q (N, K) float32, whole numbers within the limits, for w ≈ steps * (q - zeros).

    moments: H (K, K), to any scale; steps, zeros: (N, K) or broadcastable to it. QuantizationError when H is no
    matrix of moments.
    """
    if moments.shape != (matrix.shape[1],) * 2:
        raise QuantizationError(f"GPTQ: moments {moments.shape} for a matrix {matrix.shape}")
    order = np.argsort(-np.diag(moments), kind="stable")  # what matters most is rounded while all others can still help
    factor = inverse_factor(moments[np.ix_(order, order)])
    steps, zeros = (np.broadcast_to(part, matrix.shape) for part in (steps, zeros))
    q = np.empty(matrix.shape, np.float32)
    for block in row_blocks(*matrix.shape):
        # Columns become rows: each is worked on as a whole.
        left, step, zero = (np.array(part[block].T[order], np.float32, order="C") for part in (matrix, steps, zeros))
        q[block, order] = _round(left, step, zero, factor, limits).T
    return q


def inverse_factor(moments: Array, damping: float = _DAMPING) -> Array:
    """Upper Cholesky factor (K, K) of the inverse of H, damped by a part of its mean diagonal; float32."""
    matrix = moments.astype(np.float64)
    if not np.isfinite(matrix).all():
        raise QuantizationError("GPTQ: moments that are not finite (was the calibration audio damaged?)")
    matrix[np.diag_indices_from(matrix)] += damping * (float(np.diag(matrix).mean()) or 1.0)
    try:
        factor: Array = np.linalg.cholesky(np.linalg.inv(matrix)).T.astype(np.float32)
    except np.linalg.LinAlgError as error:
        raise QuantizationError(f"GPTQ: these are no moments: {error}") from error
    return np.ascontiguousarray(factor)


def _round(left: Array, steps: Array, zeros: Array, factor: Array, limits: tuple[int, int]) -> Array:
    """left (K, N): the matrix, which becomes what is left of it while errors are passed on."""
    q = np.empty_like(left)
    for start in range(0, len(left), _LAZY):
        stop = min(start + _LAZY, len(left))
        errors = np.empty((stop - start, left.shape[1]), np.float32)
        for j in range(start, stop):
            q[j] = np.clip(np.rint(left[j] / steps[j]) + zeros[j], *limits)
            errors[j - start] = (left[j] - (q[j] - zeros[j]) * steps[j]) / factor[j, j]
            left[j:stop] -= factor[j, j:stop, None] * errors[j - start]
        left[stop:] -= factor[start:stop, stop:].T @ errors
    return q

"""How far to even out the columns behind a norm, from measured inputs: the search of AWQ (Lin et al. 2023), with the
inputs' own rounding in the error, which is what SmoothQuant (Xiao et al. 2022) trades against that of the weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from anyon_quantization.matrix import Array
from anyon_quantization.schemes import scheme

_NORM = (0.0, 0.25, 0.5, 0.75)  # exponents tried of a column's size in the inputs
_WEIGHTS = (0.0, 0.25, 0.5, 0.75)  # and in the matrices
_CLEARLY = 0.9  # of the usual exponents' error
_MOST_ROWS = 512  # of a matrix that the search looks at: an even choice of them says enough


def column_scales(rms: Array, matrices: Sequence[Array], powers: tuple[float, float]) -> Array:
    """s (K,): size of the inputs' column ** powers[0] / largest weight of the column ** powers[1], with geometric mean
    1; 1 for a column of zeros. rms: sizes (K,), measured or what stands for them; matrices: (N, K)."""
    largest = np.max([np.maximum(matrix.max(axis=0), -matrix.min(axis=0)) for matrix in matrices], axis=0)
    used = (rms > 0) & (largest > 0)
    exponent = np.zeros(rms.shape, np.float64)
    exponent[used] = powers[0] * np.log2(rms[used]) - powers[1] * np.log2(largest[used])
    exponent[used] -= exponent[used].mean() if used.any() else 0
    scales: Array = np.exp2(exponent).astype(np.float32)
    return scales


def choose_powers(
    rows: Array,
    moments: Array,
    matrices: Mapping[str, Array],
    schemes: Mapping[str, str],
    bits: int,
    usual: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float]:
    """The exponents with the least error of the products on rows (R, K), inputs rounded to `bits` and weights by their
    schemes, each relative to the size of its product. matrices: by name, (N, K). The usual exponents stay unless
    others are better by more than a sample's chance."""
    rms = np.sqrt(np.diag(moments))
    exact = {}
    for name, matrix in matrices.items():
        step = -(-len(matrix) // _MOST_ROWS)
        exact[name] = (matrix[::step], rows @ matrix[::step].T)
    best, least = usual, np.inf
    for powers in (usual, *itertools.product(_NORM, _WEIGHTS)):
        columns = column_scales(rms, list(matrices.values()), powers)
        x = round_inputs(rows / columns, bits)
        error = 0.0
        for name, (matrix, product) in exact.items():
            chosen = scheme(schemes[name])
            scaled = matrix * columns
            rounded = chosen.unpack(chosen.pack(scaled), *scaled.shape)
            error += float(((x @ rounded.T - product) ** 2).sum() / max(float((product**2).sum()), 1e-30))
        if error < least:
            best, least = powers, error * (_CLEARLY if powers == usual else 1)
    return best


def round_inputs(x: Array, bits: int) -> Array:
    """Each row in steps of its range / 255 (16 bits: / 65280), 0 on the grid, as linear_i8 does."""
    low, high = np.minimum(x.min(-1, keepdims=True), 0), np.maximum(x.max(-1, keepdims=True), 0)
    scale = (high - low) / np.float32(255 if bits == 8 else 65280)
    scale = np.where(scale < np.finfo(np.float32).tiny, np.float32(1), scale)
    rounded: Array = np.rint(x / scale) * scale
    return rounded

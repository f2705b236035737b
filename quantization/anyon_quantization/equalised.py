"""Any integer scheme after columns are made equally large: w[n, k] ≈ column[k] * q[n, k] with q quantised.

A few inputs of an output head carry weights many times as large as the others, and one step for the whole row suits
none. The product takes the column to the input: x · w[n] = (x * column) · q[n]; rounded to 16 bits, inputs stand that.
Whisper's head loses a third of the error it has without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anyon_quantization.int4 import Int4
from anyon_quantization.int8 import Int8
from anyon_quantization.matrix import Array, Layout, finite

SUFFIX = "-equalised"


@dataclass(frozen=True)
class Equalised:
    inner: Int8 | Int4

    @property
    def name(self) -> str:
        return self.inner.name + SUFFIX

    @property
    def layout(self) -> str:
        return self.inner.layout

    def tensors(self, n: int, k: int) -> dict[str, Layout]:
        return {**self.inner.tensors(n, k), "column": ((k,), "float32")}

    def pack(self, matrix: Array) -> dict[str, Array]:
        column = self.column(matrix)
        return {**self.inner.pack(matrix / column), "column": column}

    def unpack(self, tensors: Mapping[str, Array], n: int, k: int) -> Array:
        rows: Array = self.inner.unpack(tensors, n, k) * tensors["column"]
        return rows

    def error_bound(self, matrix: Array) -> Array:
        """The inner scheme's, column by column, and the two float roundings of dividing and multiplying."""
        column = self.column(matrix)
        bound: Array = self.inner.error_bound(matrix / column) * column * np.float32(1 + 2.0**-16)
        return bound

    @staticmethod
    def column(matrix: Array) -> Array:
        """max|w| of each column (K,) relative to their geometric mean; 1 for a column of zeros."""
        largest = finite(np.maximum(matrix.max(axis=0, initial=0), -matrix.min(axis=0, initial=0)), "equalised")
        empty = largest < 1e-30
        logarithm = np.log(np.where(empty, 1, largest).astype(np.float64))
        mean = logarithm[~empty].mean() if not empty.all() else 0.0
        column: Array = np.where(empty, 1.0, np.exp(logarithm - mean)).astype(np.float32)
        return column

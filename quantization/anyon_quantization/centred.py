"""Any integer scheme around the mean row: what all outputs have in common is kept exactly and quantised nowhere.

w[n] ≈ mean + q[n] with q quantised. Rows of an output head share a large component that no comparison of outputs sees;
without it the steps of Whisper's head are 2.5 times finer. The product is x · w[n] = x · mean + x · q[n].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anyon_quantization.int4 import Int4
from anyon_quantization.int8 import Int8
from anyon_quantization.matrix import Array, Layout

SUFFIX = "-centred"


@dataclass(frozen=True)
class Centred:
    inner: Int8 | Int4

    @property
    def name(self) -> str:
        return self.inner.name + SUFFIX

    @property
    def layout(self) -> str:
        return self.inner.layout

    def tensors(self, n: int, k: int) -> dict[str, Layout]:
        return {**self.inner.tensors(n, k), "mean": ((k,), "float32")}

    def pack(self, matrix: Array) -> dict[str, Array]:
        mean = self.mean(matrix)
        return {**self.inner.pack(matrix - mean), "mean": mean}

    def unpack(self, tensors: Mapping[str, Array], n: int, k: int) -> Array:
        rows: Array = self.inner.unpack(tensors, n, k) + tensors["mean"]
        return rows

    def error_bound(self, matrix: Array) -> Array:
        """The inner scheme's, and the float rounding of taking the mean off and adding it again."""
        mean = self.mean(matrix)
        rounding = (np.abs(matrix).max(initial=0) + np.abs(mean).max(initial=0)) * np.float32(2.0**-22)
        bound: Array = self.inner.error_bound(matrix - mean) + rounding
        return bound

    @staticmethod
    def mean(matrix: Array) -> Array:
        """(N, K) -> (K,) float32."""
        return matrix.mean(axis=0, dtype=np.float64).astype(np.float32)

"""What every scheme answers about a weight matrix: the tensors it becomes, how to make them, how to read them back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Layout = tuple[tuple[int, ...], str]  # shape and numpy dtype name

VERSION = 3  # grows when a scheme gives other values: bundles in caches are made again then
PANEL = 16  # outputs side by side; kPanel of runtime_cpp/kernels/linear/linear.h
_BLOCK = 1 << 18  # weights worked on at a time: their float32 copies stay in a core's cache


class QuantizationError(ValueError):
    """A weight or a recipe that cannot be quantised; says which, why, and what to try."""


class Scheme(Protocol):
    """One way to store a matrix (N, K). Tensors go by role: "" is the packed matrix, others stand beside it."""

    @property
    def name(self) -> str:
        """As recipes and tables spell it."""

    @property
    def layout(self) -> str:
        """Of the packed matrix, as bundles call it."""

    def tensors(self, n: int, k: int) -> dict[str, Layout]:
        """Shape and dtype of every tensor, in the order they are stored."""

    def pack(self, matrix: Array, moments: Array | None = None) -> dict[str, Array]:
        """The tensors of a float matrix. QuantizationError for values that are not finite.

        moments: the mean of x xᵀ (K, K) over inputs x of the product; integers are then rounded so that the product
        comes nearest (gptq.py), while each weight may move further than error_bound says."""

    def unpack(self, tensors: Mapping[str, Array], n: int, k: int) -> Array:
        """The matrix (N, K) float32 that the tensors stand for."""

    def error_bound(self, matrix: Array) -> Array:
        """(N, K) or broadcastable to it: what |unpack(pack(matrix)) - matrix| never exceeds."""


def row_blocks(n: int, k: int, multiple: int = 1) -> Iterator[slice]:
    """Slices that cover n rows of k weights, each a multiple of `multiple` rows (but for the last)."""
    step = max(1, _BLOCK // max(1, k) // multiple) * multiple
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def finite(largest: Array, what: str) -> Array:
    """`largest` of each row or group; QuantizationError when a weight behind it is no finite number."""
    if not np.isfinite(largest).all():
        raise QuantizationError(f"{what}: a weight is not finite (is the checkpoint damaged?)")
    return largest


def padded(n: int, multiple: int) -> int:
    return math.ceil(n / multiple) * multiple

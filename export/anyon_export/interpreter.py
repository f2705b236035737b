"""The ops of a lowered program in plain numpy: the second opinion on lowering and on every engine that runs it.

Quantised ops compute what the kernels compute: activations become 8 unsigned bits for each token, products are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from anyon_quantization.float32 import unpack_panel16
from anyon_quantization.int4 import unpack_groups, unpack_panel16x8
from anyon_quantization.int8 import unpack_panel16x4

Array = npt.NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "gelu": lambda x: (0.5 * x * (1 + _erf(x / math.sqrt(2)))).astype(np.float32),
}


ATTENTION_BLOCK = 256  # keys; kBlockKeysI8 of runtime_cpp/kernels/attention_i8


def unpack_int4(stored: Array, scale: Array, zero: Array, rows: int, columns: int, group: int) -> Array:
    """The first rows of panel16x8 with scales and zero points (ceil(N / 16), K / group, 16) -> w (rows, K)."""
    q = unpack_panel16x8(stored, 0, rows).reshape(rows, -1, group)
    scales, zeros = (unpack_groups(part, 0, rows)[..., None].astype(np.float32) for part in (scale, zero))
    return ((q - zeros) * scales).reshape(rows, -1)[:, :columns]


def quantise_tokens(x: Array, bits: int = 8) -> tuple[Array, Array, Array]:
    """x (..., k) -> u (..., k), scale and zero point (..., 1): x ≈ scale * (u - zero); the range holds 0.

    8 bits: u in 0..255. 16 bits: 65280 steps, the zero point a multiple of 256.
    """
    low, high = np.minimum(x.min(-1, keepdims=True), 0), np.maximum(x.max(-1, keepdims=True), 0)
    scale = (high - low) / np.float32(255 if bits == 8 else 65280)
    scale = np.where(scale < np.finfo(np.float32).tiny, np.float32(1), scale)
    zero = np.rint(-low / scale) if bits == 8 else np.ceil(-low / scale / 256) * 256
    return np.clip(np.rint(x / scale) + zero, 0, 2**bits - 1), scale, zero


def symmetric_tokens(x: Array, bits: int) -> Array:
    """x rounded to steps of its largest / 127 (16 bits: / 32639), as the 4-bit kernels do."""
    steps = np.float32(127 if bits == 8 else 32639)
    scale = np.abs(x).max(-1, keepdims=True) / steps
    scale = np.where(scale < np.finfo(np.float32).tiny, np.float32(1), scale)
    return np.rint(x / scale) * scale


def int8_product(x: Array, q: Array, scale: Array, bits: int = 8, exact: bool = True) -> Array:
    """x @ (scale * q).T with x quantised. Sums of products reach 255 * 127 * k: float64 holds them exactly."""
    u, x_scale, zero = quantise_tokens(x, bits)
    wide = np.float64 if exact else np.float32
    return ((u - zero).astype(wide) @ q.T.astype(wide) * x_scale).astype(np.float32) * scale


def rounded(x: Array, axis: int) -> Array:
    """x in steps of a 127th of the largest along the axis."""
    scale = np.abs(x).max(axis, keepdims=True) / np.float32(127)
    return np.rint(x / np.where(scale == 0, np.float32(1), scale)) * scale


class Interpreter:
    """One program with its states. weights: bundle tensors by name.

    exact: integer products are exact, and unpacked weights stay for the next run; False takes less time and memory.
    """

    def __init__(self, program: dict[str, Any], weights: Mapping[str, Array], exact: bool = True) -> None:
        self.program = program
        self.weights = weights
        self.states: dict[str, Array] = {}
        self._exact = exact
        self._unpacked: dict[int, Array] = {}

    def run(self, **inputs: Array) -> dict[str, Array]:
        names = {spec["name"] for spec in self.program["inputs"]}
        assert set(inputs) == names
        values: dict[str, Array] = dict(inputs)
        for op in self.program["ops"]:
            arguments = [self._value(values, name) for name in op["inputs"]]
            function: Callable[..., Array] = getattr(self, "_" + op["op"])
            (output,) = op["outputs"]
            values[output] = function(*arguments, **op["attrs"])
        return {spec["name"]: values[spec["name"]] for spec in self.program["outputs"]}

    def _value(self, values: dict[str, Array], name: str) -> Array | None:
        if not name:
            return None
        return values[name] if name in values else self.weights[name]

    def _linear(
        self, x: Array, weight: Array, bias: Array | None, residual: Array | None, *, k: int, n: int, activation: str
    ) -> Array:
        assert x.shape[-1] == k
        return self._finish(x @ unpack_panel16(weight, 0, n).astype(np.float32).T, bias, residual, activation)

    def _linear_i8(
        self,
        x: Array,
        weight: Array,
        scale: Array,
        sums: Array,
        bias: Array | None,
        residual: Array | None,
        *,
        k: int,
        n: int,
        activation: str,
        input_bits: int = 8,
    ) -> Array:
        assert (x.shape[-1], len(scale)) == (k, n)
        y = int8_product(x, self._int8(weight, scale, sums, k), scale, input_bits, self._exact)
        return self._finish(y, bias, residual, activation)

    def _linear_i4(
        self,
        x: Array,
        weight: Array,
        scale: Array,
        zero: Array,
        bias: Array | None,
        residual: Array | None,
        *,
        k: int,
        n: int,
        group: int,
        activation: str,
        input_bits: int = 8,
    ) -> Array:
        assert x.shape[-1] == k
        rounded_x = symmetric_tokens(x, input_bits)
        product = rounded_x @ self._kept(unpack_int4, weight, scale, zero, n, k, group).T
        return self._finish(product, bias, residual, activation)

    def _int8(self, weight: Array, scale: Array, sums: Array, columns: int) -> Array:
        q = self._kept(unpack_panel16x4, weight, 0, len(scale), columns)
        assert np.array_equal(q.sum(1, dtype=np.int64), sums)
        return q

    def _kept(self, unpack: Callable[..., Array], stored: Array, *arguments: Any) -> Array:
        """Unpacking a weight takes longer than using it."""
        if not self._exact:
            return unpack(stored, *arguments)
        if id(stored) not in self._unpacked:
            self._unpacked[id(stored)] = unpack(stored, *arguments)
        return self._unpacked[id(stored)]

    def _finish(self, y: Array, bias: Array | None, residual: Array | None, activation: str) -> Array:
        y = ACTIVATIONS[activation](y if bias is None else y + bias)
        if residual is None:
            return y
        return y + (residual[: y.shape[1]] if residual.ndim < y.ndim else residual)

    def _conv1d(self, x: Array, weight: Array, bias: Array | None, residual: Array | None, **attrs: Any) -> Array:
        matrix = unpack_panel16(weight, 0, attrs["cout"]).astype(np.float32)  # (cout, kernel * cin)
        return self._finish(self._windows(x, **attrs) @ matrix.T, bias, residual, attrs["activation"])

    def _conv1d_i8(
        self,
        x: Array,
        weight: Array,
        scale: Array,
        sums: Array,
        bias: Array | None,
        residual: Array | None,
        **attrs: Any,
    ) -> Array:
        q = self._int8(weight, scale, sums, attrs["kernel"] * attrs["cin"])
        y = int8_product(self._windows(x, **attrs), q, scale, exact=self._exact)
        return self._finish(y, bias, residual, attrs["activation"])

    def _windows(self, x: Array, *, kernel: int, stride: int, padding: int, cin: int, **_: Any) -> Array:
        """(batch, time, cin) -> (batch, time / stride, kernel * cin)."""
        padded = np.pad(x, ((0, 0), (padding, padding), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=1)[:, ::stride]  # (..., cin, kernel)
        return windows.transpose(0, 1, 3, 2).reshape(*windows.shape[:2], kernel * cin)

    def _transpose(self, x: Array, *, perm: list[int]) -> Array:
        return x.transpose(perm)

    def _split_heads(self, x: Array, *, heads: int) -> Array:
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    def _layer_norm(self, x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * scale + bias

    def _embedding(self, ids: Array, weight: Array, *, rows: int, width: int, layout: str) -> Array:
        assert weight.shape[1] == width
        table = unpack_panel16(weight, 0, int(ids.max()) + 1) if layout == "panel16" else weight
        return table[ids].astype(np.float32)

    def _embedding_i8(self, ids: Array, weight: Array, scale: Array, *, rows: int, width: int) -> Array:
        assert len(scale) == rows
        used = int(ids.max()) + 1
        return (unpack_panel16x4(weight, 0, used, width) * scale[:used, None])[ids]

    def _embedding_i4(
        self,
        ids: Array,
        weight: Array,
        scale: Array,
        zero: Array,
        *,
        rows: int,
        width: int,
        group: int,
    ) -> Array:
        return unpack_int4(weight, scale, zero, int(ids.max()) + 1, width, group)[ids]

    def _add(self, a: Array, b: Array) -> Array:
        return a + b

    def _mul(self, a: Array, b: Array) -> Array:
        return a * b

    def _gather(self, x: Array, index: Array, *, axis: int) -> Array:
        return np.take(x, index, axis)

    def _attention(self, q: Array, k: Array, v: Array, **attrs: Any) -> Array:
        heads, head_dim = attrs["heads"], attrs["head_dim"]

        def split(x: Array, offset: int) -> Array:
            if x.ndim == 4:
                return x
            return self._split_heads(x[..., offset : offset + heads * head_dim], heads=heads)

        query, key, value = (split(x, attrs[f"{role}_offset"]) for x, role in ((q, "q"), (k, "k"), (v, "v")))
        past = 0
        if attrs["key_state"]:
            past = self.states[attrs["key_state"]].shape[2] if attrs["key_state"] in self.states else 0
            key = self._append(attrs["key_state"], key)
            value = self._append(attrs["value_state"], value)
        groups = len(query) // len(key)
        key, value = key.repeat(groups, axis=0), value.repeat(groups, axis=0)
        scores = query @ key.transpose(0, 1, 3, 2) * np.float32(attrs["scale"])
        if attrs["causal"]:
            time, length = scores.shape[2:]
            hidden = np.arange(length)[None] > past + np.arange(time)[:, None]
            scores = np.where(hidden, np.float32(-np.inf), scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        y = (weights / weights.sum(-1, keepdims=True)) @ value
        return y.transpose(0, 2, 1, 3).reshape(*y.transpose(0, 2, 1, 3).shape[:2], heads * head_dim)

    def _pack_attention_i8(self, k: Array, v: Array, **attrs: Any) -> Array:
        return np.zeros((len(k), attrs["heads"], 0), np.uint8)  # how it is packed is the kernels' own affair

    def _attention_i8(self, q: Array, k: Array, v: Array, packed: Array | None, **attrs: Any) -> Array:
        """Queries and centred keys get a scale each, centred values one for each column; weights are 8 bits relative to
        the largest of their block."""
        heads, head_dim = attrs["heads"], attrs["head_dim"]

        def split(x: Array, offset: int) -> Array:
            return x if x.ndim == 4 else self._split_heads(x[..., offset : offset + heads * head_dim], heads=heads)

        query, key, value = (split(x, attrs[f"{role}_offset"]) for x, role in ((q, "q"), (k, "k"), (v, "v")))
        groups = len(query) // len(key)
        mean = value.mean(2, keepdims=True)
        key = rounded(key - key.mean(2, keepdims=True), axis=3).repeat(groups, axis=0)
        value = rounded(value - mean, axis=2).repeat(groups, axis=0)
        scores = rounded(query, axis=3) @ key.transpose(0, 1, 3, 2) * np.float32(attrs["scale"])
        largest = scores.max(-1, keepdims=True)
        total, y = np.float32(0), np.float32(0)
        for start in range(0, scores.shape[-1], ATTENTION_BLOCK):
            block = scores[..., start : start + ATTENTION_BLOCK]
            top = block.max(-1, keepdims=True)
            weights = np.rint(255 * np.exp(block - top)) * np.exp(top - largest)
            total = total + weights.sum(-1, keepdims=True)
            y = y + weights @ value[:, :, start : start + ATTENTION_BLOCK]
        y = y / total + mean.repeat(groups, axis=0)
        return y.transpose(0, 2, 1, 3).reshape(len(query), query.shape[2], heads * head_dim)

    def _append(self, state: str, new: Array) -> Array:
        old = self.states.get(state)
        self.states[state] = new if old is None else np.concatenate([old, new], axis=2)
        return self.states[state]

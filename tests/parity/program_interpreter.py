"""The ops of a lowered program in plain numpy: the second opinion on lowering, independent of the C++ runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attrs = dict[str, Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "gelu": lambda x: (0.5 * x * (1 + _erf(x / math.sqrt(2)))).astype(np.float32),
}


def unpack(stored: Array, rows: int) -> Array:
    """panel16 (ceil(N / 16), K, 16) -> (N, K), from the definition: element (n, k) is at (n // 16, k, n % 16)."""
    n = np.arange(rows)
    return stored[n // 16, :, n % 16]


class Interpreter:
    """One program with its states. weights: bundle tensors by name."""

    def __init__(self, program: dict[str, Any], weights: Mapping[str, Array]) -> None:
        self.program = program
        self.weights = weights
        self.states: dict[str, Array] = {}

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
        y = x @ unpack(weight, n).T
        y = ACTIVATIONS[activation](y if bias is None else y + bias)
        return y if residual is None else y + residual

    def _conv1d(self, x: Array, weight: Array, bias: Array | None, residual: Array | None, **attrs: Any) -> Array:
        kernel, stride, padding = attrs["kernel"], attrs["stride"], attrs["padding"]
        matrix = unpack(weight, attrs["cout"])  # (cout, kernel * cin)
        padded = np.pad(x, ((0, 0), (padding, padding), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=1)[:, ::stride]  # (..., cin, kernel)
        rows = windows.transpose(0, 1, 3, 2).reshape(*windows.shape[:2], kernel * attrs["cin"])
        y = rows @ matrix.T
        y = ACTIVATIONS[attrs["activation"]](y if bias is None else y + bias)
        return y if residual is None else y + residual[: y.shape[1]]

    def _transpose(self, x: Array, *, perm: list[int]) -> Array:
        return x.transpose(perm)

    def _split_heads(self, x: Array, *, heads: int) -> Array:
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    def _layer_norm(self, x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * scale + bias

    def _embedding(self, ids: Array, weight: Array, *, rows: int, width: int, layout: str) -> Array:
        table = unpack(weight, rows) if layout == "panel16" else weight
        assert table.shape == (rows, width)
        return table[ids]

    def _add(self, a: Array, b: Array) -> Array:
        return a + b

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

    def _append(self, state: str, new: Array) -> Array:
        old = self.states.get(state)
        self.states[state] = new if old is None else np.concatenate([old, new], axis=2)
        return self.states[state]

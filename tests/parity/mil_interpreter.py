"""Runs a saved ML program op by op: the second opinion on what is exported for Core ML, where no Core ML is.

Ops follow the MIL reference (coremltools' definitions for iOS 18). A value that the program declares as float16 is
rounded to it, once, after the op that makes it; inside an op (products, norms, softmax) sums are float32, as Apple's
engines hold them or better. `exact` leaves float16 out, states included: then only the program itself can be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mil_package import NUMPY, Array, Operation, Package, Type, read_package

# Their results do not depend on inputs: evaluated once.
_CONSTANT = ("const", "constexpr_blockwise_shift_scale", "constexpr_lut_to_dense")
# These only move values, which their types hold already: rounding them again would change nothing and takes a while.
_MOVING = ("reshape", "transpose", "slice_update", "slice_by_index", "gather", "read_state")


class Interpreter:
    """One program with its states. Floats are kept in float32 arrays whose values the declared type can hold."""

    def __init__(self, package: Package | Path, exact: bool = False) -> None:
        self.package = package if isinstance(package, Package) else read_package(package)
        self.exact = exact
        self.states: dict[str, Array] = {}
        self.reset()
        self.constants: dict[str, Any] = {}
        self.operations: list[Operation] = []
        for op in self.package.operations:
            if op.kind in _CONSTANT:
                self._run(op, self.constants)
            else:
                self.operations.append(op)

    def reset(self) -> None:
        """What makeState gives: zeros."""
        self.states = {name: np.zeros(_fixed(type_), np.float32) for name, type_ in self.package.states.items()}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs and outputs have the types that the package declares."""
        assert set(inputs) == set(self.package.inputs)
        values = dict(self.constants)
        for name, type_ in self.package.inputs.items():
            assert inputs[name].dtype == NUMPY[type_.dtype], f"{name}: {inputs[name].dtype}"
            values[name] = self._as(type_, inputs[name], name)
        for op in self.operations:
            self._run(op, values)
        return {name: values[name] for name in self.package.outputs}

    def _run(self, op: Operation, values: dict[str, Any]) -> None:
        function: Callable[..., Any] | None = getattr(self, f"_{op.kind}", None)
        if function is None:
            raise NotImplementedError(f"op {op.kind} is not known")
        if op.kind == "const":
            results = op.value
        else:
            results = function(**{p: self._arguments(p, given, values) for p, given in op.inputs.items()})
        assert len(op.outputs) == (results is not None)
        for name, type_ in op.outputs:
            moved = op.kind in _MOVING
            values[name] = results if isinstance(results, str) else self._as(type_, results, name, moved)

    def _arguments(self, parameter: str, given: list[str | Array], values: dict[str, Any]) -> Any:
        found = [self._argument(argument, values) for argument in given]
        return found if parameter == "values" else found[0]

    def _argument(self, given: str | Array, values: dict[str, Any]) -> Any:
        """A value; of a state its name."""
        if isinstance(given, str):
            return given if given in self.package.states else values[given]
        return given.astype(np.float32) if given.dtype == np.float16 else given

    def _as(self, type_: Type, value: Any, name: str, moved: bool = False) -> Array:
        """The value as its type holds it, after a check of its shape and range. moved: it has been of that type."""
        array = np.asarray(value)
        declared = [size if size is not None else found for size, found in zip(type_.shape, array.shape, strict=True)]
        assert list(array.shape) == declared, f"{name}: {array.shape}, declared {type_.shape}"
        if type_.dtype.startswith("FLOAT"):
            if type_.dtype == "FLOAT16" and not (self.exact or moved):
                with np.errstate(over="ignore"):
                    array = array.astype(np.float16)
            return array.astype(np.float32, copy=False)
        if type_.dtype in ("INT4", "UINT4"):
            return array
        converted = array.astype(NUMPY[type_.dtype])
        assert np.array_equal(converted, array), f"{name}: does not fit {type_.dtype}"
        return converted

    # Weights

    def _const(self) -> None: ...

    def _constexpr_blockwise_shift_scale(self, data: Array, scale: Array, offset: Array | None = None) -> Array:
        shifted = data.astype(np.float32) - (0 if offset is None else spread(offset, data.shape))
        return shifted * spread(scale.astype(np.float32), data.shape)

    def _constexpr_lut_to_dense(self, indices: Array, lut: Array) -> Array:
        """lut (groups along each axis..., values, 1); indices of the result's shape."""
        assert lut.ndim == indices.ndim + 2
        assert lut.shape[-1] == 1
        groups = lut.shape[:-2]
        place = [
            np.arange(size).reshape([-1 if i == axis else 1 for i in range(indices.ndim)]) // (size // groups[axis])
            for axis, size in enumerate(indices.shape)
        ]
        return lut[(*place, indices, 0)]

    # States

    def _read_state(self, input: str) -> Array:
        return self.states[input]

    def _write_state(self, input: str, data: Array) -> None:
        self.states[input] = self._as(self.package.states[input], data, input)

    # Arithmetic

    def _add(self, x: Array, y: Array) -> Array:
        return x + y

    def _cast(self, x: Array, dtype: str) -> Array:
        assert dtype in ("fp16", "fp32", "int32", "int16", "uint16", "bool"), dtype
        return x  # the declared type of the result says the same

    def _greater_equal(self, x: Array, y: Array) -> Array:
        return x >= y

    def _less_equal(self, x: Array, y: Array) -> Array:
        return x <= y

    def _select(self, cond: Array, a: Array, b: Array) -> Array:
        return np.where(cond, a, b)

    def _gelu(self, x: Array, mode: str) -> Array:
        assert mode == "EXACT"
        import torch

        found: Array = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
        return found

    def _layer_norm(self, x: Array, axes: Array, gamma: Array, beta: Array, epsilon: Array) -> Array:
        assert axes.tolist() == [-1]
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + epsilon) * gamma + beta

    def _linear(self, x: Array, weight: Array, bias: Array) -> Array:
        return x @ weight.T + bias

    def _conv(
        self,
        x: Array,
        weight: Array,
        bias: Array,
        strides: Array,
        pad_type: str,
        pad: Array,
        dilations: Array,
        groups: Array,
    ) -> Array:
        """One dimension: x (batch, channels, time)."""
        assert (pad_type, groups, dilations.tolist()) == ("custom", 1, [1])
        import torch

        padded, *parameters = map(torch.from_numpy, (np.pad(x, ((0, 0), (0, 0), tuple(pad.tolist()))), weight, bias))
        found: Array = torch.nn.functional.conv1d(padded, *parameters, stride=int(strides[0])).numpy()
        return found

    def _scaled_dot_product_attention(
        self, query: Array, key: Array, value: Array, attn_mask: Array | None = None
    ) -> Array:
        scores = query @ key.swapaxes(-1, -2) / np.float32(math.sqrt(query.shape[-1]))
        if attn_mask is not None:
            assert attn_mask.dtype == np.bool_
            scores = np.where(attn_mask, scores, np.float32(-np.inf))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True) @ value

    # Shapes

    def _shape(self, x: Array) -> Array:
        return np.array(x.shape)

    def _range_1d(self, start: Array, end: Array, step: Array) -> Array:
        return np.arange(start, end, step)

    def _expand_dims(self, x: Array, axes: Array) -> Array:
        return np.expand_dims(x, tuple(axes.tolist()))

    def _transpose(self, x: Array, perm: Array) -> Array:
        return np.ascontiguousarray(x.transpose(perm.tolist()))

    def _reshape(self, x: Array, shape: Array) -> Array:
        return x.reshape(shape.tolist())

    def _concat(self, values: list[Array], axis: Array, interleave: Array) -> Array:
        assert not interleave
        return np.concatenate(values, int(axis))

    def _gather(self, x: Array, indices: Array, axis: Array, batch_dims: Array, validate_indices: Array) -> Array:
        assert batch_dims == 0
        # MIL leaves it open what an index outside gives.
        inside = (indices >= 0) & (indices < x.shape[int(axis)])
        assert inside.all(), f"gather: {indices[~inside]} is outside the table of {x.shape}"
        return np.take(x, indices, int(axis))

    def _slice_update(self, x: Array, update: Array, begin: Array, end: Array) -> Array:
        places = tuple(slice(first, last) for first, last in zip(begin.tolist(), end.tolist(), strict=True))
        updated = x.copy()
        assert updated[places].shape == update.shape, "an update of another size than its place"
        updated[places] = update
        return updated

    def _slice_by_index(self, x: Array, begin: Array, end: Array, end_mask: Array, squeeze_mask: Array) -> Array:
        """A squeezed axis takes the one place at `begin`, and its `end` is not read."""
        places: list[slice | int] = []
        for first, last, whole, squeeze in zip(begin, end, end_mask, squeeze_mask, strict=True):
            places.append(int(first) if squeeze else slice(int(first), None if whole else int(last)))
        return x[tuple(places)]


def spread(small: Array, shape: tuple[int, ...]) -> Array:
    """Each value repeated over its block: the size of a block is the ratio of the sizes."""
    for axis, size in enumerate(shape):
        assert size % small.shape[axis] == 0
        small = np.repeat(small, size // small.shape[axis], axis)
    return small


def _fixed(type_: Type) -> list[int]:
    return [size for size in type_.shape if size is not None]

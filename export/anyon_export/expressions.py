"""Weight expressions: how a tensor of a bundle is made from the tensors of a checkpoint. numpy only.

An expression is a tree of few operations with known shape and dtype, so a bundle can be laid out before any weight is
read, and a blueprint can carry it as JSON. Adding an operation (a quantiser's packing, for example) is one `register`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from anyon_quantization.float16 import to_half
from anyon_quantization.float32 import pack_panel16
from anyon_quantization.matrix import PANEL, QuantizationError
from anyon_quantization.schemes import scheme
from anyon_quantization.smoothing import column_scales

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class Expression:
    """One node: `op` applied to `of`, giving a tensor of `shape` and numpy dtype name `dtype`."""

    op: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    of: tuple[Expression, ...] = ()
    attrs: Attributes = field(default_factory=dict, hash=False)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Operation:
    """infer: attributes and operands -> (shape, dtype), ValueError if they do not fit. evaluate: in numpy."""

    infer: Callable[[Attributes, Sequence[Expression]], tuple[tuple[int, ...], str]]
    evaluate: Callable[[Attributes, Sequence[Array]], Array]


OPERATIONS: dict[str, Operation] = {}
_KEPT = ("equaliser", "rotation")
_ROTATED_TOGETHER = 64  # columns of a block: a group of int4's
_ROWS = 1 << 12  # of a matrix that is widened to float64 at a time


def register(name: str, operation: Operation) -> None:
    if name in OPERATIONS or name == "param":
        raise ValueError(f"expressions: operation {name!r} exists already")
    OPERATIONS[name] = operation


def make(op: str, of: Sequence[Expression] = (), **attrs: Any) -> Expression:
    """An expression with its shape inferred; ValueError for an unknown operation or operands that do not fit."""
    if op not in OPERATIONS:
        raise ValueError(f"expressions: unknown operation {op!r}; known: param, {', '.join(sorted(OPERATIONS))}")
    shape, dtype = OPERATIONS[op].infer(attrs, of)
    return Expression(op, shape, dtype, tuple(of), attrs)


def param(name: str, shape: Sequence[int]) -> Expression:
    """A checkpoint tensor, as float32 whatever the checkpoint stores."""
    return Expression("param", tuple(shape), attrs={"name": name})


def counting(length: int) -> Expression:
    """(length,) int64: 0, 1, 2, ..."""
    return make("counting", length=length)


def zeros(shape: Sequence[int]) -> Expression:
    return make("zeros", shape=list(shape))


def constant(array: Array) -> Expression:
    """A small tensor written out in the blueprint."""
    return make("constant", values=array.ravel().tolist(), shape=list(array.shape), dtype=str(array.dtype))


def rows(parts: Sequence[Expression]) -> Expression:
    """Concatenation along the first axis."""
    return parts[0] if len(parts) == 1 else make("rows", parts)


def transpose(of: Expression, perm: Sequence[int]) -> Expression:
    """Permuted axes; a transpose of a transpose is merged, an identity vanishes."""
    if of.op == "transpose":
        inner = of.attrs["perm"]
        return transpose(of.of[0], [inner[axis] for axis in perm])
    if list(perm) == list(range(len(of.shape))):
        return of
    return make("transpose", [of], perm=list(perm))


def reshape(of: Expression, shape: Sequence[int]) -> Expression:
    return of if tuple(shape) == of.shape else make("reshape", [of], shape=list(shape))


def panel16(of: Expression) -> Expression:
    """(N, K) -> (ceil(N / 16), K, 16), zero rows at the end; element (n, k) goes to (n // 16, k, n % 16)."""
    return make("panel16", [of])


def quantised(of: Expression, scheme_name: str, moments: Expression | None = None) -> dict[str, Expression]:
    """The tensors of a matrix (N, K) in a scheme of anyon_quantization, by role; "" is the packed matrix. With moments
    (K, K) of its inputs GPTQ rounds it."""
    roles = scheme(scheme_name).tensors(*of.shape)
    parts = [of] if moments is None else [of, moments]
    return {role: make("quantised", parts, scheme=scheme_name, role=role) for role in roles}


def rotation(of: Expression) -> Expression:
    """(K, K), orthogonal, from a matrix (N, K): the directions in which its rows extend, the largest first, every 64 of
    them (or the largest power of two below that divides K) mixed by a Hadamard matrix."""
    return make("rotation", [of])


def product(of: Expression, by: Expression) -> Expression:
    """(N, K) times (K, M)."""
    return make("product", [of, by])


def half(of: Expression) -> Expression:
    """As float16."""
    return make("half", [of])


def hypotenuse(a: Expression, b: Expression) -> Expression:
    """sqrt(a² + b²), element by element, of one shape."""
    return make("hypotenuse", [a, b])


def root_mean_square(moments: Expression) -> Expression:
    """(K,): the size of each input, from the mean of x xᵀ (K, K)."""
    return make("root_mean_square", [moments])


def equaliser(sizes: Expression, matrices: Sequence[Expression], powers: tuple[float, float]) -> Expression:
    """(K,) from sizes of inputs (K,) and matrices (N, K) that read them: what to multiply the columns by; see
    anyon_quantization.smoothing.column_scales."""
    return make("equaliser", [sizes, *matrices], powers=list(powers))


def times_columns(of: Expression, scale: Expression) -> Expression:
    """A matrix (N, K) with its columns multiplied by scale (K,)."""
    return make("times_columns", [of, scale])


def divided(of: Expression, by: Expression) -> Expression:
    """Element by element, of one shape."""
    return make("divided", [of, by])


def inverse(of: Expression) -> Expression:
    """1 / of."""
    return make("inverse", [of])


class Evaluator:
    """Makes tensors from a checkpoint's. What it quantised last is kept, so that the tensors of one weight, asked for
    one after the other, cost one quantisation; so are equalisers and rotations, which are small and read whole
    matrices."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors
        self._quantised: tuple[tuple[Expression, ...], str, dict[str, Array]] = ((), "", {})
        self._small: list[tuple[Expression, Array]] = []

    def __call__(self, expression: Expression) -> Array:
        """The tensor itself, C-contiguous. KeyError names a missing parameter, ValueError one of a wrong shape."""
        return np.ascontiguousarray(self._evaluate(expression))

    def _evaluate(self, expression: Expression) -> Array:
        if expression.op == "param":
            name = expression.attrs["name"]
            array = np.asarray(self._tensors[name])
            if array.shape != expression.shape:
                raise ValueError(f"checkpoint: {name} has shape {list(array.shape)}, expected {list(expression.shape)}")
            return array.astype(np.float32, copy=False)
        if expression.op == "quantised":
            return self._pack(expression.of, expression.attrs["scheme"])[expression.attrs["role"]]
        if expression.op in _KEPT:
            kept = next((array for known, array in self._small if known == expression), None)
            if kept is not None:
                return kept
        operands = [self._evaluate(part) for part in expression.of]
        array = OPERATIONS[expression.op].evaluate(expression.attrs, operands)
        if expression.op in _KEPT:
            self._small.append((expression, array))
        return array

    def _pack(self, parts: tuple[Expression, ...], scheme_name: str) -> dict[str, Array]:
        if self._quantised[:2] != (parts, scheme_name):
            self._quantised = ((), "", {})  # freed before the next one is made
            try:
                tensors = scheme(scheme_name).pack(*(self._evaluate(part) for part in parts))
            except QuantizationError as error:
                raise ValueError(f"{' + '.join(parameters(parts[0]))}: {error}") from error
            self._quantised = (parts, scheme_name, tensors)
        return self._quantised[2]


def parameters(expression: Expression) -> Iterator[str]:
    """Names of the checkpoint tensors it reads."""
    if expression.op == "param":
        yield expression.attrs["name"]
    for part in expression.of:
        yield from parameters(part)


def to_json(expression: Expression) -> dict[str, Any]:
    if expression.op == "param":
        return {"param": expression.attrs["name"], "shape": list(expression.shape)}
    result: dict[str, Any] = {"op": expression.op, **expression.attrs}
    if expression.of:
        result["of"] = [to_json(part) for part in expression.of]
    return result


def from_json(data: Any, depth: int = 16) -> Expression:
    """Inverse of `to_json`; ValueError for anything malformed."""
    if not isinstance(data, dict) or depth == 0:
        raise ValueError("expressions: not an expression (or one nested too deeply)")
    if "param" in data:
        return param(str(data["param"]), [int(size) for size in data["shape"]])
    attrs = {key: value for key, value in data.items() if key not in ("op", "of")}
    return make(str(data.get("op")), [from_json(part, depth - 1) for part in data.get("of", [])], **attrs)


def _infer_rows(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len({part.shape[1:] for part in of}) != 1 or len({part.dtype for part in of}) != 1:
        raise ValueError(f"expressions: rows of different widths: {[part.shape for part in of]}")
    return (sum(part.shape[0] for part in of), *of[0].shape[1:]), of[0].dtype


def _infer_reshape(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    shape = tuple(attrs["shape"])
    if math.prod(shape) != math.prod(of[0].shape):
        raise ValueError(f"expressions: {of[0].shape} cannot be seen as {shape}")
    return shape, of[0].dtype


def _infer_panel16(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len(of[0].shape) != 2:
        raise ValueError(f"expressions: panel16 needs a matrix, got shape {of[0].shape}")
    n, k = of[0].shape
    return (-(-n // PANEL), k, PANEL), of[0].dtype


def _infer_quantised(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len(of) not in (1, 2) or len(of[0].shape) != 2 or any(part.shape != of[0].shape[1:] * 2 for part in of[1:]):
        raise ValueError(f"expressions: only a matrix can be quantised, got {[part.shape for part in of]}")
    tensors = scheme(str(attrs["scheme"])).tensors(*of[0].shape)
    if attrs["role"] not in tensors:
        raise ValueError(f"expressions: scheme {attrs['scheme']} has no tensor {attrs['role']!r}")
    return tensors[attrs["role"]]


def _infer_equaliser(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len(of) < 2 or {of[0].shape} != {part.shape[1:] for part in of[1:]} or len(of[0].shape) != 1:
        raise ValueError(f"expressions: columns of {[part.shape for part in of]} do not correspond")
    return of[0].shape, "float32"


def _equaliser(attrs: Attributes, of: Sequence[Array]) -> Array:
    return column_scales(of[0], of[1:], tuple(attrs["powers"]))


def _infer_root_mean_square(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len(of) != 1 or len(of[0].shape) != 2 or of[0].shape[0] != of[0].shape[1]:
        raise ValueError(f"expressions: no moments: {[part.shape for part in of]}")
    return of[0].shape[:1], "float32"


def _infer_rotation(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len(of) != 1 or len(of[0].shape) != 2:
        raise ValueError(f"expressions: only a matrix has a rotation, got {[part.shape for part in of]}")
    return (of[0].shape[1], of[0].shape[1]), "float32"


def _rotation(attrs: Attributes, of: Sequence[Array]) -> Array:
    width = of[0].shape[1]
    moments = np.zeros((width, width))
    for start in range(0, len(of[0]), _ROWS):
        part = of[0][start : start + _ROWS].astype(np.float64)
        moments += part.T @ part
    directions = np.linalg.eigh(moments)[1][:, ::-1]
    # An eigenvector's sign is the solver's choice: here its largest element is positive.
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    directions = directions * np.where(largest < 0, -1.0, 1.0)
    block = math.gcd(width, _ROTATED_TOGETHER)
    mixed = directions.reshape(width, -1, block) @ _hadamard(block)
    return mixed.reshape(width, width).astype(np.float32)


def _hadamard(size: int) -> Array:
    """Sylvester's, orthogonal; size: a power of two."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / math.sqrt(size)


def _infer_product(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len(of) != 2 or any(len(part.shape) != 2 for part in of) or of[0].shape[1] != of[1].shape[0]:
        raise ValueError(f"expressions: no product of {[part.shape for part in of]}")
    return (of[0].shape[0], of[1].shape[1]), "float32"


def _infer_times_columns(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if of[1].shape != of[0].shape[1:]:
        raise ValueError(f"expressions: {of[0].shape} has not {of[1].shape} columns")
    return of[0].shape, of[0].dtype


def _infer_same(attrs: Attributes, of: Sequence[Expression]) -> tuple[tuple[int, ...], str]:
    if len({part.shape for part in of}) != 1:
        raise ValueError(f"expressions: shapes differ: {[part.shape for part in of]}")
    return of[0].shape, of[0].dtype


def _never(attrs: Attributes, of: Sequence[Array]) -> Array:
    raise AssertionError("the Evaluator quantises; it keeps all tensors of a weight")


register(
    "counting",
    Operation(
        lambda attrs, of: ((int(attrs["length"]),), "int64"),
        lambda attrs, of: np.arange(attrs["length"], dtype=np.int64),
    ),
)
register(
    "zeros",
    Operation(
        lambda attrs, of: (tuple(attrs["shape"]), "float32"),
        lambda attrs, of: np.zeros(attrs["shape"], dtype=np.float32),
    ),
)
register(
    "constant",
    Operation(
        lambda attrs, of: (tuple(attrs["shape"]), str(np.dtype(attrs["dtype"]))),
        lambda attrs, of: np.array(attrs["values"], dtype=attrs["dtype"]).reshape(attrs["shape"]),
    ),
)
register("rows", Operation(_infer_rows, lambda attrs, of: np.concatenate(of, axis=0)))
register(
    "transpose",
    Operation(
        lambda attrs, of: (tuple(of[0].shape[axis] for axis in attrs["perm"]), of[0].dtype),
        lambda attrs, of: of[0].transpose(attrs["perm"]),
    ),
)
register("reshape", Operation(_infer_reshape, lambda attrs, of: of[0].reshape(attrs["shape"])))
register("panel16", Operation(_infer_panel16, lambda attrs, of: pack_panel16(of[0])))
register("equaliser", Operation(_infer_equaliser, _equaliser))
register("times_columns", Operation(_infer_times_columns, lambda attrs, of: of[0] * of[1]))
register("divided", Operation(_infer_same, lambda attrs, of: of[0] / of[1]))
register("hypotenuse", Operation(_infer_same, lambda attrs, of: np.hypot(of[0], of[1])))
register(
    "root_mean_square", Operation(_infer_root_mean_square, lambda attrs, of: np.sqrt(np.diag(of[0])).astype(np.float32))
)
register("rotation", Operation(_infer_rotation, _rotation))
register("product", Operation(_infer_product, lambda attrs, of: of[0] @ of[1]))
register("inverse", Operation(_infer_same, lambda attrs, of: 1 / of[0]))
register("quantised", Operation(_infer_quantised, _never))
register("half", Operation(lambda attrs, of: (of[0].shape, "float16"), lambda attrs, of: to_half(of[0])))

"""ONNX element types by the names that programs use, and the arrays that hold their values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

Array = npt.NDArray[Any]

# Types that tensors of the runtime have.
STORED: dict[int, str] = {
    TensorProto.FLOAT: "f32",
    TensorProto.FLOAT16: "f16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.DOUBLE: "f64",
    TensorProto.INT8: "i8",
    TensorProto.UINT8: "u8",
    TensorProto.INT16: "i16",
    TensorProto.UINT16: "u16",
    TensorProto.INT32: "i32",
    TensorProto.UINT32: "u32",
    TensorProto.INT64: "i64",
    TensorProto.UINT64: "u64",
    TensorProto.BOOL: "bool",
}

# Types whose values lie in tensors of a wider one: (name, type of the tensor). Only ops that round to them name them.
NARROW: dict[int, tuple[str, str]] = {
    TensorProto.INT4: ("i4", "i8"),
    TensorProto.UINT4: ("u4", "u8"),
    TensorProto.INT2: ("i2", "i8"),
    TensorProto.UINT2: ("u2", "u8"),
    TensorProto.FLOAT8E4M3FN: ("f8e4m3fn", "f32"),
    TensorProto.FLOAT8E4M3FNUZ: ("f8e4m3fnuz", "f32"),
    TensorProto.FLOAT8E5M2: ("f8e5m2", "f32"),
    TensorProto.FLOAT8E5M2FNUZ: ("f8e5m2fnuz", "f32"),
    TensorProto.FLOAT8E8M0: ("f8e8m0", "f32"),
    TensorProto.FLOAT4E2M1: ("f4e2m1", "f32"),
}

_NUMPY: dict[str, Any] = {"i8": np.int8, "u8": np.uint8, "f32": np.float32}


def storage(elem_type: int) -> str | None:
    """The type of the tensors that hold these values; None for one that the runtime has no tensors of."""
    if elem_type in NARROW:
        return NARROW[elem_type][1]
    return STORED.get(elem_type)


def value_name(elem_type: int) -> str:
    """What Cast and QuantizeLinear call the type; ONNX's own name for one they do not know."""
    if elem_type in NARROW:
        return NARROW[elem_type][0]
    return STORED.get(elem_type) or str(TensorProto.DataType.Name(elem_type))


def stored(array: Array, elem_type: int) -> Array:
    """The array as the runtime holds it."""
    if elem_type in NARROW:
        return np.asarray(array).astype(_NUMPY[NARROW[elem_type][1]])
    return np.asarray(array)

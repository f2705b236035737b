"""Reads a saved .mlpackage: the protobuf specification and the weights beside it, from what is on disk alone.

Formats: MIL.proto and Model.proto of coremltools, and MILBlob's storage (a header, then blobs that each begin with 64
bytes of metadata: a sentinel, type, bytes, offset of the data, padding bits of a type below 8 bits).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_SENTINEL = 0xDEADBEEF
# MILBlob's number of a type -> (name in MIL, bits)
_BLOB_TYPES = {
    1: ("FLOAT16", 16),
    2: ("FLOAT32", 32),
    3: ("UINT8", 8),
    4: ("INT8", 8),
    6: ("INT16", 16),
    7: ("UINT16", 16),
    8: ("INT4", 4),
    11: ("UINT4", 4),
    14: ("INT32", 32),
}
NUMPY = {
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "UINT16": np.uint16,
    "INT32": np.int32,
    "BOOL": np.bool_,
}


@dataclass(frozen=True)
class Type:
    """dtype: MIL's name; shape: None where a size is not fixed."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Operation:
    """inputs: parameter -> names of values, or values that are written out in the program."""

    kind: str
    inputs: dict[str, list[str | Array]]
    outputs: list[tuple[str, Type]]
    value: Any = None  # of a const


@dataclass(frozen=True)
class Package:
    inputs: dict[str, Type]
    states: dict[str, Type]
    outputs: list[str]
    operations: list[Operation]
    spec: Any


def read_package(path: Path) -> Package:
    """The `main` function of an ML program."""
    from coremltools.proto import Model_pb2

    data = path / "Data" / "com.apple.CoreML"
    spec = Model_pb2.Model()
    spec.ParseFromString((data / "model.mlmodel").read_bytes())
    weights = np.fromfile(data / "weights" / "weight.bin", np.uint8)
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    values = {entry.name: entry.type for entry in function.inputs}
    states = {name for name, type_ in values.items() if type_.WhichOneof("type") == "stateType"}
    return Package(
        inputs={name: _type(type_.tensorType) for name, type_ in values.items() if name not in states},
        states={name: _type(values[name].stateType.wrappedType.tensorType) for name in values if name in states},
        outputs=list(block.outputs),
        operations=[_operation(op, weights) for op in block.operations],
        spec=spec,
    )


def _operation(op: Any, weights: Array) -> Operation:
    assert not op.blocks, f"{op.type}: blocks inside an operation are not read"
    inputs = {
        parameter: [a.name if a.WhichOneof("binding") == "name" else _value(a.value, weights) for a in found.arguments]
        for parameter, found in op.inputs.items()
    }
    outputs = [(out.name, _type(out.type.tensorType)) for out in op.outputs]
    value = _value(op.attributes["val"], weights) if op.type == "const" else None
    # Everything that changes a result is an input in MIL; another attribute would be one that nobody looks at here.
    unread = set(op.attributes) - {"name", "val"}
    assert not unread, f"{op.type}: attributes {unread}"
    return Operation(op.type, inputs, outputs, value)


def _type(tensor: Any) -> Type:
    from coremltools.proto import MIL_pb2

    sizes = (d.constant.size if d.WhichOneof("dimension") == "constant" else None for d in tensor.dimensions)
    return Type(MIL_pb2.DataType.Name(tensor.dataType), tuple(sizes))


def _value(value: Any, weights: Array) -> Any:
    """An array, or a string."""
    type_ = _type(value.type.tensorType)
    if value.WhichOneof("value") == "blobFileValue":
        assert value.blobFileValue.fileName == "@model_path/weights/weight.bin"
        return _blob(weights, value.blobFileValue.offset, type_)
    tensor = value.immediateValue.tensor
    field = tensor.WhichOneof("value")
    if field == "strings":
        (text,) = tensor.strings.values
        return text
    if field == "bytes":
        return _unpacked(np.frombuffer(tensor.bytes.values, np.uint8), type_)
    listed = getattr(tensor, field).values if field else []
    return np.array(listed, NUMPY[type_.dtype]).reshape(type_.shape)


def _blob(weights: Array, offset: int, type_: Type) -> Array:
    sentinel, kind, size, begin, padding = struct.unpack("<IIQQQ", weights[offset : offset + 32].tobytes())
    assert sentinel == _SENTINEL, f"no blob at {offset}"
    dtype, bits = _BLOB_TYPES[kind]
    assert dtype == type_.dtype
    assert size * 8 - padding == math.prod(type_.shape) * bits
    return _unpacked(weights[begin : begin + size], type_)


def _unpacked(data: Array, type_: Type) -> Array:
    """Bytes -> array. Of two values of 4 bits in a byte the first is the low half."""
    assert None not in type_.shape
    if type_.dtype not in ("INT4", "UINT4"):
        return data.view(NUMPY[type_.dtype]).reshape(type_.shape)
    halves = np.stack([data & 15, data >> 4], axis=1).reshape(-1)[: math.prod(type_.shape)].reshape(type_.shape)
    return ((halves ^ 8).astype(np.int8) - 8) if type_.dtype == "INT4" else halves

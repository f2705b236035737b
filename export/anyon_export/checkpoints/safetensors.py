"""Reads one .safetensors file: u64 header size, JSON header, data. Nothing is copied but bfloat16, which becomes f32.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from .checkpoint import Array, TensorEntry
from .errors import DAMAGED, CheckpointError
from .files import Bytes, Cursor, bf16_to_f32, element_count, integer, mapped, parse_json
from .limits import MAX_DIMENSION, MAX_NAME_BYTES, MAX_RANK, MAX_SAFETENSORS_HEADER_BYTES, MAX_TENSORS

# Format dtype -> bytes per element. Only the float types of _FLOATS can be weights.
_ITEM_SIZES: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8, "C64": 8,
}  # fmt: skip
_FLOATS: Final[dict[str, np.dtype[Any]]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "BF16": np.dtype("<u2"),
    "F64": np.dtype("<f8"),
}


@dataclass(frozen=True)
class SafetensorsFile:
    """Validated header of one file; `tensors` holds (dtype name, shape, raw bytes as a view of the map)."""

    path: Path
    metadata: dict[str, str]
    tensors: dict[str, tuple[str, tuple[int, ...], Bytes]]

    def entry(self, name: str) -> TensorEntry:
        """The tensor as f16 or f32; bf16 and f64 are converted to f32 when read."""
        dtype, shape, raw = self.tensors[name]
        if dtype not in _FLOATS:
            raise CheckpointError(
                self.path, f"tensor {name!r}", f"dtype {dtype} cannot be a Whisper weight", "float checkpoints are read"
            )
        return float_entry(raw, _FLOATS[dtype], shape, bf16=dtype == "BF16")


def float_entry(raw: Bytes, dtype: np.dtype[Any], shape: tuple[int, ...], bf16: bool = False) -> TensorEntry:
    """Lazy tensor over `raw` (exactly the bytes of `shape`): f16 and f32 as views, bf16 (`dtype` u2) and f64 as f32."""

    def read() -> Array:
        values = raw.view(dtype).reshape(shape)
        if bf16:
            return bf16_to_f32(values)
        return values.astype(np.float32) if dtype.itemsize == 8 else values

    kept = np.dtype(np.float16) if dtype == np.float16 else np.dtype(np.float32)
    return TensorEntry(shape, kept, read)


def read_safetensors(path: Path) -> SafetensorsFile:
    """Opens and validates: header bounds, names, dtypes, shapes, offsets that tile the data without gap or overlap."""
    data = mapped(path)
    cursor = Cursor(data, path)
    size = cursor.u64("header size")
    if size > len(data) - 8:
        cursor.fail(f"the header claims {size} bytes, the file has {len(data)}", "header size")
    if size > MAX_SAFETENSORS_HEADER_BYTES:
        cursor.fail(f"a header of {size} bytes is over the limit of {MAX_SAFETENSORS_HEADER_BYTES}", "header size")
    header = parse_json(cursor.take(size, "header"), path, "header")
    if not isinstance(header, dict):
        raise CheckpointError(path, "header", "a JSON object is expected", DAMAGED)
    metadata = _metadata(header.pop("__metadata__", None), path)
    if len(header) > MAX_TENSORS:
        raise CheckpointError(path, "header", f"{len(header)} tensors, at most {MAX_TENSORS} are read")

    body = data[8 + size :]
    tensors: dict[str, tuple[str, tuple[int, ...], Bytes]] = {}
    spans: list[tuple[int, int, str]] = []
    for name, info in header.items():
        dtype, shape, begin, end = _tensor_info(name, info, len(body), path)
        spans.append((begin, end, name))
        tensors[name] = (dtype, shape, body[begin:end])
    expected = 0
    for begin, end, name in sorted(spans):
        if begin != expected:
            what = "overlaps the one before" if begin < expected else f"leaves a gap before byte {begin} of the data"
            raise CheckpointError(path, f"tensor {name[:80]!r}", what, DAMAGED)
        expected = end
    if expected != len(body):
        raise CheckpointError(path, "data", f"tensors end at byte {expected}, the data at {len(body)}", DAMAGED)
    return SafetensorsFile(path, metadata, tensors)


def _metadata(value: object, path: Path) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise CheckpointError(path, "header: __metadata__", "an object of strings is expected", DAMAGED)
    return value


def _tensor_info(name: str, info: object, body_size: int, path: Path) -> tuple[str, tuple[int, ...], int, int]:
    """Checked (dtype, shape, begin, end) of one header entry."""
    where = f"tensor {name[:80]!r}"
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise CheckpointError(path, where, f"a name of 1 to {MAX_NAME_BYTES} bytes is expected")
    if not isinstance(info, dict) or set(info) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(path, where, "dtype, shape and data_offsets are expected", DAMAGED)
    dtype, dims, offsets = info["dtype"], info["shape"], info["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_SIZES:
        raise CheckpointError(path, where, f"unknown dtype {str(dtype)[:20]!r}")
    if not isinstance(dims, list) or len(dims) > MAX_RANK:
        raise CheckpointError(path, where, f"a shape of at most {MAX_RANK} dimensions is expected")
    shape = tuple(integer(size, 0, MAX_DIMENSION, path, f"{where}: shape") for size in dims)
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise CheckpointError(path, where, "two data_offsets are expected", DAMAGED)
    begin = integer(offsets[0], 0, body_size, path, f"{where}: data_offsets")
    end = integer(offsets[1], begin, body_size, path, f"{where}: data_offsets")
    needed = element_count(shape) * _ITEM_SIZES[dtype]
    if end - begin != needed:
        raise CheckpointError(
            path, where, f"shape {shape} of {dtype} needs {needed} bytes, {end - begin} given", DAMAGED
        )
    return dtype, shape, begin, end

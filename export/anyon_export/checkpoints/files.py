"""Bounded, checked access to untrusted files: memory maps, a byte cursor, JSON, plain names."""

from __future__ import annotations

import json
import mmap
import os
import struct
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from .errors import DAMAGED, CheckpointError

Bytes = npt.NDArray[np.uint8]


def mapped(path: Path) -> Bytes:
    """The file as a read-only u8 array over a memory map. Raises CheckpointError for anything but a non-empty file."""
    if not path.is_file():
        raise CheckpointError(path, "", "not a regular file" if path.exists() else "no such file")
    if path.stat().st_size == 0:
        raise CheckpointError(path, "", "the file is empty", "an interrupted download? fetch it again")
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


class Cursor:
    """Walks little-endian fields of an untrusted byte array; every read is checked against the end first."""

    def __init__(self, data: Bytes, path: Path, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.path = path
        self.at = start
        self.end = len(data) if end is None else end

    def fail(self, what: str, where: str = "", hint: str = DAMAGED) -> NoReturn:
        place = f"byte {self.at}" if not where else f"{where} (byte {self.at})"
        raise CheckpointError(self.path, place, what, hint)

    def view(self, count: int, what: str) -> Bytes:
        """The next `count` bytes without a copy."""
        if count < 0 or count > self.end - self.at:
            self.fail(f"needs {count} bytes, {self.end - self.at} are left", what)
        view = self.data[self.at : self.at + count]
        self.at += count
        return view

    def take(self, count: int, what: str) -> bytes:
        return self.view(count, what).tobytes()

    def _unpack(self, form: str, what: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form), what))[0])

    def u8(self, what: str) -> int:
        return self._unpack("<B", what)

    def u16(self, what: str) -> int:
        return self._unpack("<H", what)

    def u32(self, what: str) -> int:
        return self._unpack("<I", what)

    def u64(self, what: str) -> int:
        return self._unpack("<Q", what)

    def i32(self, what: str) -> int:
        return self._unpack("<i", what)

    def text(self, count: int, what: str) -> str:
        try:
            return self.take(count, what).decode("utf-8")
        except UnicodeDecodeError:
            self.fail("not UTF-8", what)


def bf16_to_f32(raw: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """bfloat16 bit patterns -> float32, exactly (bfloat16 is the upper half of a float32)."""
    wide: npt.NDArray[np.uint32] = raw.astype(np.uint32) << np.uint32(16)
    return wide.view(np.float32)


def parse_json(raw: bytes, path: Path, where: str = "") -> Any:
    """JSON from outside: duplicate keys, NaN and nesting that exhausts the parser are CheckpointErrors."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    raise CheckpointError(path, where, f"the name {key[:80]!r} appears twice", DAMAGED)
                seen.add(key)
        return result

    def no_constant(name: str) -> NoReturn:
        raise CheckpointError(path, where, f"{name} is not JSON", DAMAGED)

    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)
    except RecursionError:
        raise CheckpointError(path, where, "JSON nested too deeply", "not a checkpoint's file") from None
    except (ValueError, UnicodeDecodeError) as error:  # ValueError: malformed, or a number of thousands of digits
        raise CheckpointError(path, where, f"not valid JSON: {str(error)[:120]}", DAMAGED) from None


def read_json(path: Path, limit: int) -> dict[str, Any]:
    """A JSON object of at most `limit` bytes."""
    value = parse_json(read_bounded(path, limit), path)
    if not isinstance(value, dict):
        raise CheckpointError(path, "", f"a JSON object is expected, found {type(value).__name__}")
    return value


def read_bounded(path: Path, limit: int) -> bytes:
    """The whole file, refused when it is longer than `limit` bytes."""
    if not path.is_file():
        raise CheckpointError(path, "", "not a regular file" if path.exists() else "no such file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        raw = file.read(size) if size <= limit else b""
    if size > limit:
        raise CheckpointError(path, "", f"larger than the {limit} bytes allowed for this kind of file")
    if raw.startswith(b"version https://git-lfs"):
        raise CheckpointError(path, "", "a Git LFS pointer, not the file itself", "run `git lfs pull`")
    return raw


def integer(value: object, low: int, high: int, path: Path, where: str) -> int:
    """`value` if it is an int within [low, high]; bool, float and everything else are refused."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise CheckpointError(path, where, f"an integer is expected, found {type(value).__name__}")
    if not low <= value <= high:
        shown = str(value) if abs(value) < 10**20 else "a huge number"
        raise CheckpointError(path, where, f"{shown} is outside {low}..{high}")
    return value


def element_count(shape: tuple[int, ...]) -> int:
    """Number of elements, in Python integers: cannot overflow."""
    count = 1
    for size in shape:
        count *= size
    return count

"""What the tests of damaged checkpoints share."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anyon_export.checkpoints import CheckpointError


def refused(read: Callable[[Path], Any], path: Path, content: bytes, message: str) -> None:
    """`content` at `path` is refused with `message`, which names the path, within 8 MiB of Python memory."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message) as caught:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 8 << 20, f"{peak} bytes were allocated"


def patched(content: bytes, at: int, form: str, *values: int) -> bytes:
    raw = bytearray(content)
    struct.pack_into(form, raw, at, *values)
    return bytes(raw)

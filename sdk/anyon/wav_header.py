"""How many bytes a WAV file's header promises; FFmpeg silently shortens a file that broke off."""

from __future__ import annotations

import struct
from typing import IO

# Writers that cannot go back (pipes) leave sizes like these in the header.
_UNKNOWN_FROM = 0x7FFF0000
_MAX_CHUNKS = 64


def promised_bytes(file: IO[bytes]) -> int | None:
    """Where the sample data should end, in bytes from the start of the file.

    None when this is no RIFF/WAVE file, or its header does not say. Source: Microsoft's RIFF specification; 12 bytes
    of "RIFF" size "WAVE", then chunks of id, size, content, padded to even sizes.
    """
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    position = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            return None
        name, size = struct.unpack("<4sI", chunk)
        position += 8
        if name == b"data":
            return None if size == 0 or size >= _UNKNOWN_FROM else position + int(size)
        position += size + (size & 1)
    return None

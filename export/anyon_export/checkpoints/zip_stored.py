"""The directory of a zip archive whose entries are stored, never compressed: what torch.save writes.

Refusing compression rules out decompression bombs and lets tensors be views of the mapped file.
Format: PKWARE APPNOTE 6.3, sections 4.3.7 to 4.3.16.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import DAMAGED, CheckpointError
from .files import Bytes, Cursor
from .limits import MAX_NAME_BYTES, MAX_ZIP_DIRECTORY_BYTES, MAX_ZIP_ENTRIES

_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_LOCATOR64: Final = b"PK\x06\x07"
_CENTRAL: Final = b"PK\x01\x02"
_LOCAL: Final = b"PK\x03\x04"
_ALL_ONES: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class StoredEntry:
    """One entry: its bytes as a view of the map, and the CRC-32 the directory states."""

    data: Bytes
    crc32: int


def read_stored_zip(data: Bytes, path: Path) -> dict[str, StoredEntry]:
    """name -> entry, with every offset checked and no two entries overlapping. Raises CheckpointError."""
    count, size, offset = _find_directory(data, path)
    if count > MAX_ZIP_ENTRIES or size > MAX_ZIP_DIRECTORY_BYTES:
        raise CheckpointError(path, "zip directory", f"{count} entries in {size} bytes are over the limit")
    cursor = Cursor(data, path, offset, offset + size)
    entries: dict[str, StoredEntry] = {}
    spans: list[tuple[int, int, str]] = []
    for _ in range(count):
        name, entry, begin, end = _read_entry(cursor, offset)
        if name in entries:
            raise CheckpointError(path, f"zip entry {name[:80]!r}", "appears twice", DAMAGED)
        entries[name] = entry
        spans.append((begin, end, name))
    if cursor.at != cursor.end:
        cursor.fail("bytes left over after the last entry", "zip directory")
    spans.sort()
    for (_, end, _), (begin, _, name) in itertools.pairwise(spans):
        if begin < end:
            raise CheckpointError(path, f"zip entry {name[:80]!r}", "overlaps another entry", DAMAGED)
    return entries


def _find_directory(data: Bytes, path: Path) -> tuple[int, int, int]:
    """(entries, bytes, offset) of the central directory, from the end record or its zip64 form."""
    tail_start = max(0, len(data) - 22 - 65_535)
    tail = data[tail_start:].tobytes()
    found = tail.rfind(_END)
    if found < 0 or len(tail) - found < 22:
        raise CheckpointError(path, "zip end record", "not found at the end of the file", DAMAGED)
    at = tail_start + found
    disk, directory_disk, here, count, size, offset, comment = struct.unpack("<4H2IH", tail[found + 4 : found + 22])
    if at + 22 + comment != len(data):
        raise CheckpointError(path, "zip end record", "the file does not end with it", DAMAGED)
    if 0xFFFF in (here, count) or _ALL_ONES in (size, offset):
        locator = Cursor(data, path, max(0, at - 20), at)
        if locator.take(4, "zip64 locator") != _LOCATOR64:
            raise CheckpointError(path, "zip64 locator", "missing", DAMAGED)
        locator.u32("zip64 locator")
        record_at = locator.u64("zip64 locator")
        if record_at > at:
            raise CheckpointError(path, "zip64 locator", f"points to byte {record_at}, beyond itself", DAMAGED)
        record = Cursor(data, path, record_at, at)
        if record.take(4, "zip64 record") != _END64:
            raise CheckpointError(path, "zip64 record", f"not found at byte {record_at}", DAMAGED)
        record.view(12, "zip64 record")
        disk, directory_disk = record.u32("zip64 record"), record.u32("zip64 record")
        here, count = record.u64("zip64 record"), record.u64("zip64 record")
        size, offset = record.u64("zip64 record"), record.u64("zip64 record")
    if disk or directory_disk or here != count:
        raise CheckpointError(path, "zip end record", "split over several files", DAMAGED)
    if offset > at or size > at - offset:
        raise CheckpointError(path, "zip directory", f"{size} bytes at {offset} pass the end record at {at}", DAMAGED)
    return count, size, offset


def _read_entry(cursor: Cursor, data_end: int) -> tuple[str, StoredEntry, int, int]:
    """One central directory entry -> (name, entry, first byte of its local header, end of its data)."""
    fixed = cursor.take(46, "zip directory")
    if fixed[:4] != _CENTRAL:
        cursor.fail("not a directory entry", "zip directory")
    (_, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size, disk, _, _, start) = (
        struct.unpack("<6H3I5H2I", fixed[4:])
    )
    if name_size > MAX_NAME_BYTES:
        cursor.fail(f"an entry's name has {name_size} bytes", "zip directory")
    raw_name = cursor.take(name_size, "zip entry name")
    extra = cursor.take(extra_size, "zip entry extra field")
    cursor.view(comment_size, "zip entry comment")
    name = raw_name.decode("utf-8", "replace")
    where = f"zip entry {name[:80]!r}"
    if flags & 0x2041 or disk:  # encryption, or another disk
        raise CheckpointError(cursor.path, where, "encrypted or on another disk")
    size, packed, start = _zip64_sizes(cursor.path, where, extra, size, packed, start)
    if method != 0 or packed != size:
        raise CheckpointError(
            cursor.path, where, f"compressed (method {method}); torch.save stores entries uncompressed", "save it again"
        )
    local = Cursor(cursor.data, cursor.path, min(start, data_end), data_end)
    header = local.take(30, f"{where}: local header")
    local_name_size, local_extra_size = struct.unpack("<2H", header[26:30])
    if header[:4] != _LOCAL or local.take(local_name_size, f"{where}: local name") != raw_name:
        raise CheckpointError(cursor.path, where, f"no matching local header at byte {start}", DAMAGED)
    local.view(local_extra_size, f"{where}: local extra field")
    view = local.view(size, where)
    return name, StoredEntry(view, crc), start, local.at


def _zip64_sizes(path: Path, where: str, extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """Replaces the fields that are all ones by the 64-bit values of extra field 1, which stand there in this order."""
    if _ALL_ONES not in (size, packed, start):
        return size, packed, start
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack("<2H", extra[at : at + 4])
        if tag == 1:
            wide = extra[at + 4 : at + 4 + length]
            values = [v for (v,) in struct.iter_unpack("<Q", wide[: len(wide) // 8 * 8])]
            fields = [size, packed, start]
            for i, narrow in enumerate(fields):
                if narrow == _ALL_ONES:
                    if not values:
                        break
                    fields[i] = values.pop(0)
            else:
                return fields[0], fields[1], fields[2]
            break
        at += 4 + length
    raise CheckpointError(path, where, "64-bit sizes are missing", DAMAGED)

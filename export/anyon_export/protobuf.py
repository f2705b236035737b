"""The wire format of protocol buffers, as far as changing a few fields of an ONNX file takes.

Bundles are made at run time too, where the package `onnx` is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """value >= 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(number: int, value: int) -> bytes:
    """Field `number` holding an integer."""
    return varint(number << 3 | VARINT) + varint(value)


def message(number: int, content: bytes | str) -> bytes:
    """Field `number` holding bytes, a text or a message."""
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def number(value: bytes) -> int:
    """What a VARINT field holds; negative numbers are two's complement of 64 bits, as protocol buffers write them."""
    result = _varint(value, 0)[0]
    return result - (1 << 64) if result >> 63 else result


def numbers(kind: int, value: bytes) -> list[int]:
    """What one field of a repeated integer holds: one number, or several packed together."""
    if kind == VARINT:
        return [number(value)]
    found, position = [], 0
    while position < len(value):
        result, position = _varint(value, position)
        found.append(result)
    return found


def fields(data: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """(number, wire type, value, the whole field) of each field; the value of BYTES is its content.

    Raises ValueError when the message is cut off or damaged.
    """
    position = 0
    while position < len(data):
        start = position
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        begin = position
        if kind == VARINT:
            _, position = _varint(data, position)
        elif kind in (FIXED64, FIXED32):
            position += 8 if kind == FIXED64 else 4
        elif kind == BYTES:
            size, begin = _varint(data, position)
            position = begin + size
        else:
            raise ValueError(f"protobuf: wire type {kind} at byte {start}")
        if position > len(data):
            raise ValueError(f"protobuf: field {number} ends at byte {position}, the message has {len(data)}")
        yield number, kind, data[begin:position], data[start:position]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
    raise ValueError(f"protobuf: a number at byte {position} has no end")

"""Reads what an object file is for and which symbols it defines: 64-bit ELF and Mach-O, WebAssembly."""

from __future__ import annotations

import struct
from dataclasses import dataclass

ELF_AARCH64, ELF_X86_64 = 183, 62
MACH_ARM64, MACH_IOS = 0x0100000C, 2
_LC_SYMTAB, _LC_BUILD_VERSION = 2, 0x32


@dataclass(frozen=True)
class ObjectFile:
    """machine: the format's own number; platform: Mach-O's, else 0; defined: symbols other objects may use."""

    format: str
    machine: int
    platform: int
    defined: frozenset[str]


def read(data: bytes) -> ObjectFile:
    if data[:4] == b"\x7fELF":
        return _elf(data)
    if data[:4] == bytes.fromhex("cffaedfe"):
        return _mach(data)
    if data[:8] == b"\0asm\1\0\0\0":
        return ObjectFile("wasm", 32, 0, frozenset())
    raise ValueError(f"no object file: it begins with {data[:8].hex()}")


def _name(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def _elf(data: bytes) -> ObjectFile:
    (machine,) = struct.unpack_from("<H", data, 18)
    (sections,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    # name, type, flags, address, offset, size, link, info, alignment, entry size
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, sections + size * i) for i in range(count)]
    defined = set()
    for _, kind, _, _, offset, length, link, _, _, entry in headers:
        if kind != 2:  # SHT_SYMTAB
            continue
        names = headers[link][4]
        for at in range(offset, offset + length, entry):
            name, info, _, section = struct.unpack_from("<IBBH", data, at)
            if info >> 4 == 1 and section:  # STB_GLOBAL, and not undefined
                defined.add(_name(data, names + name))
    return ObjectFile("elf", machine, 0, frozenset(defined))


def _mach(data: bytes) -> ObjectFile:
    machine, _, _, commands = struct.unpack_from("<IIII", data, 4)
    at, platform, defined = 32, 0, set()
    for _ in range(commands):
        command, size = struct.unpack_from("<II", data, at)
        if command == _LC_BUILD_VERSION:
            (platform,) = struct.unpack_from("<I", data, at + 8)
        if command == _LC_SYMTAB:
            symbols, count, names, _ = struct.unpack_from("<IIII", data, at + 8)
            for i in range(count):
                name, kind, section = struct.unpack_from("<IBB", data, symbols + 16 * i)
                if kind & 1 and section:  # N_EXT, and in a section of this file
                    defined.add(_name(data, names + name))
        at += size
    return ObjectFile("mach", machine, platform, frozenset(defined))

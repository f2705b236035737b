"""This machine: its processor's name, and how fast each backend was measured to run a program on it."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon import atomic

if TYPE_CHECKING:
    from anyon.bundle import Bundle

_VERSION = 1
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """One program on one backend: seconds and CPU seconds of a run, and bytes of memory it takes to load and run it."""

    seconds: float
    cpu_seconds: float
    memory: int
    version: str
    device: str


def processor() -> str:
    """As the operating system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor()


def fingerprint() -> str:
    """Changes when the operating system, the kind of processor or the number of cores does; costs microseconds."""
    from anyon import _native

    kernel = os.uname() if hasattr(os, "uname") else (sys.platform,)
    return f"{' '.join((kernel[0], *kernel[2:3], *kernel[4:]))} {' '.join(_native.supported_isas())} {os.cpu_count()}"


def program_key(bundle: Bundle, program: str, threads: int) -> str:
    """The same for bundles whose programs do the same work: other weights make no difference."""
    content = zlib.crc32(json.dumps(bundle.programs[program], sort_keys=True).encode())
    return f"{bundle.family} {program} {content:08x} {bundle.recipe} {threads}"


def read_profile(cache: Path, bundle: Bundle, program: str, threads: int) -> dict[str, Measured]:
    """What was measured here of a program, by backend; {} when nothing was, or it was another machine."""
    entries = _load(_path(cache))
    rows = entries.get(program_key(bundle, program, threads)) if entries else None
    found = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        with suppress(TypeError, ValueError):
            found[str(name)] = Measured(
                float(row["seconds"]), float(row["cpu_seconds"]), int(row["memory"]), str(row["version"]), row["device"]
            )
    return found


def write_profile(cache: Path, bundle: Bundle, threads: int, measured: Mapping[str, Mapping[str, Measured]]) -> Path:
    """Adds measurements, program -> backend, to this machine's profile. Raises OSError."""
    path = _path(cache)
    entries = _load(path)
    for program, rows in measured.items():
        entries[program_key(bundle, program, threads)] = {name: asdict(row) for name, row in rows.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": _VERSION, "machine": f"{fingerprint()} {processor()}", "entries": entries}
    atomic.write_bytes(path, json.dumps(content, indent=1).encode())
    return path


def _path(cache: Path) -> Path:
    return cache / "machine" / "profile.json"


def _load(path: Path) -> dict[str, Any]:
    """Its entries; {} for a profile that is missing, damaged, or of another machine."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        content = json.loads(path.read_bytes())
        if content["version"] != _VERSION or content["machine"] != f"{fingerprint()} {processor()}":
            return {}
        entries = content["entries"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) else {}

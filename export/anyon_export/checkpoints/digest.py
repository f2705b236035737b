"""sha256 of checkpoint files, streamed once and remembered per (path, size, modification time)."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

_CHUNK = 1 << 20
_MAX_REMEMBERED = 1_000
_MAX_CACHE_BYTES = 1 << 20
_memory: dict[str, list[object]] = {}
_lock = threading.Lock()


def cache_folder() -> Path:
    """Where digests are remembered, the SDK's cache folder: $ANYON_CACHE, else the platform's cache folder + /anyon."""
    if chosen := os.environ.get("ANYON_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "anyon" / "cache"
    if sys.platform == "darwin" and not os.environ.get("XDG_CACHE_HOME"):
        return Path.home() / "Library" / "Caches" / "anyon"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anyon"


def sha256_of(path: Path) -> str:
    """Hex sha256 of one file, from the memory or the cache when size and modification time are unchanged."""
    real = path.resolve()
    state = real.stat()
    key, stamp = str(real), [state.st_size, state.st_mtime_ns]
    with _lock:
        if not _memory:
            _memory.update(_load())
        known = _memory.get(key)
    if known is not None and known[:2] == stamp:
        return str(known[2])
    digest = hashlib.sha256()
    with real.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    with _lock:
        _memory[key] = [*stamp, digest.hexdigest()]
        _save()
    return digest.hexdigest()


def sha256_of_files(files: list[Path]) -> str:
    """One digest for several files: sha256 over the sorted lines `<name> <sha256 of the file>`."""
    lines = sorted(f"{file.name} {sha256_of(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _load() -> dict[str, list[object]]:
    """The remembered digests; a damaged or foreign file counts as none."""
    try:
        path = cache_folder() / "digests.json"
        stored = json.loads(path.read_bytes()) if path.stat().st_size <= _MAX_CACHE_BYTES else {}
        return {
            key: value
            for key, value in stored.items()
            if isinstance(value, list) and len(value) == 3 and isinstance(value[2], str) and len(value[2]) == 64
        }
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _save() -> None:
    """Best effort: a read-only or full disk only costs the next process the time to hash again."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        merged = {**_load(), **_memory}
        kept = dict(list(merged.items())[-_MAX_REMEMBERED:])
        handle, name = tempfile.mkstemp(dir=folder, prefix="digests-")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(kept, file)
            Path(name).replace(folder / "digests.json")
        except BaseException:
            Path(name).unlink()
            raise
    except OSError:
        pass

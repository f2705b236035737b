"""Where converted bundles are kept: file names by content, an index by what was asked for, locks between processes.

<cache>/bundles/<name>-<key>.anyon   key: digest of checkpoint sha256, recipe, formats and blueprint
<cache>/bundles/<name>-<key>.lock    held while that bundle is made
<cache>/index/<source>-<crc>.json   what a source became, so that the next load neither hashes nor asks the network
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anyon import atomic
from anyon.errors import CacheError

_INDEX_VERSION = 2
_MAX_INDEX_BYTES = 1 << 20
_POLL_SECONDS = 0.05


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The argument, else $ANYON_CACHE, else the user's cache folder (XDG_CACHE_HOME) + "anyon"."""
    chosen = cache_dir or os.environ.get("ANYON_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "anyon" / "cache"
    if sys.platform == "darwin" and not os.environ.get("XDG_CACHE_HOME"):
        return Path.home() / "Library" / "Caches" / "anyon"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anyon"


def file_stamp(path: Path) -> list[Any]:
    """[path, bytes, modification time in ns]: changes when the file does."""
    state = path.stat()
    return [str(path), state.st_size, state.st_mtime_ns]


def digest_of(*parts: str) -> str:
    """A name for a combination of texts; no two combinations share one."""
    import hashlib

    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def make_folder(folder: Path) -> None:
    """Creates the folder; CacheError names it and what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cache_error(folder, error) from error


def cache_error(path: Path, error: OSError, needed: int | None = None) -> CacheError:
    """The CacheError for an OSError while something was written under `path`."""
    elsewhere = "or set ANYON_CACHE, or cache_dir=, to a folder elsewhere"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        need = f"{needed} bytes are needed, " if needed is not None else ""
        return CacheError(f"{path}: disk full: {need}{free_bytes(path)} are free (make room, {elsewhere})")
    reason = error.strerror or str(error)
    return CacheError(f"{path}: cannot be written: {reason} (check its permissions, {elsewhere})")


def free_bytes(path: Path) -> int:
    """Free bytes of the file system that holds `path`, which need not exist yet."""
    import shutil

    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def require_room(folder: Path, needed: int) -> None:
    """CacheError, with both figures, unless the file system has `needed` bytes left."""
    free = free_bytes(folder)
    if free < needed:
        raise CacheError(
            f"{folder}: disk full: {needed} bytes are needed, {free} are free "
            "(make room, or set ANYON_CACHE, or cache_dir=, to a folder elsewhere)"
        )


class Index:
    """What sources became. One small file each, replaced whole, so that processes need no lock."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "index"
        self._bundles = root / "bundles"

    def find(self, key: str) -> dict[str, Any] | None:
        """The entry of a source whose bundle and files are all as they were, else None. Never raises."""
        try:
            path = self._path(key)
            if path.stat().st_size > _MAX_INDEX_BYTES:
                return None
            entry = json.loads(path.read_bytes())
            if entry["version"] != _INDEX_VERSION or entry["key"] != key:
                return None
            if any(file_stamp(Path(name)) != [name, size, time_ns] for name, size, time_ns in entry["files"]):
                return None
            name, size = entry["bundle"]
            bundle = self._bundles / name
            if "/" in name or "\\" in name or bundle.stat().st_size != size:
                return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return {**entry["details"], "bundle": bundle}

    def store(self, key: str, bundle: Path, files: list[Path], details: Mapping[str, Any]) -> None:
        """Remembers that `key` became `bundle` from `files`. Best effort: without it the next load works it out."""
        with suppress(OSError):
            entry = {
                "version": _INDEX_VERSION,
                "key": key,
                "bundle": [bundle.name, bundle.stat().st_size],
                "files": [file_stamp(file) for file in files],
                "details": dict(details),
            }
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(self._path(key), json.dumps(entry).encode())

    def _path(self, key: str) -> Path:
        # Two keys may share a name: the entry holds its whole key, and the later one wins.
        readable = re.sub(r"[^\w.-]+", "-", key)[-80:]
        return self._folder / f"{readable}-{zlib.crc32(key.encode()):08x}.json"


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds an exclusive lock on `path` between threads and processes; `on_wait` is called once before waiting.

    The system drops the lock when its process ends, however it ends, so a lock file left behind is no obstacle. Where
    the file system knows no locks the block runs without: two processes may then do the same work, and the atomic
    rename keeps the result whole.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cache_error(path.parent, error) from error
    try:
        if _try_lock(descriptor) is False:
            if on_wait is not None:
                on_wait()
            while _try_lock(descriptor) is False:
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    """True: locked; False: somebody else holds it; None: this file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        return None
    return True


def remove_leftovers(bundle: Path) -> None:
    """Deletes temporary files of an attempt that was killed; call with the bundle's lock held."""
    for leftover in bundle.parent.glob(f".{bundle.name}.*{atomic.TEMPORARY_SUFFIX}"):
        with suppress(OSError):
            leftover.unlink()

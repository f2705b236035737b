"""The cache: where it is, the index that makes a warm load quick, locks between processes, a disk that is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import anyon
from anyon import atomic, cache
from anyon.cache import Index, cache_root, locked


def test_the_cache_is_where_the_argument_the_variable_or_the_system_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANYON_CACHE", str(tmp_path / "variable"))
    assert cache_root(tmp_path / "argument") == tmp_path / "argument"
    assert cache_root() == tmp_path / "variable"
    monkeypatch.delenv("ANYON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "anyon"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert cache_root() == tmp_path / ".cache" / "anyon"


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Index, Path, Path]:
    """(index, bundle, checkpoint) after one conversion."""
    bundle = tmp_path / "bundles" / "tiny-1.anyon"
    bundle.parent.mkdir()
    bundle.write_bytes(b"bundle")
    checkpoint = tmp_path / "model.bin"
    checkpoint.write_bytes(b"weights")
    index = Index(tmp_path)
    index.store("path x", bundle, [checkpoint], {"kind": "local"})
    return index, bundle, checkpoint


def test_the_index_remembers_what_a_source_became(stored: tuple[Index, Path, Path]) -> None:
    index, bundle, _ = stored
    assert index.find("path x") == {"kind": "local", "bundle": bundle}
    assert index.find("path y") is None


def test_a_changed_or_missing_file_makes_the_index_forget(stored: tuple[Index, Path, Path]) -> None:
    index, bundle, checkpoint = stored
    before = checkpoint.stat().st_mtime_ns
    checkpoint.write_bytes(b"WEIGHTS")
    os.utime(checkpoint, ns=(before + 1, before + 1))
    assert index.find("path x") is None
    os.utime(checkpoint, ns=(before, before))
    assert index.find("path x") is not None
    bundle.write_bytes(b"bun")
    assert index.find("path x") is None
    bundle.unlink()
    assert index.find("path x") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"version": 2}', b"\xff\xfe", b"[" * 100_000,
     b'{"version": 2, "key": "path x", "files": 3}',
     b'{"version":1,"key":"path x","files":[],"details":{},"bundle":["../model.bin",7]}',
     b'{"version":1,"key":"path x","files":[["x"]],"details":{},"bundle":["tiny-1.anyon",6]}'],
)  # fmt: skip
def test_a_damaged_index_counts_as_none(content: bytes, stored: tuple[Index, Path, Path], tmp_path: Path) -> None:
    index, _, _ = stored
    (entry,) = (tmp_path / "index").iterdir()
    entry.write_bytes(content)
    assert index.find("path x") is None


def test_an_index_that_cannot_be_written_does_not_stop_a_load(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(b"a file where the folder should be")
    bundle = tmp_path / "b.anyon"
    bundle.write_bytes(b"")
    Index(tmp_path).store("path x", bundle, [], {})


HOLD = """
import sys, time
from pathlib import Path
from anyon.cache import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_waits_for_the_other_process_and_outlives_its_death(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    process = holder(path)
    waited: list[float] = []
    killer = threading.Timer(0.5, process.kill)
    killer.start()
    started = time.monotonic()
    with locked(path, on_wait=lambda: waited.append(time.monotonic())):
        assert time.monotonic() - started >= 0.4, "the lock was given while the other process held it"
    assert len(waited) == 1
    process.wait()
    with locked(path, on_wait=lambda: pytest.fail("a lock file left behind is no lock")):
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with locked(tmp_path / "x.lock"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_without_locks_on_the_file_system_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locked(tmp_path / "x.lock"):
        pass


def test_leftovers_of_a_killed_attempt_are_removed(tmp_path: Path) -> None:
    bundle = tmp_path / "tiny-1.anyon"
    leftover = atomic.temporary_beside(bundle)
    leftover.write_bytes(b"half")
    other = atomic.temporary_beside(tmp_path / "base-2.anyon")
    other.write_bytes(b"another process is writing this")
    cache.remove_leftovers(bundle)
    assert not leftover.exists()
    assert other.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(anyon.CacheError, match="ANYON_CACHE"):
        cache.make_folder(tmp_path / "bundles")


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "bundles").write_bytes(b"")
    with pytest.raises(anyon.CacheError, match=r"bundles.*ANYON_CACHE"):
        cache.make_folder(tmp_path / "bundles")


def test_too_little_room_states_both_figures(tmp_path: Path) -> None:
    with pytest.raises(anyon.CacheError, match=r"1000000000000000 bytes are needed, \d+ are free"):
        cache.require_room(tmp_path / "not" / "there" / "yet", 10**15)
    cache.require_room(tmp_path, 1)


def test_a_failed_write_leaves_neither_file_nor_temporary(tmp_path: Path) -> None:
    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"), atomic.atomic_path(tmp_path / "x.anyon") as temporary:
        fail(temporary)
    assert os.listdir(tmp_path) == []

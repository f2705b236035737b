"""Engines: a thread pool with one session per program. A model lends one to each transcription that is running."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from anyon import _native
from anyon.backends import NAMES, get_backend
from anyon.backends.base import Resources
from anyon.backends.native_backend import selected_isa
from anyon.bundle import Bundle
from anyon.errors import AnyonError, BackendError
from anyon.placement import Placement

_DEFAULT_MAX_THREADS = 16


@dataclass(slots=True)
class Engine:
    """What one transcription at a time works with."""

    pool: _native.ThreadPool
    sessions: dict[str, _native.Session]

    def reset(self) -> None:
        """Forgets states and poisoning, so that the next user starts afresh."""
        for session in self.sessions.values():
            # The base class also clears the poisoning of sessions that are written in Python.
            _native.Session.reset_states(session)


class EngineRack:
    """Engines that are not in use; as many are made as transcriptions run at once, and `keep` of them are kept."""

    def __init__(self, make: Callable[[], Engine], keep: int) -> None:
        self._make = make
        self._keep = keep
        self._free: list[Engine] = []
        # Reentrant: garbage collection may give an engine back at any point.
        self._lock = threading.RLock()

    def take(self) -> Engine:
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._make()

    def give_back(self, engine: Engine) -> None:
        """Puts an engine back for the next; one that cannot be reset is dropped."""
        try:
            engine.reset()
        except Exception:
            return
        with self._lock:
            if len(self._free) < self._keep:
                self._free.append(engine)


def engine_maker(
    bundle: Bundle,
    backend: str,
    threads: int,
    isa: str | None,
    strict: bool,
    device: str | None = None,
    precision: str | None = None,
    cache: Path | None = None,
) -> tuple[Callable[[], Engine], Engine, list[Placement]]:
    """Chooses a backend for every program, and makes the first engine with it.

    Returns what makes further engines, the first one, and the placements. `backend="auto"` takes the first of
    `anyon.backends.NAMES` that prepares a program; any but the very first is a fallback: the placement says why, and
    `strict` makes it a BackendError.
    """
    if backend in ("auto", "native"):
        # A forced ISA that is not here is an error, never a reason to fall back.
        selected_isa(isa)
    candidates = list(NAMES) if backend == "auto" and isa is None else ["native" if backend == "auto" else backend]
    resources = Resources(threads, _native.ThreadPool(threads), isa, device, precision, cache)
    chosen: dict[str, str] = {}
    sessions: dict[str, _native.Session] = {}
    placements = []
    for program in bundle.programs:
        name, session, reason = _prepare_first(bundle, program, resources, candidates, backend, strict)
        chosen[program] = name
        sessions[program] = session
        placements.append(get_backend(name).place(bundle, program, resources, reason))

    def make() -> Engine:
        fresh = replace(resources, pool=_native.ThreadPool(threads))
        prepared = {program: get_backend(name).prepare(bundle, program, fresh) for program, name in chosen.items()}
        return Engine(fresh.pool, prepared)

    return make, Engine(resources.pool, sessions), placements


def _prepare_first(
    bundle: Bundle, program: str, resources: Resources, candidates: list[str], asked: str, strict: bool
) -> tuple[str, _native.Session, str]:
    refusals: list[str] = []
    first_error: AnyonError | None = None
    for name in candidates:
        try:
            session = get_backend(name).prepare(bundle, program, resources)
        except BackendError as error:
            if strict or len(candidates) == 1:
                raise
            refusals.append(f"{name} refused: {error}")
            first_error = first_error or error
            continue
        if asked != "auto":
            return name, session, f"backend={asked!r} was asked for"
        if not refusals:
            return name, session, "first choice on a CPU"
        return name, session, "fallback: " + "; ".join(refusals)
    assert first_error is not None, "there is at least one candidate"
    raise BackendError(f"{bundle.path}: no backend runs program {program!r}: {'; '.join(refusals)}") from first_error


def default_threads() -> int:
    """The cores this process may use: affinity and container limits count, hyperthreads do not; at most 16."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        cores = os.cpu_count() or 1
    # Under an affinity of its own a process may well have been given whole cores.
    if cores == os.cpu_count() and _read_text("/sys/devices/system/cpu/smt/active") == "1":
        cores = (cores + 1) // 2
    quota, _, period = _read_text("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        cores = min(cores, -(-int(quota) // int(period)))
    return max(1, min(cores, _DEFAULT_MAX_THREADS))


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""

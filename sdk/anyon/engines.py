"""Engines: a thread pool with one session per program. A model lends one to each transcription that is running."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from anyon import _native, golden
from anyon.backends import get_backend
from anyon.backends.base import Resources
from anyon.backends.native_backend import selected_isa
from anyon.bundle import Bundle
from anyon.errors import AnyonError, BackendError, BackendWarning
from anyon.placement import Placement
from anyon.selection import EngineOptions, candidates

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


def engine_maker(bundle: Bundle, options: EngineOptions) -> tuple[Callable[[], Engine], Engine, list[Placement]]:
    """Chooses a backend for every program, and makes the first engine with it.

    Returns what makes further engines, the first one, and the placements. Of `selection.candidates` the first one that
    prepares the program and passes its golden probe is taken; any but the very first is a fallback: the placement says
    why, and `strict` makes it a BackendError. One that computes wrongly is also reported as a BackendWarning.
    """
    if options.backend in ("auto", "native"):
        # A forced ISA that is not here is an error, never a reason to fall back.
        selected_isa(options.isa)
    resources = Resources(
        options.threads,
        _native.ThreadPool(options.threads),
        options.isa,
        options.device,
        options.precision,
        options.cache,
    )
    chosen: dict[str, str] = {}
    sessions: dict[str, _native.Session] = {}
    placements = []
    for program in bundle.programs:
        session, placement = _prepare_first(bundle, program, resources, options)
        chosen[program] = placement.backend
        sessions[program] = session
        placements.append(placement)

    def make() -> Engine:
        fresh = replace(resources, pool=_native.ThreadPool(options.threads))
        prepared = {name: get_backend(chosen[name]).prepare(bundle, name, fresh).session for name in chosen}
        return Engine(fresh.pool, prepared)

    return make, Engine(resources.pool, sessions), placements


def _prepare_first(
    bundle: Bundle, program: str, resources: Resources, options: EngineOptions
) -> tuple[_native.Session, Placement]:
    refusals: list[str] = []
    first_error: AnyonError | None = None
    found = candidates(bundle, program, options)
    for candidate in found:
        backend = get_backend(candidate.name)
        try:
            prepared = backend.prepare(bundle, program, resources)
            reason = f"fallback: {'; '.join(refusals)}" if refusals else candidate.reason
            placement = prepared.placement(program, candidate.name, reason)
            golden.check(bundle, program, prepared.session, placement, backend, options.cache)
        except BackendError as error:
            if options.strict or len(found) == 1:
                raise
            if isinstance(error, golden.WrongResultError):
                warnings.warn(f"{error}; the next one is tried", BackendWarning, stacklevel=2)
            refusals.append(f"{candidate.name} refused: {error}")
            first_error = first_error or error
            continue
        return prepared.session, placement
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

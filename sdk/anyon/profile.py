"""What each op of a model's programs costs, as a table and as a trace that chrome://tracing and Perfetto open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon import _native
from anyon.atomic import write_bytes
from anyon.errors import BackendError

if TYPE_CHECKING:
    from anyon.whisper import WhisperModel

Event = tuple[str, str, int, int]  # op, where in the model, begin and end in nanoseconds


@dataclass
class Profile:
    """Events of every program, in the order they happened."""

    events: dict[str, list[Event]] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, int, float]]:
        """(program, op, calls, seconds), the most expensive first."""
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for program, events in self.events.items():
            for op, _, begin, end in events:
                calls, spent = sums.get((program, op), (0, 0))
                sums[program, op] = calls + 1, spent + end - begin
        rows = [(*key, calls, spent * 1e-9) for key, (calls, spent) in sums.items()]
        return sorted(rows, key=lambda row: -row[3])

    def save_trace(self, path: Path) -> None:
        """Writes Chrome's trace event format (complete events, microseconds). OSError when it cannot."""
        trace: list[dict[str, Any]] = []
        for thread, (program, events) in enumerate(self.events.items()):
            name = {"ph": "M", "pid": 0, "tid": thread, "name": "thread_name", "args": {"name": program}}
            trace.append(name)
            for op, where, begin, end in events:
                times = {"ts": begin / 1e3, "dur": (end - begin) / 1e3}
                trace.append({"ph": "X", "pid": 0, "tid": thread, "name": op, **times, "args": {"weight": where}})
        write_bytes(path, json.dumps({"traceEvents": trace, "displayTimeUnit": "ms"}).encode())


@contextmanager
def profiled(model: WhisperModel) -> Iterator[Profile]:
    """Collects what the model's ops cost inside the block, as far as they run one transcription at a time.

    BackendError when a program does not run on the native backend, which alone can tell.
    """
    profile = Profile()
    with model.lent_engine() as engine:
        sessions = {}
        for program, session in engine.sessions.items():
            if not isinstance(session, _native.NativeSession):
                raise BackendError(f"profile: program {program!r} is not on the native backend (use backend='native')")
            sessions[program] = session
    for session in sessions.values():
        session.take_events()
        session.set_profiling(True)
    try:
        yield profile
    finally:
        for program, session in sessions.items():
            session.set_profiling(False)
            profile.events[program] = session.take_events()

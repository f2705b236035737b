"""What every backend answers: can it run here, and a session for a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from anyon.placement import Placement

if TYPE_CHECKING:
    from anyon import _native
    from anyon.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Capability:
    """What a backend can do on this machine."""

    backend: str
    available: bool
    version: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    reason: str
    """Why it is available, or why not."""
    install: str = ""
    """The command that would make it available; "" when nothing is missing."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What an engine may use: threads, the pool that our own code runs on, and a forced ISA (None: the best)."""

    threads: int
    pool: _native.ThreadPool
    isa: str | None


class Backend(Protocol):
    """An engine. `prepare` raises BackendError when it is missing or cannot run this program."""

    name: str

    def probe(self) -> Capability: ...

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> _native.Session: ...

    def place(self, bundle: Bundle, program: str, resources: Resources, reason: str) -> Placement: ...

"""Which backends are tried for a program, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anyon.backends import KNOWN, NAMES, get_backend
from anyon.machine import Measured, read_profile

if TYPE_CHECKING:
    from anyon.bundle import Bundle

# Power itself cannot be read without privileges; the work of all cores together stands for it.
_SIZES: dict[str, Callable[[Measured], float]] = {
    "fastest": lambda row: row.seconds,
    "smallest-memory": lambda row: row.memory,
    "lowest-power": lambda row: row.cpu_seconds,
}
_TEXTS: dict[str, Callable[[Measured], str]] = {
    "fastest": lambda row: f"{1e3 * row.seconds:.3g} ms",
    "smallest-memory": lambda row: f"{row.memory / 2**20:.0f} MiB",
    "lowest-power": lambda row: f"{1e3 * row.cpu_seconds:.3g} ms of CPU time",
}
POLICIES = tuple(_SIZES)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How programs are run; see anyon.load."""

    backend: str
    threads: int
    isa: str | None = None
    strict: bool = False
    device: str | None = None
    precision: str | None = None
    policy: str = "fastest"
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend, and why it stands where it does."""

    name: str
    reason: str


def candidates(bundle: Bundle, program: str, options: EngineOptions) -> list[Candidate]:
    """In the order in which they are tried; at least one.

    backend="auto": those that `anyon doctor --measure` timed with this program on this machine, best first; then the
    others of `anyon.backends.NAMES` in that order. A device leaves those that have it, a forced ISA the native one.
    """
    if options.backend != "auto":
        return [Candidate(options.backend, f"backend={options.backend!r} was asked for")]
    if options.isa is not None:
        return [Candidate("native", f"isa={options.isa!r} was asked for")]
    names = list(KNOWN)
    if options.device is not None:
        able = [name for name in names if options.device in get_backend(name).probe().devices]
        names = able or names  # none: each says what it lacks
    measured = {} if options.cache is None else read_profile(options.cache, bundle, program, options.threads)
    ranked = sorted(
        (name for name in names if name in measured), key=lambda name: _SIZES[options.policy](measured[name])
    )
    rest = [name for name in names if name in NAMES and name not in measured]
    found = [Candidate(name, _told(measured, name, options.policy)) for name in ranked]
    found += [Candidate(name, "not measured here" if ranked else "first choice on a CPU") for name in rest]
    return found


def _told(measured: Mapping[str, Measured], name: str, policy: str) -> str:
    text = _TEXTS[policy]
    others = ", ".join(f"{other} {text(row)}" for other, row in measured.items() if other != name)
    return f"{policy} by measurement here: {text(measured[name])}" + (f" ({others})" if others else "")

"""What a long load or transcription tells its caller while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """One report. `total` is 0 while it is not known."""

    stage: str
    """ "download", "verify", "convert", "wait" (another process converts) while loading; "transcribe" afterwards;
    "calibrate", "listen", "measure", "write" while quantising."""
    done: float
    total: float
    unit: str
    """ "bytes", "seconds", "recordings" or "layers"."""
    detail: str = ""
    """The file or model at hand."""


Report: TypeAlias = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A report to nobody."""

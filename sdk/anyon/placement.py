"""Where a program really runs, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Placement:
    """One program of a bundle and the engine that runs it."""

    program: str
    backend: str
    device: str
    isa: str
    """Instruction set our own kernels use; "" where the engine chooses for itself and does not say."""
    precision: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        where = f"{self.device}, {self.isa}" if self.isa else self.device
        return f"{self.program}: {self.backend} ({where}, {self.precision}): {self.reason}"

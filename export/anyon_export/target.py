"""What an export wrote for one target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Artefact:
    """Files for one engine. states: how the caches are kept between runs; notes: what its user should know."""

    target: str
    files: tuple[Path, ...]
    states: str
    notes: str = ""

    @property
    def nbytes(self) -> int:
        """Of all files; a folder counts with everything in it."""
        found = [p for file in self.files for p in (file.rglob("*") if file.is_dir() else [file])]
        return sum(path.stat().st_size for path in found if path.is_file())

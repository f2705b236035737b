"""What tests of the bindings share: where speech is, running a command, building a target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpp_build import REPOSITORY, configure_and_build, run_command

__all__ = ["REPOSITORY", "Speech", "build", "run"]


@dataclass(frozen=True)
class Speech:
    """A folder that programs in other languages read: `tiny.en.anyon`; `speech.f32` (44 s) and `short.f32`, mono
    samples at 16 kHz; and what Python's binding hears with its defaults: their texts, `speech.txt` and `short.txt`, and
    `speech.tsv` with a line `S start end tokens text` for each segment, `W start end probability word` for each word.
    """

    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "tiny.en.anyon"

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.txt").read_text(encoding="utf-8")


def run(command: list[str | Path], timeout: float = 600, **keywords: Any) -> str:
    """What the command printed; fails the test with all of it where the command fails."""
    return run_command(*command, timeout=timeout, **keywords)


def build(folder: Path, target: str, *options: str) -> None:
    """Builds a target of the project in `folder`."""
    configure_and_build(folder, *options, targets=(target,))

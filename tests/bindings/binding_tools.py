"""What tests of the bindings share: where speech is, running a command, building a target."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


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
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
        **keywords,
    )
    if done.returncode:
        pytest.fail(f"{command[0]} ended with {done.returncode}\n{done.stdout[-12000:]}", pytrace=False)
    return done.stdout


def build(folder: Path, target: str, *options: str) -> None:
    """Builds a target of the project in `folder`; skips by name where a tool is missing."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed: pip install cmake ninja")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(["cmake", "-S", REPOSITORY, "-B", folder, *generator, f"-DPython_EXECUTABLE={sys.executable}", *options])
    run(["cmake", "--build", folder, "--target", target, "--parallel", str(os.cpu_count() or 2)], timeout=3000)

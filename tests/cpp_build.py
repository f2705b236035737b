"""Building the C++ side, and running tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def run_command(*command: str | Path, timeout: float = 600, **options: object) -> str:
    """Runs a tool and returns what it printed; its failure is the test's."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, **options)  # type: ignore[call-overload]
    if done.returncode:
        # The end says what failed; a compiler's first error may be far above it.
        pytest.fail(f"{' '.join(words)}\n{done.stdout[-12000:]}\n{done.stderr[-4000:]}", pytrace=False)
    return str(done.stdout)


def configure_and_build(folder: Path, *options: str, targets: tuple[str, ...] = ()) -> Path:
    """A build of the project in `folder`; skips by name where a tool is missing."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed: pip install cmake ninja")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    python = f"-DPython_EXECUTABLE={sys.executable}"
    run_command("cmake", "-S", REPOSITORY, "-B", folder, *generator, python, *options)
    chosen = [part for target in targets for part in ("--target", target)]
    run_command("cmake", "--build", folder, "--parallel", str(os.cpu_count() or 2), *chosen, timeout=3000)
    return folder

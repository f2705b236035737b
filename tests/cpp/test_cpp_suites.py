"""Builds the C++ tests and runs each *_test.cc as one pytest case, so that one command runs everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "tests"
SOURCES = sorted([*REPOSITORY.glob("tests/cpp/**/*_test.cc"), *REPOSITORY.glob("runtime_cpp/**/*_test.cc")])


def _run(*command: str, timeout: float) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        # The end says what failed; a compiler's first error may be far above it.
        pytest.fail(f"{' '.join(command)}\n{done.stdout[-12000:]}\n{done.stderr[-4000:]}", pytrace=False)


@pytest.fixture(scope="session")
def build() -> Path:
    """The build folder with every test binary; skips by name where a tool is missing."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed: pip install cmake ninja")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = ["-DANYON_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}"]
    _run("cmake", "-S", str(REPOSITORY), "-B", str(BUILD), *generator, *options, timeout=300)
    _run("cmake", "--build", str(BUILD), "--parallel", str(os.cpu_count() or 2), timeout=3000)
    if "GTest_DIR:PATH=GTest_DIR-NOTFOUND" in (BUILD / "CMakeCache.txt").read_text():
        pytest.skip("GoogleTest is not installed: apt-get install libgtest-dev")
    return BUILD


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", SOURCES, ids=[str(source.relative_to(REPOSITORY)) for source in SOURCES])
def test_suite(source: Path, build: Path) -> None:
    name = source.stem.removesuffix("_test")
    _run("ctest", "--test-dir", str(build), "--output-on-failure", "--no-tests=error", "-R", f"^{name}$", timeout=1200)

"""Builds the C++ tests and runs each *_test.cc as one pytest case, so that one command runs everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from cpp_build import REPOSITORY, run_command

SOURCES = sorted([*REPOSITORY.glob("tests/cpp/**/*_test.cc"), *REPOSITORY.glob("runtime_cpp/**/*_test.cc")])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", SOURCES, ids=[str(source.relative_to(REPOSITORY)) for source in SOURCES])
def test_suite(source: Path, cpp_build: Path) -> None:
    if "GTest_DIR:PATH=GTest_DIR-NOTFOUND" in (cpp_build / "CMakeCache.txt").read_text():
        pytest.skip("GoogleTest is not installed: apt-get install libgtest-dev")
    name = source.stem.removesuffix("_test")
    run_command(
        "ctest", "--test-dir", cpp_build, "--output-on-failure", "--no-tests=error", "-R", f"^{name}$", timeout=1200
    )

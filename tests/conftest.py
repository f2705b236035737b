"""What several folders of tests share: the C++ build."""

from __future__ import annotations

from pathlib import Path

import pytest
from cpp_build import REPOSITORY, configure_and_build, run_command

# Their first test builds the runtime, which takes minutes where no compiler's cache helps.
BUILDERS = {"abi", "bindings", "cpp", "install", "web"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(REPOSITORY / "tests").parts[0]
        if folder in BUILDERS and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def cpp_build() -> Path:
    """The build folder with every test binary and the library."""
    return configure_and_build(REPOSITORY / "build" / "tests", "-DANYON_TESTS=ON")


@pytest.fixture(scope="session")
def prefix(cpp_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as `cmake --install` leaves it."""
    folder = tmp_path_factory.mktemp("prefix")
    run_command("cmake", "--install", cpp_build, "--prefix", folder)
    return folder

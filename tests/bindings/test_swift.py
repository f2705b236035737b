"""The Swift package: its own tests where a Swift toolchain is, and its C module for clang's importer elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from binding_tools import REPOSITORY, Speech, build, run

PACKAGE = REPOSITORY / "runtime_cpp" / "bindings" / "swift"
CAPTIONER = REPOSITORY / "examples" / "ios" / "Captions" / "Captioner.swift"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_package_hears_what_python_hears(speech: Speech, tmp_path: Path) -> None:
    if shutil.which("swift") is None:
        pytest.skip("swift is not installed: see swift.org/install, or swiftlang in Debian 13")
    folder = REPOSITORY / "build" / "tests"
    build(folder, "anyon_shared")
    build(folder, "anyon_static")
    prefix = tmp_path / "prefix"
    run(["cmake", "--install", folder / "runtime_cpp" / "capi", "--prefix", prefix])
    shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns(".build", "*.xcframework"))
    # The part of the iOS example that needs nothing of Apple's.
    for file in (CAPTIONER, *(Path(__file__).parent / "swift").glob("*.swift")):
        shutil.copy(file, tmp_path / "package" / "Tests" / "AnyonTests")
    (configuration,) = prefix.rglob("anyon.pc")
    environment = {
        **os.environ,
        "PKG_CONFIG_PATH": str(configuration.parent),
        "LD_LIBRARY_PATH": str(configuration.parents[1]),
        "ANYON_SPEECH": str(speech.folder),
    }
    strict = ["-Xswiftc", "-strict-concurrency=complete", "-Xswiftc", "-warnings-as-errors"]
    command: list[str | Path] = ["swift", "test", "--package-path", tmp_path / "package", *strict]
    printed = run(command, timeout=1100, env=environment)
    assert "Executed 8 tests, with 0 failures" in printed


IMPORTS = """
@import CAnyon;
static int32_t stop(void *user) { return 1; }
anyon_status use(const anyon_model *model, anyon_session **session) {
  anyon_transcribe_params params = anyon_transcribe_params_default();
  params.should_cancel = stop;
  return anyon_session_create(model, 0, session) + (int)params.size + ANYON_ERROR_CANCELLED;
}
"""


def test_the_c_module_is_imported_by_clang(tmp_path: Path) -> None:
    clang = shutil.which("clang-14") or shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not installed: apt-get install clang-14")
    source = tmp_path / "use.m"
    source.write_text(IMPORTS)
    module = PACKAGE / "Sources" / "CAnyon" / "module.modulemap"
    include = REPOSITORY / "runtime_cpp" / "include"
    flags = ["-fmodules", f"-fmodules-cache-path={tmp_path}", f"-fmodule-map-file={module}", f"-I{include}"]
    run([clang, *flags, "-Wall", "-Werror", "-fsyntax-only", "-x", "objective-c", source])

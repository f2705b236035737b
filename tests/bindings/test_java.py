"""The Java binding, tested in Java by JUnit: each class there is one case here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import jvm
import pytest
from binding_tools import REPOSITORY, Speech, build, run

TESTS = Path(__file__).parent / "java"
CLASSES = sorted(file.stem for file in TESTS.glob("*Test.java"))
RUNS = os.environ.get("ANYON_TEST_JAVA_RUNS", "10")
"""Transcriptions of each of eight threads; 100 for the full measurement."""


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> jvm.Java:
    jvm.tool("javac")
    folder = REPOSITORY / "build" / "tests"
    build(folder, "anyon_jni", "-DANYON_JNI=ON")
    classes = tmp_path_factory.mktemp("classes")
    jvm.compile_java(sorted((jvm.JNI / "java").rglob("*.java")), classes)
    return jvm.Java(classes, folder / "runtime_cpp" / "bindings" / "jni" / "libanyon_jni.so")


@pytest.fixture(scope="session")
def tests(java: jvm.Java, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("java-tests")
    return jvm.compile_java(sorted(TESTS.glob("*.java")), into, java.classes, *jvm.junit(), release=17)


@pytest.fixture(scope="session")
def native_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("native") / "libnative_memory.so"
    include = Path(os.path.realpath(jvm.tool("javac"))).parents[1] / "include"
    run(["cc", "-shared", "-fPIC", f"-I{include}", f"-I{include}/linux", TESTS / "native_memory.c", "-o", library])
    return library


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_java(name: str, java: jvm.Java, tests: Path, native_memory: Path, speech: Speech) -> None:
    printed = java.run_class(name, speech, tests, properties={"native.memory": native_memory, "runs": RUNS})
    print(printed)
    assert re.search(r"\[ +0 tests failed +\]", printed)
    # What -Xcheck:jni has to say about our native code.
    assert "WARNING in native method" not in printed
    assert "FATAL ERROR in native method" not in printed


@pytest.mark.slow
def test_kotlin(java: jvm.Java, speech: Speech, tmp_path: Path) -> None:
    layer = sorted((jvm.JNI / "kotlin").rglob("*.kt"))
    tests = sorted((Path(__file__).parent / "kotlin").glob("*.kt"))
    # The layer by itself, as the Android library compiles it: nothing of the tests may help it.
    extensions = jvm.compile_kotlin(layer, tmp_path / "layer", java.classes)
    compiled = jvm.compile_kotlin(tests, tmp_path / "tests", java.classes, extensions, *jvm.junit())
    stdlib = jvm.kotlin() / "kotlin-stdlib.jar"
    printed = java.run_class("KotlinTest", speech, compiled, extensions, stdlib, properties={})
    assert re.search(r"\[ +5 tests successful +\]", printed), printed


@pytest.mark.slow
def test_every_public_member_is_documented(tmp_path: Path) -> None:
    sources = sorted((jvm.JNI / "java").rglob("*.java"))
    run([jvm.tool("javadoc"), "-Xdoclint:all", "-Werror", "-quiet", "-d", tmp_path, *sources])


def test_the_library_exports_one_symbol_and_needs_the_c_library_alone(java: jvm.Java) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed: apt-get install binutils")
    symbols = subprocess.run(["nm", "-D", "--defined-only", java.library], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in symbols.stdout.splitlines()] == ["JNI_OnLoad"]
    dynamic = subprocess.run(["readelf", "-dlW", java.library], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\]", dynamic))
    assert {name for name in needed if not name.startswith("ld-linux")} <= {"libc.so.6", "libm.so.6", "libpthread.so.0"}
    # Android devices with pages of 16 KB load no less.
    alignments = re.findall(r"^ +LOAD .* (0x[0-9a-f]+)$", dynamic, re.MULTILINE)
    assert alignments
    assert min(int(alignment, 16) for alignment in alignments) >= 16384

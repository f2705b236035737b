"""The Android example as far as it can be checked without its SDK: the sources compile, resources and names agree, and
the CMake preset keeps to the rules of the NDK's toolchain file.

The classes of Android that the app uses stand in `android_stubs` with the signatures of its reference, empty."""

from __future__ import annotations

import os
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jvm
import pytest
from binding_tools import REPOSITORY, run

ANDROID = REPOSITORY / "examples" / "android"
MAIN = ANDROID / "app" / "src" / "main"
NAMESPACE = "{http://schemas.android.com/apk/res/android}"


def resources() -> dict[str, set[str]]:
    """What the app's resources define, by type."""
    strings = {child.attrib["name"] for child in ET.parse(MAIN / "res" / "values" / "strings.xml").getroot()}
    layouts = sorted((MAIN / "res" / "layout").glob("*.xml"))
    ids = {
        element.attrib[f"{NAMESPACE}id"].removeprefix("@+id/")
        for layout in layouts
        for element in ET.parse(layout).iter()
        if f"{NAMESPACE}id" in element.attrib
    }
    return {"string": strings, "layout": {layout.stem for layout in layouts}, "id": ids}


def r_class() -> str:
    """The class R that the build makes of them."""
    parts = []
    for kind, names in resources().items():
        fields = "".join(f"public static final int {name} = {i}; " for i, name in enumerate(sorted(names)))
        parts.append(f"public static final class {kind} {{ {fields}}}\n")
    return f"package ai.anyon.captions;\npublic final class R {{\n{''.join(parts)}}}\n"


@pytest.mark.slow
def test_the_app_compiles_against_the_api(tmp_path: Path) -> None:
    (tmp_path / "R.java").write_text(r_class())
    stubs = sorted((Path(__file__).parent / "android_stubs").rglob("*.java"))
    api = jvm.compile_java(sorted((jvm.JNI / "java").rglob("*.java")), tmp_path / "api")
    android = jvm.compile_java([*stubs, tmp_path / "R.java"], tmp_path / "android")
    layer = jvm.compile_kotlin(sorted((jvm.JNI / "kotlin").rglob("*.kt")), tmp_path / "layer", api)
    app = jvm.compile_kotlin(sorted((MAIN / "kotlin").rglob("*.kt")), tmp_path / "app", api, layer, android)
    assert (app / "ai" / "anyon" / "captions" / "MainActivity.class").exists()


def test_every_name_in_xml_is_defined() -> None:
    found = resources()
    found["drawable"] = {file.stem for file in (MAIN / "res" / "drawable").glob("*.xml")}
    found["style"] = {child.attrib["name"] for child in ET.parse(MAIN / "res" / "values" / "styles.xml").getroot()}
    files = [MAIN / "AndroidManifest.xml", *(MAIN / "res").rglob("*.xml")]
    used = [name for file in files for name in re.findall(r'"@(string|drawable|style|layout)/(\w+)"', file.read_text())]
    assert used
    assert [name for name in used if name[1] not in found[name[0]]] == []
    activity = ET.parse(MAIN / "AndroidManifest.xml").find("application/activity")
    assert activity is not None
    name = activity.attrib[f"{NAMESPACE}name"].removeprefix(".")
    assert (MAIN / "kotlin" / "ai" / "anyon" / "captions" / f"{name}.kt").exists()


def test_the_library_is_built_from_folders_that_are_there() -> None:
    script = (ANDROID / "anyon" / "build.gradle.kts").read_text()
    assert (ANDROID / re.findall(r'rootDir\.resolve\("(.*)"\)', script)[0]).resolve() == REPOSITORY
    (bindings,) = re.findall(r'anyonSources\.resolve\("(runtime_cpp.*)"\)', script)
    folders = re.findall(r'jni\.resolve\("(.*)"\)', script)
    assert folders == ["java", "kotlin"]
    assert all((REPOSITORY / bindings / folder / "ai" / "anyon").is_dir() for folder in folders)
    options = re.findall(r"-D(ANYON_\w+)=", script)
    cmake = (REPOSITORY / "CMakeLists.txt").read_text()
    assert options
    assert all(f"option({option} " in cmake for option in options)


# As android.toolchain.cmake sets them: packages, headers and libraries are looked for in its own folders alone.
TOOLCHAIN = """
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(ANDROID TRUE)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
"""


@pytest.mark.parametrize("preset", ["android-arm64", "android-x86_64"])
def test_the_preset_configures_with_the_rules_of_an_ndk(preset: str, tmp_path: Path) -> None:
    for program in ("cmake", "ninja", "aarch64-linux-gnu-g++"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install cmake ninja-build g++-aarch64-linux-gnu")
    toolchain = tmp_path / "ndk" / "build" / "cmake" / "android.toolchain.cmake"
    toolchain.parent.mkdir(parents=True)
    toolchain.write_text(TOOLCHAIN)
    build = tmp_path / "build"
    command = ["cmake", "--preset", preset, "-B", build, f"-DPython_EXECUTABLE={sys.executable}"]
    run(command, cwd=REPOSITORY, env={**os.environ, "ANDROID_NDK_HOME": str(tmp_path / "ndk")})
    cache = (build / "CMakeCache.txt").read_text()
    assert "ANDROID_STL:UNINITIALIZED=c++_static" in cache or "ANDROID_STL:STRING=c++_static" in cache
    targets = run(["cmake", "--build", build, "--target", "help"])
    assert "anyon_jni" in targets

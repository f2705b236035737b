"""This machine's Java tools: compilers, JUnit 5, how a test class is run. What is missing is skipped by name."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from binding_tools import REPOSITORY, Speech, run

JNI = REPOSITORY / "runtime_cpp" / "bindings" / "jni"
JUNIT_JARS = (
    "junit-jupiter-api", "junit-jupiter-engine", "junit-jupiter-params", "junit-platform-commons",
    "junit-platform-console", "junit-platform-engine", "junit-platform-launcher", "junit-platform-reporting",
    "opentest4j", "opentest4j-reporting-events", "apiguardian-api", "picocli", "univocity-parsers",
)  # fmt: skip
KOTLIN_VERSION = "2.4.20"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install openjdk-17-jdk-headless")
    return found


def junit() -> list[Path]:
    """JUnit 5's jars, as Debian installs them."""
    jars = [Path("/usr/share/java") / f"{name}.jar" for name in JUNIT_JARS]
    if not all(jar.exists() for jar in jars):
        pytest.skip("JUnit 5 is not installed: apt-get install junit5")
    return jars


def kotlin() -> Path:
    """The folder with the Kotlin compiler's jars."""
    given = os.environ.get("ANYON_TEST_KOTLIN")
    folder = Path(given) if given else REPOSITORY / "build" / "kotlin" / "package" / "lib"
    if not (folder / "kotlin-compiler.jar").exists():
        pytest.skip(
            "Kotlin is not here: (mkdir -p build/kotlin && cd build/kotlin && "
            f"npm pack kotlin-compiler@{KOTLIN_VERSION} && tar xzf kotlin-compiler-*.tgz), "
            "or set ANYON_TEST_KOTLIN to a folder with kotlin-compiler.jar"
        )
    return folder


def class_path(*entries: Path) -> str:
    return os.pathsep.join(map(str, entries))


def compile_java(sources: list[Path], into: Path, *libraries: Path, release: int = 11) -> Path:
    # Warnings are errors; not those about annotations of libraries that are not used here.
    lint = "-Xlint:all,-processing,-classfile,-path"
    command = [tool("javac"), "--release", str(release), lint, "-Werror", "-cp", class_path(*libraries), "-d", into]
    run([*command, *sources])
    return into


def compile_kotlin(sources: list[Path], into: Path, *libraries: Path) -> Path:
    compiler = kotlin()
    jars = [compiler / f"{name}.jar" for name in ("kotlin-compiler", "kotlin-stdlib", "kotlin-script-runtime",
            "kotlin-reflect", "kotlinx-coroutines-core-jvm", "annotations-13.0")]  # fmt: skip
    command = [tool("java"), "-cp", class_path(*jars), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    options = ["-no-reflect", "-no-stdlib", "-Werror", "-jvm-target", "11", "-cp"]
    run([*command, *options, class_path(compiler / "kotlin-stdlib.jar", *libraries), "-d", into, *sources])
    return into


@dataclass(frozen=True)
class Java:
    """The compiled binding."""

    classes: Path
    library: Path

    def run_class(self, name: str, speech: Speech, *classes: Path, properties: dict[str, str | Path]) -> str:
        """Runs a JUnit class with every check that the Java machine has for native code."""
        settings = {"anyon.library": self.library, "speech": speech.folder, **properties}
        defines = [f"-D{key}={value}" for key, value in settings.items()]
        # A heap that neither grows nor is given back, so that what does is native memory.
        machine = ["-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        path = ["-cp", class_path(self.classes, *classes, *junit())]
        console = ["org.junit.platform.console.ConsoleLauncher", "--disable-banner", "--disable-ansi-colors"]
        return run([tool("java"), "-Xcheck:jni", *machine, *defines, *path, *console, "--fail-if-no-tests", "-c", name])

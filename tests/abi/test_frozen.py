"""The interface that applications were compiled against: symbols with their versions, and the layout of every struct.

A new function is added to symbols.txt, a new field at the end of its struct; nothing else in these files changes while
ANYON_ABI_VERSION stays (COMPATIBILITY.md).
"""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path

import pytest
from cpp_build import REPOSITORY, run_command

HERE = Path(__file__).parent
HEADER = REPOSITORY / "runtime_cpp" / "include" / "anyon" / "anyon.h"


def test_the_library_exports_the_frozen_symbols_and_nothing_else(prefix: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed: apt-get install binutils")
    lines = run_command("nm", "-D", "--defined-only", prefix / "lib" / "libanyon.so").splitlines()
    exported = sorted(line.split()[2] for line in lines if line.split()[2] != "ANYON_0")
    assert exported == (HERE / "symbols.txt").read_text().splitlines()


def test_every_function_of_the_header_is_exported() -> None:
    declared = set(re.findall(r"ANYON_API [^;]*?\b(anyon_\w+)\(", HEADER.read_text()))
    assert declared == {line.split("@")[0] for line in (HERE / "symbols.txt").read_text().splitlines()}


@pytest.mark.skipif(struct.calcsize("PlL") != 24, reason="the frozen layout is that of 64-bit Unix")
def test_structs_have_the_frozen_layout(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc is not installed: apt-get install gcc")
    program = tmp_path / "layout"
    include = f"-I{REPOSITORY}/runtime_cpp/include"
    # Nothing of the library is called; the header's inline functions only refer to it.
    run_command(compiler, "-std=c99", "-O1", include, HERE / "layout.c", "-o", program)
    assert run_command(program) == (HERE / "layout_lp64.txt").read_text()


def test_the_layout_program_knows_every_field() -> None:
    header = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    known = (HERE / "layout_lp64.txt").read_text()
    for body, name in re.findall(r"typedef struct anyon_\w+ \{(.*?)\} (anyon_\w+);", header, re.DOTALL):
        for statement in filter(None, (part.strip() for part in body.split(";"))):
            functions = re.findall(r"\(\*(\w+)\)", statement)
            names = functions or [part.strip("* ").split()[-1].strip("*") for part in statement.split(",")]
            for field in names:
                assert f"{name}.{field} " in known, f"{name}.{field} is missing in layout.c"

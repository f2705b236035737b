"""Object code for every target, and the C++ example that runs it without Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import object_files
import pytest
import whisper_case

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import speech_data

pytest.importorskip("tvm", reason="apache-tvm is not installed: pip install 'anyon[tvm]'")
pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")

import anyon
from anyon_export import tvm as tvm_export
from anyon_export.target import Artefact
from anyon_export.tvm.targets import NAMES

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "tvm_cpp"
KERNELS = ("linear", "attention_over_signal", "cached_attention", "cross_attention", "layer_norm", "embedding")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_case.bundle(tmp_path_factory.getbasetemp(), "f32")


@pytest.fixture(scope="module")
def artefact(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return tvm_export.write(bundle, tmp_path_factory.mktemp("tvm") / "model", targets=NAMES)


def file(artefact: Artefact, name: str) -> Path:
    (found,) = [path for path in artefact.files if path.name == name]
    return found


@pytest.mark.parametrize(
    ("target", "format", "machine", "platform"),
    [
        ("aarch64-linux", "elf", object_files.ELF_AARCH64, 0),
        ("aarch64-linux-android", "elf", object_files.ELF_AARCH64, 0),
        ("arm64-apple-ios", "mach", object_files.MACH_ARM64, object_files.MACH_IOS),
    ],
)
def test_objects_are_of_the_format_and_define_the_kernels(
    artefact: Artefact, target: str, format: str, machine: int, platform: int
) -> None:
    found = object_files.read(file(artefact, f"{target}.o").read_bytes())
    assert (found.format, found.machine, found.platform) == (format, machine, platform)
    for kernel in KERNELS:
        assert any(f"__tvm_ffi_anyon_programs_{kernel}_" in symbol for symbol in found.defined), kernel


def test_the_object_for_the_web_is_webassembly_with_the_kernels(artefact: Artefact) -> None:
    data = file(artefact, "wasm32.o").read_bytes()
    assert object_files.read(data).format == "wasm"
    for kernel in KERNELS:
        assert f"__tvm_ffi_anyon_programs_{kernel}_".encode() in data, kernel


def test_no_weight_is_embedded(artefact: Artefact, bundle: Path) -> None:
    assert artefact.nbytes < 3e6 < bundle.stat().st_size
    description = json.loads(file(artefact, "tvm.json").read_text())
    manifest, weights = tvm_export.read_manifest(bundle)
    assert description["data_sha256"] == manifest["data_sha256"]
    for program, section in description["programs"].items():
        assert section["inputs"] == [spec["name"] for spec in manifest["programs"][program]["inputs"]]
        assert section["states"] == [spec["name"] for spec in manifest["programs"][program]["states"]]
        assert set(section["weights"]) <= set(weights)


def test_another_process_writes_the_same_bytes(artefact: Artefact, bundle: Path, tmp_path: Path) -> None:
    names = ("arm64-apple-ios",)
    code = "import sys; from pathlib import Path; from anyon_export.tvm import write; "
    code += f"write(Path(sys.argv[1]), Path(sys.argv[2]), targets={names!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code, str(bundle), str(tmp_path / "again")], check=True, env=environment)
    for name in (*(f"{name}.o" for name in names), "programs.vm", "tvm.json"):
        assert (tmp_path / "again" / name).read_bytes() == file(artefact, name).read_bytes(), name


def test_what_cannot_be_exported_is_refused_and_leaves_the_older_one(artefact: Artefact, bundle: Path) -> None:
    folder = artefact.files[0].parent
    before = sorted(path.name for path in folder.parent.iterdir())
    with pytest.raises(tvm_export.TvmExportError, match="tvm target 'vax': expected host, aarch64-linux"):
        tvm_export.write(bundle, folder, targets=("vax",))
    with pytest.raises(tvm_export.TvmExportError, match=r"tvm\.json: not a bundle"):
        tvm_export.write(folder / "tvm.json", folder)
    int8 = whisper_case.bundle(bundle.parent, "int8")
    with pytest.raises(tvm_export.TvmExportError, match="TVM has no kernel for 'conv1d_i8'"):
        tvm_export.write(int8, folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == before
    assert all(path.is_file() for path in artefact.files)


def build_example(build: Path, code: Path, packages: Path, headers: Path, library: Path, *options: str) -> Path:
    """The example's executable; `library` is libanyon_core.a of the same machine."""
    cmake = shutil.which("cmake", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if cmake is None:
        pytest.skip("cmake is not installed")
    arguments = [f"-DTVM_CODE={code}", f"-DTVM_PACKAGES={packages}", f"-DTVM_HEADERS={headers}"]
    arguments += [f"-DANYON_LIBRARY={library}", "-DCMAKE_BUILD_TYPE=Release", *options]
    for command in ([cmake, "-S", EXAMPLE, "-B", build, *arguments], [cmake, "--build", build, "-j", "2"]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return build / "transcribe"


def site_packages() -> Path:
    import tvm

    return Path(tvm.__file__).parent.parent


def beckett() -> Path:
    packaged = speech_data.packaged_speech()
    if "beckett" not in packaged:
        pytest.skip("moonshine-voice is not installed: pip install 'anyon[demo]'")
    return packaged["beckett"][0]


def expected_text(bundle: Path) -> list[str]:
    transcript = anyon.load(bundle, backend="native").transcribe(beckett(), beam_size=1)
    return [segment.text for segment in transcript.segments]


def test_the_example_transcribes_on_this_machine(artefact: Artefact, bundle: Path, tmp_path: Path) -> None:
    libraries = sorted((REPOSITORY / "build").glob("wheel-*/runtime_cpp/libanyon_core.a"))
    if not libraries:
        pytest.skip("no build/wheel-*/runtime_cpp/libanyon_core.a: make dev-env builds it")
    site = site_packages()
    transcribe = build_example(tmp_path, file(artefact, "host.o"), site, site, libraries[-1])
    folder = artefact.files[0].parent
    done = subprocess.run([transcribe, bundle, folder, beckett(), "2", "1"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected_text(bundle)
    refused = subprocess.run([transcribe, bundle, tmp_path, beckett()], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "cannot be read" in refused.stderr


@pytest.mark.slow
def test_the_example_transcribes_on_arm(artefact: Artefact, bundle: Path, tmp_path: Path) -> None:
    """Cross-compiled, in an emulator: a minute and a half. TVM's ARM libraries are 100 MB on PyPI."""
    for tool in ("aarch64-linux-gnu-g++", "qemu-aarch64"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    library = REPOSITORY / "build" / "aarch64" / "runtime_cpp" / "libanyon_core.a"
    if not library.is_file():
        pytest.skip("no build/aarch64/runtime_cpp/libanyon_core.a: make neon builds it")
    packages = arm_packages(tmp_path / "arm")
    transcribe = build_example(
        tmp_path / "build",
        file(artefact, "aarch64-linux.o"),
        packages,
        site_packages(),
        library,
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc",
        "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
    )
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", transcribe, bundle, artefact.files[0].parent]
    done = subprocess.run([*command, beckett(), "1", "1"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected_text(bundle)


def arm_packages(folder: Path) -> Path:
    """TVM's two runtime libraries for 64-bit ARM, from the wheels of the versions that are installed here."""
    from importlib.metadata import version

    wanted = [f"{name}=={version(name)}" for name in ("apache-tvm", "apache-tvm-ffi")]
    platform = ["--only-binary", ":all:", "--platform", "manylinux_2_28_aarch64", "--python-version", "3.11"]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *platform, *wanted, "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"TVM's wheels for ARM cannot be downloaded: {done.stderr[-200:]}")
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as parts:
            wanted_files = [name for name in parts.namelist() if name.endswith(("libtvm_runtime.so", "libtvm_ffi.so"))]
            parts.extractall(folder, wanted_files)
    return folder

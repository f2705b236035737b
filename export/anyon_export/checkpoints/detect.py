"""Recognises a checkpoint by its content and reads it with the right reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from .checkpoint import Checkpoint
from .ctranslate2 import read_ctranslate2
from .errors import CheckpointError
from .ggml import read_ggml
from .huggingface import INDEX, WEIGHTS, read_huggingface
from .openai_pt import read_openai_pt
from .safetensors import read_safetensors

ACCEPTED: Final = (
    "accepted: a Hugging Face folder (config.json + model.safetensors), a CTranslate2 folder (model.bin), "
    "OpenAI .pt, ggml .bin"
)

# What else people pass, by its first bytes.
_OTHERS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"GGUF", "a GGUF file"),
    (b"tjgg", "a ggml file of llama.cpp's own layout (ggjt)"),
    (b"fmgg", "a ggml file of llama.cpp's own layout (ggmf)"),
    (b"algg", "a ggml LoRA adapter (ggla)"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself (run `git lfs pull`)"),
    (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19",
        "a PyTorch file of the old layout (save it again with torch.save)",
    ),
    (b"\x80", "a bare pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x89HDF", "an HDF5 file (Keras?)"),
    (b"RIFF", "a RIFF file (audio?)"),
    (b"ID3", "an MP3 file"),
    (b"fLaC", "a FLAC file"),
    (b"OggS", "an Ogg file"),
    (b"%PDF", "a PDF"),
    (b"\x7fELF", "a program"),
)


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads the checkpoint at `path`, a file or a folder; the format is told by content, never by extension.

    Weights stay in the file until they are accessed. Raises CheckpointError, and nothing else, for whatever is there.
    """
    place = Path(path)
    try:
        return _load_folder(place) if place.is_dir() else _load_file(place)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(place, "", f"cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise CheckpointError(place, "", "not enough memory to read it") from None


def _load_folder(folder: Path) -> Checkpoint:
    if (folder / WEIGHTS).exists() or (folder / INDEX).exists():
        return read_huggingface(folder)
    if (binary := folder / "model.bin").exists():
        kind = identify(binary)
        if kind == "ctranslate2":
            return read_ctranslate2(folder)
        raise CheckpointError(binary, "", f"expected CTranslate2's model.bin, found {kind}", ACCEPTED)
    names = sorted(entry.name for entry in folder.iterdir())
    for name in ("pytorch_model.bin", "pytorch_model.bin.index.json"):
        if name in names:
            raise CheckpointError(
                folder, name, "Hugging Face's pickled weights are not read", "fetch or save the model as safetensors"
            )
    found = ", ".join(name[:60] for name in names[:6]) + (", ..." if len(names) > 6 else "")
    raise CheckpointError(folder, "", f"no weights in this folder (it holds: {found or 'nothing'})", ACCEPTED)


def _load_file(path: Path) -> Checkpoint:
    kind = identify(path)
    if kind == "openai":
        return read_openai_pt(path)
    if kind == "ggml":
        return read_ggml(path)
    if kind == "ctranslate2":
        if path.name != "model.bin":
            raise CheckpointError(path, "", "CTranslate2 weights must be called model.bin", "rename it")
        return read_ctranslate2(path.parent)
    if kind == "safetensors":
        metadata = read_safetensors(path).metadata
        if metadata.get("format") == "anyon":
            raise CheckpointError(path, "", "already an anyon bundle, not a checkpoint", "load it directly")
        return read_huggingface(path.parent, None if path.name == WEIGHTS else path)
    if kind == "index":
        return read_huggingface(path.parent)
    raise CheckpointError(path, "", f"this is {kind}", ACCEPTED)


def identify(path: Path) -> str:
    """ "openai", "ggml", "ctranslate2", "safetensors", "index" (of shards), or a description of anything else."""
    if not path.exists():
        raise CheckpointError(path, "", "no such file or folder")
    if not path.is_file():
        return "not a regular file"
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise CheckpointError(path, "", "the file is empty", "an interrupted download? fetch it again")
    if head.startswith(b"PK\x03\x04"):
        return "openai"
    if head.startswith(b"lmgg"):
        return "ggml"
    if head[6:18] == b"WhisperSpec\0" or (head[1:4] == b"\0\0\0" and b"Spec\0" in head[:64]):
        return "ctranslate2"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= max(size, 1 << 32):
        return "safetensors"
    for magic, description in _OTHERS:
        if head.startswith(magic):
            return description
    return _describe_text(head, path)


def _describe_text(head: bytes, path: Path) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "an HTML or XML page (a failed download?)"
    if text.startswith((b"{", b"[")):
        return "index" if path.name == INDEX else "a JSON file (pass the folder it lies in?)"
    if not any(head):
        return "a file of zeros (an interrupted download?)"
    return f"of no known format (first bytes {head[:8].hex(' ')})"

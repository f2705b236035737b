"""Writes bundles: a checkpoint's weights, arranged as a blueprint says, in one safetensors file. numpy only.

The file appears whole or not at all, tensors are written one at a time, and its bytes depend on nothing but the
blueprint and the checkpoint.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from anyon_export import expressions, probe
from anyon_export.blueprint import Blueprint
from anyon_export.expressions import Array
from anyon_quantization.float32 import unpack_panel16
from anyon_quantization.int4 import pack_uint4, unpack_groups, unpack_panel16x8
from anyon_quantization.int8 import unpack_panel16x4

if TYPE_CHECKING:
    from anyon_export.checkpoints import Checkpoint

FORMAT_VERSION = 1
ALIGNMENT = 64
FILLER = "__pad__."
NO_HASH = "0" * 64  # in the place of a hash that is not known yet

Progress = Callable[[int, int], None]  # (bytes written, bytes in all)

_DTYPES = {
    "float32": "F32",
    "float16": "F16",
    "float64": "F64",
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "bool": "BOOL",
    "bfloat16": "BF16",  # of ml_dtypes; numpy has none
}


class BundleWriteError(Exception):
    """A bundle could not be written; nothing is left behind. Says the file, why, and what to try."""


@dataclass(frozen=True)
class _Part:
    """A tensor to write; `make` is called once, when its turn comes, with the tensors before it, read back."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[Mapping[str, Array]], Array]

    @property
    def nbytes(self) -> int:
        width = 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize
        return int(np.prod(self.shape, dtype=np.int64)) * width


def make_bundle(
    blueprint: Blueprint,
    checkpoint: Checkpoint,
    out_path: str | os.PathLike[str],
    progress: Progress | None = None,
    *,
    name: str | None = None,
    source_id: str | None = None,
    with_probe: bool = True,
) -> dict[str, Any]:
    """Writes `checkpoint` as a bundle to `out_path` and returns the manifest.

    Memory stays near the size of the largest single weight. name: what the model is called, default the blueprint's;
    source_id: hub id or the like of the checkpoint, default its file name; with_probe: see anyon_export.probe.
    Raises BundleWriteError (disk full, no permission, checkpoint of another shape); then nothing is left behind.
    """
    path = Path(out_path)
    if not blueprint.fits(checkpoint.config):
        wrong = {key: (checkpoint.config.get(key), value) for key, value in blueprint.config.items()}
        different = ", ".join(f"{key} {a} instead of {b}" for key, (a, b) in wrong.items() if a != b)
        raise BundleWriteError(f"{path}: blueprint {blueprint.name} does not fit the checkpoint: {different}")
    parts = _parts(blueprint, checkpoint)
    manifest = _manifest(blueprint, checkpoint, name, source_id)
    golden = probe.section(blueprint.family, blueprint.programs) if with_probe else {}
    if golden:
        manifest["probe"] = golden
        parts.append(
            _Part(
                golden["tensor"],
                "float32",
                (probe.rows(golden), probe.SKETCH),
                lambda written: probe.compute(golden, blueprint.programs, written),
            )
        )
    _write_atomically(path, manifest, parts, progress)
    return manifest


def write_bundle(path: str | os.PathLike[str], manifest: dict[str, Any], tensors: Mapping[str, Array]) -> None:
    """Writes a bundle of these tensors; `manifest` gets its format and its hash. Raises BundleWriteError."""
    manifest.update(anyon_format=FORMAT_VERSION, data_sha256=NO_HASH)
    _write_atomically(Path(path), manifest, [_fixed(name, array) for name, array in tensors.items()], None)


def bundle_bytes(manifest: dict[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """The same bundle in memory."""
    manifest.update(anyon_format=FORMAT_VERSION, data_sha256=NO_HASH)
    content = io.BytesIO()
    _write(content, manifest, [_fixed(name, array) for name, array in tensors.items()], None)
    return content.getvalue()


def _parts(blueprint: Blueprint, checkpoint: Checkpoint) -> list[_Part]:
    """Weights in the order the programs read them, then tokenizer and graphs."""
    evaluate = expressions.Evaluator(checkpoint.tensors)
    parts = []
    for name, weight in blueprint.weights.items():
        expression = weight.expression
        parts.append(
            _Part(
                name,
                expression.dtype,
                expression.shape,
                lambda _, expression=expression: evaluate(expression),  # type: ignore[misc]
            )
        )
    tokenizer = checkpoint.tokenizer
    stored: dict[str, Array] = {"tokenizer.offsets": tokenizer.offsets, "tokenizer.bytes": tokenizer.data}
    if not isinstance(tokenizer.merges, str):
        stored["tokenizer.merges"] = tokenizer.merges
    for program, onnx in blueprint.onnx.items():
        stored[f"onnx.{program}"] = np.frombuffer(onnx.graph, dtype=np.uint8)
    parts += [_fixed(name, array) for name, array in stored.items()]
    return parts


def _fixed(name: str, array: Array) -> _Part:
    return _Part(name, str(array.dtype), tuple(array.shape), lambda _: array)


def _manifest(blueprint: Blueprint, checkpoint: Checkpoint, name: str | None, source_id: str | None) -> dict[str, Any]:
    tokenizer, source = checkpoint.tokenizer, checkpoint.source
    return {
        "anyon_format": FORMAT_VERSION,
        "family": blueprint.family,
        "task": blueprint.task,
        "name": name or blueprint.name,
        "source": {
            "id": source_id or Path(str(source["path"])).name,
            "format": source["format"],
            "sha256": source["sha256"],
            "licence": source["licence"],
        },
        "recipe": blueprint.recipe,
        **({"quantization": blueprint.quantization} if blueprint.quantization else {}),
        "config": blueprint.config,
        "frontend": blueprint.frontend,
        "loop": checkpoint.generation,
        "tokenizer": {
            "type": "byte_bpe",
            "offsets": "tokenizer.offsets",
            "bytes": "tokenizer.bytes",
            "merges": tokenizer.merges if isinstance(tokenizer.merges, str) else "tokenizer.merges",
            "n_vocab": tokenizer.n_vocab,
            "special": tokenizer.special,
        },
        "programs": blueprint.programs,
        "weights": {
            name: {"layout": weight.layout, "shape": list(weight.shape)} for name, weight in blueprint.weights.items()
        },
        "onnx": {
            program: {"graph": f"onnx.{program}", "initializers": onnx.initializers}
            for program, onnx in blueprint.onnx.items()
        },
        "data_sha256": NO_HASH,
    }


def _write_atomically(path: Path, manifest: dict[str, Any], parts: list[_Part], progress: Progress | None) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x+b") as file:
            _write(file, manifest, parts, progress)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, KeyError, ValueError) as error:
        _remove(temporary)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BundleWriteError(f"{path}: cannot be written: {reason} (is there space, may you write there?)") from error
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(path.parent)


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()


def _write(file: BinaryIO, manifest: dict[str, Any], parts: list[_Part], progress: Progress | None) -> None:
    """Header with places for the hashes, data while hashing, then the header again with the hashes in place."""
    header, sizes = _header(manifest, parts)
    file.write(header)
    digest, written, total = hashlib.sha256(), 0, sum(sizes)
    before = _Written(file)
    for part, size in zip(parts, sizes, strict=True):
        before.places[part.name] = (part, len(header) + written)
        array = part.make(before)
        if array.shape != part.shape or str(array.dtype) != part.dtype:
            raise ValueError(f"{part.name}: {array.dtype}{list(array.shape)}, not {part.dtype}{list(part.shape)}")
        data = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        filler = bytes(size - len(data))
        for piece in (data, filler):
            file.write(piece)
            digest.update(piece)
        written += size
        if progress is not None:
            progress(written, total)
    manifest["data_sha256"] = digest.hexdigest()
    file.seek(0)
    file.write(_with_own_hash(_header(manifest, parts)[0]))


class _Written(Mapping[str, Array]):
    """Tensors that are in the file already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.places: dict[str, tuple[_Part, int]] = {}

    def __getitem__(self, name: str) -> Array:
        part, position = self.places[name]
        end = self._file.tell()
        self._file.seek(position)
        data = self._file.read(part.nbytes)
        self._file.seek(end)
        return np.frombuffer(data, part.dtype).reshape(part.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def _header(manifest: dict[str, Any], parts: list[_Part]) -> tuple[bytes, list[int]]:
    """The file up to its data, and the bytes each part takes with the filler that aligns the next one."""
    metadata = {
        "format": "anyon",
        "anyon_version": str(FORMAT_VERSION),
        "header_sha256": NO_HASH,
        "manifest": json.dumps(manifest, separators=(",", ":"), ensure_ascii=False),
    }
    entries: dict[str, Any] = {"__metadata__": metadata}
    offset, sizes = 0, []
    for index, part in enumerate(parts):
        end = offset + part.nbytes
        entries[part.name] = {"dtype": _DTYPES[part.dtype], "shape": list(part.shape), "data_offsets": [offset, end]}
        gap = -end % ALIGNMENT
        if gap and index + 1 < len(parts):
            entries[f"{FILLER}{index}"] = {"dtype": "U8", "shape": [gap], "data_offsets": [end, end + gap]}
            end += gap
        sizes.append(end - offset)
        offset = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, sizes


def _with_own_hash(header: bytes) -> bytes:
    """`header` with its SHA-256, taken while the digits are zeros, in the entry that was left for it."""
    entry = b'"header_sha256":"'
    # Quotes within the manifest's text are escaped, so the first such entry is the metadata's own.
    at = header.index(entry + NO_HASH.encode() + b'"') + len(entry)
    return header[:at] + hashlib.sha256(header).hexdigest().encode() + header[at + len(NO_HASH) :]


def _sync_folder(folder: Path) -> None:
    """Makes the rename durable; systems that cannot open a folder (Windows) do without."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unpack_initializer(stored: Array, row: Mapping[str, Any]) -> Array:
    """An ONNX initializer from the bundle tensor that holds it; `row` is its entry in the manifest's onnx section.

    A view where possible. dtype "uint4": an array of the initializer's shape whose first bytes hold two values each,
    the first of them in the low half, as ONNX packs them. ValueError when the row does not fit the tensor.
    """
    array = _rows(stored, row)
    if "view" in row:
        array = array.reshape(row["view"])
    if "perm" in row:
        array = array.transpose(row["perm"])
    if list(array.shape) != list(row["shape"]):
        raise ValueError(f"tensor gives {list(array.shape)}, the graph wants {row['shape']}")
    return pack_uint4(array) if row.get("dtype") == "uint4" else np.asarray(array, order="C")


def upright(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of the matrix that the tensor holds, for a row that stands for its transpose; others as they are."""
    if row.get("perm") != [1, 0]:
        return row
    return {key: value for key, value in row.items() if key not in ("view", "perm")} | {"shape": row["view"]}


def _rows(stored: Array, row: Mapping[str, Any]) -> Array:
    """The rows of the matrix, out of the layout."""
    (first, last), layout = row["rows"], row["layout"]
    if layout == "plain":
        return stored[first:last] if stored.ndim else stored
    if layout == "panel16":
        return unpack_panel16(stored, first, last)
    if layout == "groups16":
        groups = unpack_groups(stored, first, last)
        return groups.astype(np.float32) if groups.dtype == np.float16 else groups
    columns = math.prod(row.get("view", row["shape"])[1:])
    if layout == "panel16x4":
        return unpack_panel16x4(stored, first, last, columns)
    if layout == "panel16x8":
        return np.ascontiguousarray(unpack_panel16x8(stored, first, last)[:, :columns])
    raise ValueError(f"layout {layout!r} is not known")

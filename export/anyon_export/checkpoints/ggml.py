"""Reads whisper.cpp's ggml .bin: f32, f16 and quantised (q4_0, q4_1, q5_0, q5_1, q8_0) tensors.

Little-endian: u32 magic; i32 sizes (n_vocab, audio ctx, state, head, layer, text ctx, state, head, layer, n_mels) and
ftype; i32 n_mel, i32 n_fft, f32 filters; i32 n, n x { u32 size, bytes } vocabulary; then until the end of the file
tensors: i32 rank, i32 name size, i32 type, i32 dims[rank] (fastest first), name, data. Names are OpenAI's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from .checkpoint import Checkpoint, LazyTensors, Source, TensorEntry, checked_config, checked_tensors, parameter_shapes
from .errors import CheckpointError
from .files import Bytes, Cursor, element_count, mapped
from .generation import generation_settings
from .ggml_blocks import BLOCK, BLOCK_FORMATS, dequantise
from .limits import MAX_DIMENSION, MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS, MAX_TOKEN_BYTES, MAX_VOCABULARY
from .published import default_alignment_heads
from .safetensors import float_entry
from .tokenizer import tokenizer_from_tokens

MAGIC: Final = 0x67676D6C
_SIZES: Final = (
    "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer",
    "n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels",
)  # fmt: skip
_PLAIN: Final[dict[int, np.dtype[Any]]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
# ftype is the file's main type plus 1000 x the version of the block formats; version 2 (2023-05) changed them.
_FTYPE_VERSION: Final = 1_000
_BLOCK_VERSION: Final = 2
_MAX_FILTERS: Final = 4_096


def read_ggml(path: Path) -> Checkpoint:
    """Raises CheckpointError."""
    config, tensors, tokens, notes = parse_ggml(path)
    tokenizer = tokenizer_from_tokens(tokens, config["n_vocab"], path)
    generation = generation_settings(config, tokenizer, default_alignment_heads(config, path.name), path)
    return Checkpoint(config, tensors, tokenizer, generation, Source("ggml", path, [path]), notes)


def parse_ggml(path: Path) -> tuple[dict[str, int], LazyTensors, list[bytes], list[str]]:
    """(config, tensors, ordinary tokens, notes): everything the file holds."""
    cursor = Cursor(mapped(path), path)
    if cursor.u32("magic") != MAGIC:
        cursor.fail("not a ggml file", "magic")
    sizes = {name: cursor.i32(name) for name in _SIZES}
    ftype = cursor.i32("ftype")
    config = checked_config(sizes, path)
    _skip_filters(cursor)
    tokens = _vocabulary(cursor)
    tensors: dict[str, TensorEntry] = {}
    shapes = parameter_shapes(config)
    types: set[int] = set()
    while cursor.at < cursor.end:
        name, entry, kind = _tensor(cursor, shapes)
        if name in tensors or len(tensors) >= MAX_TENSORS:
            cursor.fail("appears twice" if name in tensors else "too many tensors", f"tensor {name[:80]!r}")
        tensors[name] = entry
        types.add(kind)
    quantised = sorted(BLOCK_FORMATS[kind].name for kind in types if kind in BLOCK_FORMATS)
    if quantised and ftype // _FTYPE_VERSION != _BLOCK_VERSION:
        raise CheckpointError(
            path,
            "ftype",
            f"old block formats (version {ftype // _FTYPE_VERSION})",
            "quantise it again with a newer whisper.cpp",
        )
    notes = [f"{name} weights are dequantised to f32 (they keep their {name} error)" for name in quantised]
    return config, checked_tensors(tensors, config, path), tokens, notes


def _skip_filters(cursor: Cursor) -> None:
    """The mel filter bank: ours is computed, theirs is only stepped over."""
    n_mel, n_fft = cursor.i32("number of mel filters"), cursor.i32("mel filter size")
    if not 0 <= n_mel <= _MAX_FILTERS or not 0 <= n_fft <= _MAX_FILTERS:
        cursor.fail(f"{n_mel} mel filters of {n_fft} values", "mel filters")
    cursor.view(n_mel * n_fft * 4, "mel filters")


def _vocabulary(cursor: Cursor) -> list[bytes]:
    count = cursor.i32("vocabulary size")
    if not 0 <= count <= MAX_VOCABULARY:
        cursor.fail(f"{count} tokens", "vocabulary")
    tokens: list[bytes] = []
    for i in range(count):
        size = cursor.u32(f"size of token {i}")
        if size > MAX_TOKEN_BYTES:
            cursor.fail(f"{size} bytes", f"token {i}")
        tokens.append(cursor.take(size, f"token {i}"))
    return tokens


def _tensor(cursor: Cursor, shapes: dict[str, tuple[int, ...]]) -> tuple[str, TensorEntry, int]:
    """(name, lazy tensor, ggml type) of the next tensor, in the shape our name has."""
    rank, name_size, kind = cursor.i32("tensor rank"), cursor.i32("tensor name size"), cursor.i32("tensor type")
    if not 1 <= rank <= MAX_RANK or not 1 <= name_size <= MAX_NAME_BYTES:
        cursor.fail(f"{rank} dimensions, a name of {name_size} bytes", "tensor header")
    dims = [cursor.i32("tensor dimension") for _ in range(rank)]
    name = cursor.text(name_size, "tensor name")
    where = f"tensor {name[:80]!r}"
    if any(not 1 <= size <= MAX_DIMENSION for size in dims):
        cursor.fail(f"dimensions {dims}", where)
    if name not in shapes:
        cursor.fail("no parameter of Whisper has this name", where)
    shape = tuple(reversed(dims))
    # Convolution biases are stored as (C, 1).
    if shape != shapes[name] and shape != (*shapes[name], 1):
        cursor.fail(f"shape {shape}, expected {shapes[name]} from the sizes at the start", where)
    shape = shapes[name]
    count = element_count(shape)
    if kind in _PLAIN:
        raw = cursor.view(count * _PLAIN[kind].itemsize, where)
        return name, float_entry(raw, _PLAIN[kind], shape), kind
    if kind not in BLOCK_FORMATS:
        names = ", ".join(block.name for block in BLOCK_FORMATS.values())
        cursor.fail(f"ggml type {kind}; f32, f16, {names} are read", where, "quantise it to one of these")
    if dims[0] % BLOCK:
        cursor.fail(f"rows of {dims[0]} values are no multiple of {BLOCK}", where)
    raw = cursor.view(count // BLOCK * BLOCK_FORMATS[kind].size, where)
    return name, _quantised(raw, kind, shape), kind


def _quantised(raw: Bytes, kind: int, shape: tuple[int, ...]) -> TensorEntry:
    return TensorEntry(shape, np.dtype(np.float32), lambda: dequantise(raw, BLOCK_FORMATS[kind], shape))

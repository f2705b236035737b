"""Reads a CTranslate2 Whisper folder: model.bin (version 6), config.json, tokenizer.json or vocabulary.*.

model.bin, little-endian; a string is u16 size, bytes, NUL (counted in the size):
    u32 version, string spec, u32 revision,
    u32 n, n x { string name, u8 rank, u32 dims[rank], u8 dtype, u32 bytes, data },
    u32 n, n x { string alias, string variable }
Linear weights are (out, in) like ours; self-attention stacks query, key, value in linear_0, cross-attention key,
value in linear_1. Integer weights w come with a scale s (per row for int8, one for int16): the value is w / s.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from .checkpoint import (
    Array,
    Checkpoint,
    LazyTensors,
    Source,
    TensorEntry,
    checked_config,
    checked_tensors,
    count_layers,
)
from .errors import DAMAGED, CheckpointError
from .files import Bytes, Cursor, element_count, mapped, read_json
from .generation import checked_heads, generation_settings, token_list
from .limits import MAX_CONFIG_JSON_BYTES, MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS
from .published import default_alignment_heads
from .safetensors import float_entry
from .tokenizer import TokenizerData, read_tokenizer_json, read_vocabulary_list, tokenizer_from_tokens
from .vocabularies import published_vocabulary

BINARY_VERSION: Final = 6
SPEC: Final = "WhisperSpec"
_DTYPES: Final = tuple(np.dtype(name) for name in ("<f4", "i1", "<i2", "<i4", "<f2", "<u2"))  # the last: bfloat16
_BF16: Final = 5
_VOCABULARIES: Final = ("vocabulary.json", "vocabulary.txt")

# Settings a converter writes that must have Whisper's value, where present.
_FIXED: Final = {
    "decoder/activation": 3,  # exact GELU
    "decoder/alibi": 0,
    "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
_IGNORED: Final = (
    "decoder/alignment_heads",
    "decoder/alignment_layer",
    "decoder/alibi_use_positive_positions",
    "decoder/scale_alibi",
    "decoder/num_heads",
    "encoder/num_heads",
)


@dataclass(frozen=True)
class _Variable:
    dtype_id: int
    shape: tuple[int, ...]
    raw: Bytes


def read_ctranslate2(folder: Path) -> Checkpoint:
    """Raises CheckpointError."""
    path = folder / "model.bin"
    config, tensors, notes = parse_model_bin(path)
    tokenizer, files = _tokenizer(folder, config["n_vocab"])
    config_path = folder / "config.json"
    stated: dict[str, Any] = {}
    if config_path.exists():
        stated = read_json(config_path, MAX_CONFIG_JSON_BYTES)
        files.append(config_path)
    heads = stated.get("alignment_heads")
    if heads is None:
        heads = default_alignment_heads(config, folder.name)
    generation = generation_settings(
        config,
        tokenizer,
        checked_heads(heads, config, config_path),
        folder,
        token_list(stated.get("suppress_ids"), config_path, "suppress_ids"),
        token_list(stated.get("suppress_ids_begin"), config_path, "suppress_ids_begin"),
    )
    source = Source("ctranslate2", folder, [path, *files])
    return Checkpoint(config, tensors, tokenizer, generation, source, notes)


def parse_model_bin(path: Path) -> tuple[dict[str, int], LazyTensors, list[str]]:
    """(config, tensors, notes): everything model.bin holds."""
    variables, aliases = read_variables(path)
    weights = _Weights(variables, aliases, path)
    config = _config(weights)
    entries = _entries(weights, config)
    return config, checked_tensors(entries, config, path), weights.notes()


def read_variables(path: Path) -> tuple[dict[str, _Variable], dict[str, str]]:
    """Every variable as a view of the mapped file, and alias -> variable name."""
    data = mapped(path)
    cursor = Cursor(data, path)
    version = cursor.u32("binary version")
    if version != BINARY_VERSION:
        cursor.fail(f"version {version}, only {BINARY_VERSION} is read", "binary version", "convert the model again")
    if (spec := _string(cursor, "spec name")) != SPEC:
        cursor.fail(f"{spec[:60]!r}, only {SPEC!r} is read", "spec name", "not a Whisper model")
    if not 1 <= (revision := cursor.u32("revision")) <= 3:
        cursor.fail(f"revision {revision} is not known", "revision", "convert the model again")
    variables: dict[str, _Variable] = {}
    for _ in range(_count(cursor, "number of variables")):
        name = _string(cursor, "variable name")
        rank = cursor.u8(f"rank of {name[:80]!r}")
        if rank > MAX_RANK:
            cursor.fail(f"{rank} dimensions, at most {MAX_RANK} are read", f"variable {name[:80]!r}")
        shape = tuple(cursor.u32(f"shape of {name[:80]!r}") for _ in range(rank))
        dtype_id = cursor.u8(f"dtype of {name[:80]!r}")
        if dtype_id >= len(_DTYPES):
            cursor.fail(f"unknown dtype {dtype_id}", f"variable {name[:80]!r}")
        size = cursor.u32(f"size of {name[:80]!r}")
        needed = element_count(shape) * _DTYPES[dtype_id].itemsize
        if size != needed:
            cursor.fail(f"{size} bytes given, shape {shape} needs {needed}", f"variable {name[:80]!r}")
        if not name or name in variables:
            cursor.fail("an empty name or one that appears twice", f"variable {name[:80]!r}")
        variables[name] = _Variable(dtype_id, shape, cursor.view(size, f"variable {name[:80]!r}"))
    aliases: dict[str, str] = {}
    for _ in range(_count(cursor, "number of aliases")):
        alias, target = _string(cursor, "alias"), _string(cursor, "alias target")
        if alias in aliases or alias in variables or target not in variables:
            cursor.fail("its name is taken or its target is missing", f"alias {alias[:80]!r}")
        aliases[alias] = target
    if cursor.at != cursor.end:
        cursor.fail(f"{cursor.end - cursor.at} bytes left over at the end")
    return variables, aliases


def _count(cursor: Cursor, what: str) -> int:
    if (count := cursor.u32(what)) > MAX_TENSORS:
        cursor.fail(f"{count}, at most {MAX_TENSORS} are read", what)
    return count


def _string(cursor: Cursor, what: str) -> str:
    size = cursor.u16(what)
    if not 1 <= size <= MAX_NAME_BYTES:
        cursor.fail(f"a string of {size} bytes", what)
    text = cursor.text(size, what)
    if text[-1] != "\0" or "\0" in text[:-1]:
        cursor.fail("a string that does not end with its one NUL", what)
    return text[:-1]


class _Weights:
    """Variables by name through aliases, with their dequantisation; remembers which were used."""

    def __init__(self, variables: dict[str, _Variable], aliases: dict[str, str], path: Path) -> None:
        self.variables = variables
        self.aliases = aliases
        self.path = path
        self.used: set[str] = set()
        self.kinds: set[str] = set()

    def names(self) -> dict[str, None]:
        return dict.fromkeys([*self.variables, *self.aliases])

    def find(self, name: str) -> tuple[str, _Variable]:
        target = self.aliases.get(name, name)
        if target not in self.variables:
            raise CheckpointError(self.path, f"variable {name!r}", "missing", DAMAGED)
        self.used |= {name, target}
        return target, self.variables[target]

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        shape = self.find(name)[1].shape
        if len(shape) != rank:
            raise CheckpointError(self.path, f"variable {name!r}", f"shape {shape}, {rank} dimensions expected")
        return shape

    def scalar(self, name: str) -> int | None:
        """An integer setting, None when the file does not have it."""
        if name not in self.variables and name not in self.aliases:
            return None
        variable = self.find(name)[1]
        if variable.shape not in ((), (1,)) or variable.dtype_id not in (1, 2, 3):
            raise CheckpointError(self.path, f"variable {name!r}", "an integer is expected", DAMAGED)
        return int(variable.raw.view(_DTYPES[variable.dtype_id])[0])

    def entry(self, name: str, shape: tuple[int, ...], rows: tuple[int, int] | None = None) -> TensorEntry:
        """The tensor `name`, which must have `shape`, or its `rows` [begin, end) of the first axis."""
        target, variable = self.find(name)
        if variable.shape != shape:
            raise CheckpointError(self.path, f"variable {name!r}", f"shape {variable.shape}, expected {shape}")
        begin, end = rows or (0, shape[0])
        dtype = _DTYPES[variable.dtype_id]
        row_bytes = element_count(shape[1:]) * dtype.itemsize
        raw = variable.raw[begin * row_bytes : end * row_bytes]
        part = (end - begin, *shape[1:])
        if dtype.kind == "f" or variable.dtype_id == _BF16:
            if variable.dtype_id == _BF16:
                self.kinds.add("bfloat16")
            return float_entry(raw, dtype, part, bf16=variable.dtype_id == _BF16)
        scale = self._scale(target, variable)
        scale = scale[begin:end].reshape(-1, *[1] * (len(shape) - 1)) if scale.size > 1 else scale
        self.kinds.add(dtype.name)

        def read() -> Array:
            return (raw.view(dtype).reshape(part).astype(np.float32) / scale).astype(np.float32, copy=False)

        return TensorEntry(part, np.dtype(np.float32), read)

    def _scale(self, target: str, variable: _Variable) -> Array:
        """Positive finite f32 scales of an int8 (one per row) or int16 (one) weight."""
        where = f"variable {target!r}"
        if variable.dtype_id not in (1, 2):
            raise CheckpointError(self.path, where, f"dtype {_DTYPES[variable.dtype_id]} cannot be a weight")
        _, stored = self.find(f"{target}_scale")
        count = variable.shape[0] if variable.dtype_id == 1 else 1
        if _DTYPES[stored.dtype_id] != np.float32 or element_count(stored.shape) != count:
            raise CheckpointError(self.path, f"{where}_scale", f"{count} float32 values are expected", DAMAGED)
        scale = stored.raw.view("<f4")
        # The largest weight divided by a smaller scale would not be a float32; the converter writes none below it.
        smallest = np.iinfo(_DTYPES[variable.dtype_id]).max / float(np.finfo(np.float32).max)
        if not (np.isfinite(scale).all() and (scale > smallest).all()):
            raise CheckpointError(self.path, f"{where}_scale", "a scale that is not a positive number", DAMAGED)
        return scale

    def notes(self) -> list[str]:
        """What reading changes; nothing is lost beyond what the file already lost."""
        quantised = sorted(self.kinds & {"int8", "int16"})
        notes = [f"{kind} weights are dequantised to f32 (they keep their {kind} error)" for kind in quantised]
        return notes + (["bfloat16 tensors are read as f32"] if "bfloat16" in self.kinds else [])


def _config(weights: _Weights) -> dict[str, int]:
    """All sizes from shapes; heads from the file or 64 wide, as in every Whisper."""
    width, n_mels, _ = weights.shape("encoder/conv1/weight", 3)
    n_vocab, text_width = weights.shape("decoder/embeddings/weight", 2)
    heads = {part: weights.scalar(f"{part}/num_heads") or width // 64 or 1 for part in ("encoder", "decoder")}
    names = weights.names()
    return checked_config(
        {
            "n_mels": n_mels,
            "n_audio_ctx": weights.shape("encoder/position_encodings/encodings", 2)[0],
            "n_audio_state": width,
            "n_audio_head": heads["encoder"],
            "n_audio_layer": count_layers(names, "encoder/layer_", weights.path, ignore="encoder/layer_norm"),
            "n_vocab": n_vocab,
            "n_text_ctx": weights.shape("decoder/position_encodings/encodings", 2)[0],
            "n_text_state": text_width,
            "n_text_head": heads["decoder"],
            "n_text_layer": count_layers(names, "decoder/layer_", weights.path, ignore="decoder/layer_norm"),
        },
        weights.path,
    )


def _entries(weights: _Weights, config: dict[str, int]) -> dict[str, TensorEntry]:
    """Their variables in our names; refuses variables that mean something we would ignore."""
    width, n_vocab = config["n_audio_state"], config["n_vocab"]
    entries: dict[str, TensorEntry] = {}

    def pair(ours: str, theirs: str, shape: tuple[int, ...]) -> None:
        entries[f"{ours}.weight"] = weights.entry(f"{theirs}/weight", shape)
        entries[f"{ours}.bias"] = weights.entry(f"{theirs}/bias", shape[:1])

    def norm(ours: str, theirs: str) -> None:
        entries[f"{ours}.weight"] = weights.entry(f"{theirs}/gamma", (width,))
        entries[f"{ours}.bias"] = weights.entry(f"{theirs}/beta", (width,))

    def stacked(ours: str, theirs: str, roles: tuple[str, ...]) -> None:
        """Splits stacked projections. A key bias adds the same to every score of a row, so softmax ignores it."""
        count = len(roles)
        for i, role in enumerate(roles):
            rows = (i * width, (i + 1) * width)
            entries[f"{ours}.{role}.weight"] = weights.entry(f"{theirs}/weight", (count * width, width), rows)
            if role != "key":
                entries[f"{ours}.{role}.bias"] = weights.entry(f"{theirs}/bias", (count * width,), rows)

    def block(ours: str, theirs: str, cross: bool) -> None:
        stacked(f"{ours}.attn", f"{theirs}/self_attention/linear_0", ("query", "key", "value"))
        pair(f"{ours}.attn.out", f"{theirs}/self_attention/linear_1", (width, width))
        norm(f"{ours}.attn_ln", f"{theirs}/self_attention/layer_norm")
        if cross:
            stacked(f"{ours}.cross_attn", f"{theirs}/attention/linear_0", ("query",))
            stacked(f"{ours}.cross_attn", f"{theirs}/attention/linear_1", ("key", "value"))
            pair(f"{ours}.cross_attn.out", f"{theirs}/attention/linear_2", (width, width))
            norm(f"{ours}.cross_attn_ln", f"{theirs}/attention/layer_norm")
        pair(f"{ours}.mlp.0", f"{theirs}/ffn/linear_0", (4 * width, width))
        pair(f"{ours}.mlp.2", f"{theirs}/ffn/linear_1", (width, 4 * width))
        norm(f"{ours}.mlp_ln", f"{theirs}/ffn/layer_norm")

    pair("encoder.conv1", "encoder/conv1", (width, config["n_mels"], 3))
    pair("encoder.conv2", "encoder/conv2", (width, width, 3))
    for ours, theirs, rows in (("encoder", "encoder", "n_audio_ctx"), ("decoder", "decoder", "n_text_ctx")):
        entries[f"{ours}.positional_embedding"] = weights.entry(
            f"{theirs}/position_encodings/encodings", (config[rows], width)
        )
    for i in range(config["n_audio_layer"]):
        block(f"encoder.blocks.{i}", f"encoder/layer_{i}", cross=False)
    for i in range(config["n_text_layer"]):
        block(f"decoder.blocks.{i}", f"decoder/layer_{i}", cross=True)
    norm("encoder.ln_post", "encoder/layer_norm")
    norm("decoder.ln", "decoder/layer_norm")
    entries["decoder.token_embedding.weight"] = weights.entry("decoder/embeddings/weight", (n_vocab, width))
    _check_head(weights)
    for name, expected in _FIXED.items():
        if (found := weights.scalar(name)) not in (None, expected):
            raise CheckpointError(weights.path, f"variable {name!r}", f"{found}, Whisper has {expected}")
    left = sorted(weights.names().keys() - weights.used - set(_IGNORED))
    if left:
        raise CheckpointError(
            weights.path, f"variable {left[0][:80]!r}", f"unknown ({len(left)} such)", "not a plain Whisper?"
        )
    return entries


def _check_head(weights: _Weights) -> None:
    """The output projection must be the token embedding, as an alias or as equal bytes."""
    head = "decoder/projection/weight"
    if head not in weights.names():
        return
    target, variable = weights.find(head)
    embedding_name, embedding = weights.find("decoder/embeddings/weight")
    if f"{target}_scale" in weights.variables:
        weights.find(f"{target}_scale")
    if target != embedding_name and not (
        variable.dtype_id == embedding.dtype_id and np.array_equal(variable.raw, embedding.raw)
    ):
        raise CheckpointError(weights.path, f"variable {head!r}", "differs from the embedding; Whisper ties the two")


def _tokenizer(folder: Path, n_vocab: int) -> tuple[TokenizerData, list[Path]]:
    if (path := folder / "tokenizer.json").exists():
        return read_tokenizer_json(path, n_vocab), [path]
    for name in _VOCABULARIES:
        if (path := folder / name).exists():
            return read_vocabulary_list(path, n_vocab), [path]
    name = "gpt2" if n_vocab == 51_864 else "multilingual"
    return tokenizer_from_tokens(published_vocabulary(name), n_vocab, folder), []

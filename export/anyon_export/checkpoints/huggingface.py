"""Reads a Hugging Face Whisper folder: config, model.safetensors (sharded too), tokenizer, generation settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from .checkpoint import Checkpoint, Source, TensorEntry, checked_config, checked_tensors
from .errors import DAMAGED, CheckpointError
from .files import Bytes, read_bounded, read_json
from .generation import checked_heads, generation_settings, token_list
from .limits import MAX_CONFIG_JSON_BYTES, MAX_INDEX_JSON_BYTES, MAX_README_BYTES, MAX_SHARDS
from .published import default_alignment_heads
from .safetensors import SafetensorsFile, read_safetensors
from .tokenizer import TokenizerData, read_tokenizer_json, read_vocab_and_merges, tokenizer_from_tokens
from .vocabularies import published_vocabulary

INDEX: Final = "model.safetensors.index.json"
WEIGHTS: Final = "model.safetensors"

# Our config field <- field of transformers' WhisperConfig.
_CONFIG: Final = {
    "n_mels": "num_mel_bins",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_vocab": "vocab_size",
    "n_text_ctx": "max_target_positions",
    "n_text_state": "d_model",
    "n_text_head": "decoder_attention_heads",
    "n_text_layer": "decoder_layers",
}
# Ours <- theirs, for whole names and inside a layer.
_NAMES: Final = {
    "encoder.positional_embedding": "encoder.embed_positions.weight",
    "decoder.token_embedding.weight": "decoder.embed_tokens.weight",
    "decoder.positional_embedding": "decoder.embed_positions.weight",
}
_PARTS: Final = (
    (".blocks.", ".layers."),
    (".cross_attn_ln.", ".encoder_attn_layer_norm."),
    (".cross_attn.", ".encoder_attn."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".attn.", ".self_attn."),
    (".query.", ".q_proj."),
    (".key.", ".k_proj."),
    (".value.", ".v_proj."),
    (".out.", ".out_proj."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    (".mlp_ln.", ".final_layer_norm."),
    ("encoder.ln_post.", "encoder.layer_norm."),
    ("decoder.ln.", "decoder.layer_norm."),
)


def published_to_ours(name: str) -> str:
    """Hugging Face parameter name (with or without the leading "model.") -> ours; unknown names pass through."""
    name = name.removeprefix("model.")
    for ours, theirs in _NAMES.items():
        if name == theirs:
            return ours
    for ours, theirs in _PARTS:
        name = name.replace(theirs, ours)
    return name


def read_huggingface(folder: Path, weights: Path | None = None) -> Checkpoint:
    """`weights`: a .safetensors file of another name, read with the folder's config. Raises CheckpointError."""
    config_path = folder / "config.json"
    if not config_path.exists():
        raise CheckpointError(folder, "", "no config.json beside the weights", "download the whole model folder")
    raw = read_json(config_path, MAX_CONFIG_JSON_BYTES)
    config = _checked_hf_config(raw, config_path)
    files = _weight_files(folder, weights)
    entries, notes = _entries(files)
    tensors = checked_tensors(entries, config, weights or folder)

    tokenizer, tokenizer_files = _tokenizer(folder, config["n_vocab"])
    generation_path = folder / "generation_config.json"
    stated = read_json(generation_path, MAX_CONFIG_JSON_BYTES) if generation_path.exists() else raw
    heads = stated.get("alignment_heads")
    if heads is None:
        heads = default_alignment_heads(config, f"{folder.name} {raw.get('_name_or_path', '')}")
    generation = generation_settings(
        config,
        tokenizer,
        checked_heads(heads, config, generation_path),
        folder,
        token_list(stated.get("suppress_tokens"), generation_path, "suppress_tokens"),
        token_list(stated.get("begin_suppress_tokens"), generation_path, "begin_suppress_tokens"),
    )
    read = [config_path, *(file.path for file in files), *tokenizer_files]
    if generation_path.exists():
        read.append(generation_path)
    source = Source("huggingface", weights or folder, read, lambda: _licence(folder / "README.md"))
    return Checkpoint(config, tensors, tokenizer, generation, source, notes)


def _checked_hf_config(raw: Mapping[str, Any], path: Path) -> dict[str, int]:
    if raw.get("model_type") != "whisper":
        found = str(raw.get("model_type"))[:40]
        raise CheckpointError(path, "model_type", f"{found!r}, only 'whisper' is read here")
    for name, expected in (("activation_function", "gelu"), ("scale_embedding", False), ("quantization_config", None)):
        if raw.get(name, expected) != expected:
            raise CheckpointError(path, name, f"{str(raw[name])[:40]!r} is not supported, only {expected!r}")
    renamed = {ours: raw[theirs] for ours, theirs in _CONFIG.items() if theirs in raw}
    return checked_config(renamed, path)


def _weight_files(folder: Path, weights: Path | None) -> list[SafetensorsFile]:
    """The one file or all shards, each validated; with an index, shards must hold exactly what it lists."""
    if weights is not None:
        return [read_safetensors(weights)]
    if (folder / WEIGHTS).exists():
        return [read_safetensors(folder / WEIGHTS)]
    index_path = folder / INDEX
    mapping = read_json(index_path, MAX_INDEX_JSON_BYTES).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise CheckpointError(index_path, "weight_map", "an object of tensor name -> file is expected", DAMAGED)
    names: set[str] = set()
    for shard in mapping.values():
        if not isinstance(shard, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}", shard):
            raise CheckpointError(index_path, "weight_map", f"{str(shard)[:80]!r} is not a plain file name")
        names.add(shard)
    if len(names) > MAX_SHARDS:
        raise CheckpointError(index_path, "weight_map", f"{len(names)} shards, at most {MAX_SHARDS} are read")
    files = [read_safetensors(folder / name) for name in sorted(names)]
    held = {name: file.path.name for file in files for name in file.tensors}
    if sum(len(file.tensors) for file in files) != len(held):
        raise CheckpointError(folder, "shards", "two shards hold the same tensor", DAMAGED)
    if held != mapping:
        wrong = sorted(name for name in held.keys() | mapping.keys() if held.get(name) != mapping.get(name))
        raise CheckpointError(index_path, f"tensor {wrong[0][:80]!r}", "index and shards disagree", DAMAGED)
    return files


def _entries(files: list[SafetensorsFile]) -> tuple[dict[str, TensorEntry], list[str]]:
    """All tensors in our names; a separate output head is dropped when it equals the token embedding."""
    entries: dict[str, TensorEntry] = {}
    raw: dict[str, Bytes] = {}
    converted: set[str] = set()
    for file in files:
        for name, (dtype, _, data) in file.tensors.items():
            ours = published_to_ours(name)
            if ours in raw:
                raise CheckpointError(
                    file.path, f"tensor {name[:80]!r}", "stands for a parameter given before", DAMAGED
                )
            raw[ours] = data
            if dtype in ("BF16", "F64"):
                converted.add(dtype)
            if ours != "proj_out.weight":
                entries[ours] = file.entry(name)
    head = raw.get("proj_out.weight")
    embedding = raw.get("decoder.token_embedding.weight")
    if head is not None and embedding is not None and not np.array_equal(head, embedding):
        raise CheckpointError(
            files[0].path, "tensor 'proj_out.weight'", "differs from the token embedding; Whisper ties the two"
        )
    return entries, [f"{dtype} tensors are read as f32" for dtype in sorted(converted)]


def _tokenizer(folder: Path, n_vocab: int) -> tuple[TokenizerData, list[Path]]:
    """From tokenizer.json, else vocab.json + merges.txt, else the published vocabulary of that size."""
    if (folder / "tokenizer.json").exists():
        return read_tokenizer_json(folder / "tokenizer.json", n_vocab), [folder / "tokenizer.json"]
    if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
        parts = [folder / name for name in ("vocab.json", "merges.txt", "added_tokens.json")]
        return read_vocab_and_merges(folder, n_vocab), [part for part in parts if part.exists()]
    name = "gpt2" if n_vocab == 51_864 else "multilingual"
    return tokenizer_from_tokens(published_vocabulary(name), n_vocab, folder), []


def _licence(readme: Path) -> str | None:
    """`license:` of the model card's front matter, if it is a plain identifier."""
    try:
        text = read_bounded(readme, MAX_README_BYTES).decode("utf-8", "replace")
    except (CheckpointError, OSError):
        return None
    front = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    found = re.search(r"^license:\s*([A-Za-z0-9.+-]{1,64})\s*$", front.group(1), re.MULTILINE) if front else None
    return found.group(1) if found else None

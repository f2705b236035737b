"""Which files of a hub repository make one checkpoint: the weights once, in the format we like best, and no more."""

from __future__ import annotations

import re
from collections.abc import Sequence

from anyon.errors import CheckpointError

# What the readers look at beside the weights; all small.
_COMPANIONS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocabulary.txt",
    "vocabulary.json",
    "README.md",
)
# Only where there is no tokenizer.json.
_OLD_TOKENIZER = ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json")
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


def select_files(names: Sequence[str], where: str, file: str | None = None) -> list[str]:
    """The files to download, small ones first. Raises CheckpointError when there are no weights we can read."""
    if file is not None:
        if file not in names:
            raise CheckpointError(f"{where}: the repository has no file {file!r} (it has {_shown(names)})")
        return [file]
    weights = _weights(names)
    if not weights:
        raise CheckpointError(
            f"{where}: no weights that can be read: model.safetensors (whole or in shards), CTranslate2's model.bin, "
            f"or one .pt file; it has {_shown(names)} (one file of several is chosen as {where}/FILE)"
        )
    companions = [name for name in _COMPANIONS if name in names]
    if "tokenizer.json" not in names:
        companions += [name for name in _OLD_TOKENIZER if name in names]
    return companions + weights


def _weights(names: Sequence[str]) -> list[str]:
    shards = sorted(name for name in names if _SHARD.fullmatch(name))
    single_files = [name for name in names if "/" not in name and name.endswith(".pt")]
    if "model.safetensors" in names:
        return ["model.safetensors"]
    if "model.safetensors.index.json" in names and shards:
        return ["model.safetensors.index.json", *shards]
    if "model.bin" in names and "config.json" in names:
        return ["model.bin"]
    return single_files if len(single_files) == 1 else []


def _shown(names: Sequence[str]) -> str:
    shown = sorted(names)[:8]
    return (", ".join(shown) or "no files") + (", ..." if len(names) > 8 else "")

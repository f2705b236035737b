"""Reads OpenAI's .pt: a zip of stored entries, data.pkl describing `dims` and `model_state_dict`, tensors as views."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from .checkpoint import Array, Checkpoint, LazyTensors, Source, TensorEntry, checked_config, checked_tensors
from .digest import sha256_of
from .errors import DAMAGED, CheckpointError
from .files import bf16_to_f32, mapped
from .generation import generation_settings
from .published import default_alignment_heads, published_name
from .tensor_pickle import PickledTensor, load_tensor_pickle
from .tokenizer import tokenizer_from_tokens
from .vocabularies import published_vocabulary
from .zip_stored import StoredEntry, read_stored_zip

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "Half": np.dtype("<f2"),
    "Float": np.dtype("<f4"),
    "BFloat16": np.dtype("<u2"),
    "Double": np.dtype("<f8"),
}


def read_openai_pt(path: Path) -> Checkpoint:
    """Nothing in the file is executed. Raises CheckpointError."""
    config, tensors, notes = parse_openai_pt(path)
    vocabulary = published_vocabulary("gpt2" if config["n_vocab"] == 51_864 else "multilingual")
    tokenizer = tokenizer_from_tokens(vocabulary, config["n_vocab"], path)
    heads = default_alignment_heads(config, path.name, lambda: sha256_of(path))
    generation = generation_settings(config, tokenizer, heads, path)
    source = Source("openai", path, [path], lambda: "MIT" if published_name(sha256_of(path)) else None)
    return Checkpoint(config, tensors, tokenizer, generation, source, notes)


def parse_openai_pt(path: Path) -> tuple[dict[str, int], LazyTensors, list[str]]:
    """(config, tensors, notes): everything the file itself holds."""
    entries = read_stored_zip(mapped(path), path)
    pickles = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(path, "zip", f"{len(pickles)} entries named data.pkl", "not a file of torch.save?")
    folder = pickles[0].removesuffix("data.pkl")
    order = entries.get(f"{folder}byteorder")
    if order is not None and order.data.tobytes() != b"little":
        raise CheckpointError(path, "byteorder", "written on a big-endian machine", "save it again on a common machine")
    pickle = entries[pickles[0]]
    _check_crc(pickle, pickles[0], path)
    root = load_tensor_pickle(pickle.data.tobytes(), path)
    if not isinstance(root, dict) or not {"dims", "model_state_dict"} <= root.keys():
        raise CheckpointError(
            path,
            "data.pkl",
            "no 'dims' and 'model_state_dict'",
            "OpenAI's own layout is read; save other PyTorch models as safetensors",
        )
    dims, state = root["dims"], root["model_state_dict"]
    if not isinstance(dims, dict) or not isinstance(state, dict):
        raise CheckpointError(path, "data.pkl", "'dims' and 'model_state_dict' must be dicts", DAMAGED)
    config = checked_config(dims, path)

    tensors: dict[str, TensorEntry] = {}
    kinds: set[str] = set()
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, PickledTensor):
            raise CheckpointError(path, f"model_state_dict[{str(name)[:80]!r}]", "not a named tensor", DAMAGED)
        kinds.add(value.storage.type.name)
        tensors[name] = _entry(value, entries, f"{folder}data/{value.storage.key}", path)
    notes = [f"{kind} tensors are read as f32" for kind in sorted(kinds & {"BFloat16", "Double"})]
    return config, checked_tensors(tensors, config, path), notes


def _entry(tensor: PickledTensor, entries: dict[str, StoredEntry], name: str, path: Path) -> TensorEntry:
    """A lazy view of the storage's zip entry; its CRC-32 is checked whenever the tensor is read."""
    stored = entries.get(name)
    dtype = _DTYPES[tensor.storage.type.name]
    if stored is None:
        raise CheckpointError(path, f"zip entry {name[:120]!r}", "missing", DAMAGED)
    if len(stored.data) != tensor.storage.count * dtype.itemsize:
        raise CheckpointError(
            path,
            f"zip entry {name!r}",
            f"{len(stored.data)} bytes for {tensor.storage.count} elements of {dtype}",
            DAMAGED,
        )

    def read() -> Array:
        _check_crc(stored, name, path)
        values: Array = stored.data.view(dtype)[tensor.offset :]
        if tensor.storage.type.name == "BFloat16":
            values = bf16_to_f32(values)
        elif tensor.storage.type.name == "Double":
            values = values.astype(np.float32)
        strides = tuple(stride * values.itemsize for stride in tensor.strides)
        view: np.ndarray[Any, np.dtype[Any]] = np.lib.stride_tricks.as_strided(values, tensor.shape, strides)
        view.flags.writeable = False
        return np.ascontiguousarray(view)

    return TensorEntry(tensor.shape, np.dtype(np.float16) if dtype == np.float16 else np.dtype(np.float32), read)


def _check_crc(entry: StoredEntry, name: str, path: Path) -> None:
    if zlib.crc32(entry.data.data) != entry.crc32:
        raise CheckpointError(
            path,
            f"zip entry {name!r}",
            "its CRC-32 does not match",
            "a damaged download? fetch it again (or save it again if it was written with compute_crc32=False)",
        )

"""What every reader returns: a Checkpoint with our parameter names, lazy tensors, tokenizer and decoding settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .digest import sha256_of, sha256_of_files
from .errors import DAMAGED, CheckpointError
from .files import element_count, integer
from .limits import CONFIG_RANGES
from .tokenizer import TokenizerData

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TensorEntry:
    """One tensor that can be read later. `read` returns exactly this shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # float16 or float32
    read: Callable[[], Array]

    @property
    def nbytes(self) -> int:
        return element_count(self.shape) * self.dtype.itemsize


class LazyTensors(Mapping[str, Array]):
    """name -> array, read at access; `entries` gives shape and dtype without reading.

    Arrays are read-only views of the memory-mapped file where the format allows (they may be unaligned), else fresh
    arrays. Nothing is kept: two accesses read twice. Access raises CheckpointError, which names `path`, for a tensor
    with values that are not finite: one of them makes every logit NaN.
    """

    def __init__(self, entries: Mapping[str, TensorEntry], path: Path) -> None:
        self.entries = dict(sorted(entries.items()))
        self.path = path

    def __getitem__(self, name: str) -> Array:
        entry = self.entries[name]
        array = entry.read()
        assert (array.shape, array.dtype) == (entry.shape, entry.dtype), f"{name}: a reader broke its contract"
        _check_finite(array, name, self.path)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def nbytes(self) -> int:
        return sum(entry.nbytes for entry in self.entries.values())


class Source(Mapping[str, "str | None"]):
    """Where a checkpoint came from: format, path, sha256, licence. The sha256 is computed at first access, then cached.

    sha256 of a single-file checkpoint is the file's own; of several files it is the digest of the sorted lines
    `<name> <sha256>` of all that were read. licence is None where the publisher's files do not state one.
    """

    _KEYS = ("format", "path", "sha256", "licence")

    def __init__(
        self, format: str, path: Path, files: list[Path], licence: Callable[[], str | None] | str | None = None
    ):
        self.format = format
        self.path = path
        self.files = files
        self._licence = licence

    @property
    def sha256(self) -> str:
        return sha256_of(self.files[0]) if len(self.files) == 1 else sha256_of_files(self.files)

    @property
    def licence(self) -> str | None:
        return self._licence() if callable(self._licence) else self._licence

    def __getitem__(self, key: str) -> str | None:
        if key not in self._KEYS:
            raise KeyError(key)
        value = getattr(self, key)
        return None if value is None else str(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._KEYS)

    def __len__(self) -> int:
        return len(self._KEYS)


@dataclass(frozen=True)
class Checkpoint:
    """A Whisper checkpoint in our names.

    config: the ten WhisperConfig fields. tensors: the names of `parameter_shapes(config)`, float16 or float32.
    generation: the decoding settings (see generation.py). notes: what the reader changed, for a report.
    """

    config: dict[str, int]
    tensors: LazyTensors
    tokenizer: TokenizerData
    generation: dict[str, Any]
    source: Source
    notes: list[str] = field(default_factory=list)


def checked_config(raw: Mapping[str, object], path: Path) -> dict[str, int]:
    """The ten sizes, each within limits.CONFIG_RANGES and consistent with each other. Raises CheckpointError."""
    config: dict[str, int] = {}
    for name, (low, high) in CONFIG_RANGES.items():
        if name not in raw:
            raise CheckpointError(path, f"config field {name!r}", "missing", "is this a Whisper checkpoint?")
        config[name] = integer(raw[name], low, high, path, f"config field {name!r}")
    for part in ("audio", "text"):
        state, heads = config[f"n_{part}_state"], config[f"n_{part}_head"]
        if state % heads:
            raise CheckpointError(path, "config", f"n_{part}_state {state} is not a multiple of n_{part}_head {heads}")
    if config["n_audio_state"] != config["n_text_state"]:
        raise CheckpointError(
            path,
            "config",
            f"n_audio_state {config['n_audio_state']} differs from n_text_state {config['n_text_state']}",
            "Whisper uses one width for encoder and decoder",
        )
    return config


def parameter_shapes(config: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Every parameter name of Whisper with its shape: linear weights (out, in), convolutions (out, in, 3)."""
    width, vocabulary = config["n_audio_state"], config["n_vocab"]
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (width, config["n_mels"], 3),
        "encoder.conv1.bias": (width,),
        "encoder.conv2.weight": (width, width, 3),
        "encoder.conv2.bias": (width,),
        "encoder.positional_embedding": (config["n_audio_ctx"], width),
        "decoder.token_embedding.weight": (vocabulary, width),
        "decoder.positional_embedding": (config["n_text_ctx"], width),
    }

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = (width,)
        shapes[f"{name}.bias"] = (width,)

    def linear(name: str, out: int, into: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (out, into)
        if bias:
            shapes[f"{name}.bias"] = (out,)

    def block(name: str, attentions: tuple[str, ...]) -> None:
        for attention in attentions:
            for role in ("query", "key", "value", "out"):
                linear(f"{name}.{attention}.{role}", width, width, bias=role != "key")
            norm(f"{name}.{attention}_ln")
        linear(f"{name}.mlp.0", 4 * width, width)
        linear(f"{name}.mlp.2", width, 4 * width)
        norm(f"{name}.mlp_ln")

    for i in range(config["n_audio_layer"]):
        block(f"encoder.blocks.{i}", ("attn",))
    for i in range(config["n_text_layer"]):
        block(f"decoder.blocks.{i}", ("attn", "cross_attn"))
    norm("encoder.ln_post")
    norm("decoder.ln")
    return shapes


def checked_tensors(entries: Mapping[str, TensorEntry], config: Mapping[str, int], path: Path) -> LazyTensors:
    """All parameters there, none unknown, every shape right, every dtype float16 or float32. Raises CheckpointError."""
    shapes = parameter_shapes(config)
    missing = [name for name in shapes if name not in entries]
    if missing:
        raise CheckpointError(path, "tensors", f"{len(missing)} missing: {_some(missing)}", DAMAGED)
    unknown = [name for name in entries if name not in shapes]
    if unknown:
        raise CheckpointError(path, "tensors", f"{len(unknown)} unknown: {_some(unknown)}", "not a plain Whisper?")
    for name, shape in shapes.items():
        entry = entries[name]
        if entry.shape != shape:
            raise CheckpointError(path, f"tensor {name!r}", f"shape {entry.shape}, expected {shape} from the config")
        if entry.dtype not in (np.dtype(np.float16), np.dtype(np.float32)):
            raise CheckpointError(path, f"tensor {name!r}", f"dtype {entry.dtype}, expected a float type")
    return LazyTensors(entries, path)


def _check_finite(array: Array, name: str, path: Path) -> None:
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        first = tuple(int(index) for index in wrong[0])
        raise CheckpointError(
            path,
            f"tensor {name!r}",
            f"{len(wrong)} of {array.size} values are not finite, the first at {list(first)}: {array[first]}",
            "did its training or conversion overflow? a damaged file? fetch it again",
        )


def count_layers(names: Iterable[str], prefix: str, path: Path, ignore: str = "") -> int:
    """How many consecutive layers `<prefix><i>...` there are; a gap or an index beyond the limit is refused.

    Names that start with `ignore` are no layers though they start with `prefix`.
    """
    indices: set[int] = set()
    highest = CONFIG_RANGES["n_audio_layer"][1]
    for name in names:
        if name.startswith(prefix) and not (ignore and name.startswith(ignore)):
            digits = name[len(prefix) :].split(".")[0].split("/")[0]
            if not (digits.isascii() and digits.isdigit()) or len(digits) > 6 or int(digits) >= highest:
                raise CheckpointError(path, f"tensor {name[:120]!r}", f"no layer number below {highest} in its name")
            indices.add(int(digits))
    if indices != set(range(len(indices))):
        raise CheckpointError(path, "tensors", f"layers {prefix}* are not numbered 0..{len(indices) - 1}", DAMAGED)
    return len(indices)


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:4])
    return shown + (", ..." if len(names) > 4 else "")

"""Thousands of damaged small checkpoints per format: each is either refused with CheckpointError or read in full.

ANYON_FUZZ_SEED=<n> replays or varies a run, ANYON_FUZZ_MUTATIONS=<n> makes it longer; both are printed on failure.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkpoint_writers import (
    SMALL,
    TINY_VOCABULARY,
    ctranslate2_bytes,
    ctranslate2_variables,
    ggml_bytes,
    huggingface_config,
    huggingface_name,
    openai_bytes,
    openai_pickle,
    random_tensors,
    safetensors_bytes,
    tiny_tokenizer_json,
    write_huggingface,
)

from anyon_export.checkpoints import CheckpointError, LazyTensors, load
from anyon_export.checkpoints.ctranslate2 import parse_model_bin
from anyon_export.checkpoints.files import parse_json
from anyon_export.checkpoints.ggml import parse_ggml
from anyon_export.checkpoints.openai_pt import parse_openai_pt
from anyon_export.checkpoints.safetensors import read_safetensors
from anyon_export.checkpoints.tensor_pickle import load_tensor_pickle
from anyon_export.checkpoints.tokenizer import read_tokenizer_json

SEED = int(os.environ.get("ANYON_FUZZ_SEED", "20261123"))
MUTATIONS = int(os.environ.get("ANYON_FUZZ_MUTATIONS", "2500"))

# A model as small as the formats allow, so that most bytes are structure.
TOY = {**SMALL, "n_audio_layer": 1, "n_audio_state": 2, "n_text_state": 2, "n_audio_head": 1, "n_text_head": 1}
TOY |= {"n_vocab": 3, "n_mels": 1, "n_audio_ctx": 1, "n_text_ctx": 1}
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def mutations(content: bytes, salt: str) -> Iterator[bytes]:
    """Endless damaged copies: flipped bits, extreme fields, cut, grown, moved and repeated parts; several at once."""
    rng = np.random.default_rng([SEED, *salt.encode()])
    while True:
        raw = bytearray(content)
        for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
            if not raw:
                break
            at = int(rng.integers(len(raw)))
            kind = rng.integers(8)
            if kind <= 2:
                raw[at] ^= 1 << int(rng.integers(8))
            elif kind == 3:
                raw[at] = int(rng.integers(256))
            elif kind == 4:
                width = int(rng.choice([1, 2, 4, 8]))
                value = int(EXTREMES[rng.integers(len(EXTREMES))]) & (2 ** (8 * width) - 1)
                raw[at : at + width] = value.to_bytes(width, str(rng.choice(["little", "big"])))  # type: ignore[arg-type]
            elif kind == 5:
                del raw[at : at + int(rng.integers(1, 64))]
            elif kind == 6:
                other = int(rng.integers(len(raw)))
                raw[at:at] = raw[other : other + int(rng.integers(1, 64))]
            else:
                del raw[at:]
        yield bytes(raw)


def fuzz(content: bytes, path: Path, read: Callable[[Path], Any], count: int = MUTATIONS) -> None:
    """Any exception but CheckpointError fails with what is needed to replay it."""
    path.write_bytes(content)
    read(path)
    refused = 0
    for number, damaged in zip(range(count), mutations(content, path.name), strict=False):
        path.unlink()  # earlier maps keep their own file
        path.write_bytes(damaged)
        try:
            read(path)
        except CheckpointError:
            refused += 1
        except BaseException as error:
            pytest.fail(f"mutation {number} of seed {SEED}: {type(error).__name__}: {error}")
    assert refused > count // 20, f"only {refused} of {count} damaged files were refused"


def read_all(tensors: LazyTensors) -> None:
    for name in tensors:
        assert tensors[name].shape == tensors.entries[name].shape


def test_safetensors(tmp_path: Path) -> None:
    fuzz(safetensors_bytes(random_tensors(TOY), {"format": "pt"}), tmp_path / "model.safetensors", read_safetensors)


def test_huggingface_weights(tmp_path: Path) -> None:
    config = {**TOY, "n_vocab": TINY_VOCABULARY}
    folder = write_huggingface(tmp_path, config, random_tensors(config))
    weights = safetensors_bytes({huggingface_name(name): array for name, array in random_tensors(config).items()})
    fuzz(weights, folder / "model.safetensors", lambda _: read_all(load(folder).tensors), MUTATIONS // 5)


def test_openai_zip(tmp_path: Path) -> None:
    fuzz(openai_bytes(TOY, random_tensors(TOY)), tmp_path / "model.pt", lambda path: read_all(parse_openai_pt(path)[1]))


def test_openai_pickle(tmp_path: Path) -> None:
    """The pickle alone, so that no CRC stops the damage from reaching the machine."""
    read = lambda path: load_tensor_pickle(path.read_bytes(), path)  # noqa: E731
    fuzz(openai_pickle(TOY, random_tensors(TOY)), tmp_path / "data.pkl", read)


def test_openai_pickle_inside_a_sound_zip(tmp_path: Path) -> None:
    tensors = random_tensors(TOY)
    inner = mutations(openai_pickle(TOY, tensors), "inner")
    for number, damaged in zip(range(MUTATIONS // 4), inner, strict=False):
        path = tmp_path / f"{number % 2}.pt"
        path.unlink(missing_ok=True)
        path.write_bytes(openai_bytes(TOY, tensors, damaged))
        try:
            read_all(parse_openai_pt(path)[1])
        except CheckpointError:
            continue


@pytest.mark.parametrize("kind", ["f2", "int8"])
def test_ctranslate2(tmp_path: Path, kind: str) -> None:
    variables = ctranslate2_variables(TOY, random_tensors(TOY))
    if kind == "int8":
        for name in [name for name in variables if name.endswith("weight")]:
            variables[name] = variables[name].astype(np.int8)
            variables[f"{name}_scale"] = np.ones(len(variables[name]), np.float32)
    fuzz(ctranslate2_bytes(variables), tmp_path / "model.bin", lambda path: read_all(parse_model_bin(path)[1]))


def test_ggml(tmp_path: Path) -> None:
    content = ggml_bytes(TOY, random_tensors(TOY), [b"a", b"bc", b""])
    fuzz(content, tmp_path / "model.bin", lambda path: read_all(parse_ggml(path)[1]))


def test_ggml_quantised(tmp_path: Path) -> None:
    config = {**SMALL, "n_vocab": 3, "n_audio_layer": 1}
    tensors = random_tensors(config)
    kinds = {2: 18, 3: 20, 6: 22, 7: 24, 8: 34}
    names = [name for name in tensors if name.endswith("weight") and "blocks" in name and tensors[name].ndim == 2]
    blocks = {}
    for i, name in enumerate(names):
        kind = list(kinds)[i % 5]
        blocks[name] = (kind, bytes(tensors[name].size // 32 * kinds[kind]))
    content = ggml_bytes(config, tensors, [], blocks, ftype=2_002)
    fuzz(content, tmp_path / "model.bin", lambda path: read_all(parse_ggml(path)[1]))


def test_tokenizer_json(tmp_path: Path) -> None:
    content = json.dumps(tiny_tokenizer_json()).encode()
    fuzz(
        content,
        tmp_path / "tokenizer.json",
        lambda path: read_tokenizer_json(path, TINY_VOCABULARY).encode_piece(b" the"),
    )


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json"])
def test_huggingface_settings(tmp_path: Path, name: str) -> None:
    config = {**TOY, "n_vocab": TINY_VOCABULARY}
    folder = write_huggingface(tmp_path, config, random_tensors(config))
    contents = {
        "config.json": json.dumps(huggingface_config(config)),
        "generation_config.json": json.dumps({"alignment_heads": [[0, 0]], "suppress_tokens": [1, 2, 3]}),
        "tokenizer.json": json.dumps(tiny_tokenizer_json()),
    }
    fuzz(contents[name].encode(), folder / name, lambda _: load(folder), MUTATIONS // 5)


@settings(max_examples=500, deadline=None)
@given(
    content=st.binary(max_size=600),
    prefix=st.sampled_from([b"", b"PK\x03\x04", b"lmgg", b"\x06\0\0\0\x0c\0WhisperSpec\0"]),
)
def test_any_file_at_all(tmp_path_factory: pytest.TempPathFactory, content: bytes, prefix: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any" / "model.bin"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(prefix + content)
    with pytest.raises(CheckpointError):
        load(path)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(value=JSON_VALUES)
def test_any_json_survives_the_parser_unchanged(value: Any) -> None:
    assert parse_json(json.dumps(value, allow_nan=False).encode(), Path("x")) == value


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["num_mel_bins", "d_model", "encoder_layers", "decoder_attention_heads", "vocab_size"]),
    value=JSON_VALUES,
)
def test_any_value_in_a_config(tmp_path_factory: pytest.TempPathFactory, name: str, value: Any) -> None:
    config = {**TOY, "n_vocab": TINY_VOCABULARY}
    folder = tmp_path_factory.getbasetemp() / "config-values"
    if not folder.exists():
        write_huggingface(folder, config, random_tensors(config))
    stated = huggingface_config(config)
    if value == stated[name] and not isinstance(value, (bool, float)):
        return
    (folder / "config.json").write_text(json.dumps({**stated, name: value}, allow_nan=False))
    with pytest.raises(CheckpointError):
        load(folder)

"""Damaged safetensors files, Hugging Face folders and tokenizers: a CheckpointError that says what and where."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_writers import SMALL, TINY_VOCABULARY, random_tensors, tiny_tokenizer_json, write_huggingface
from damage import refused

from anyon_export.checkpoints import CheckpointError, limits, load
from anyon_export.checkpoints.safetensors import read_safetensors
from anyon_export.checkpoints.tokenizer import read_tokenizer_json

TINY_HF = {**SMALL, "n_vocab": TINY_VOCABULARY}


def header_only(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(shape: Any, offsets: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x01\x02", "needs 8 bytes, 2 are left"),
        (struct.pack("<Q", 2**63) + b"{}", "the header claims 9223372036854775808 bytes"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "the header claims"),
        (header_only(b"{" + b" " * limits.MAX_SAFETENSORS_HEADER_BYTES), "over the limit"),
        (header_only(b'{"a": '), "not valid JSON"),
        (header_only(b"\xff\xfe{}"), "not valid JSON"),
        (header_only(b"[]"), "a JSON object is expected"),
        (header_only(b'{"a":' + b"[" * 200_000), "nested too deeply"),
        (header_only(b'{"a":' * 100_000), "nested too deeply"),
        (header_only(b'{"w": ' + b"9" * 5_000 + b"}"), "not valid JSON"),
        (header_only(b'{"w": NaN}'), "NaN is not JSON"),
        (header_only(b'{"w": 1, "w": 1}'), "the name 'w' appears twice"),
        (header_only({"__metadata__": {"a": 1}}), "an object of strings"),
        (header_only({"w": []}), "dtype, shape and data_offsets are expected"),
        (header_only({"": one([1], [0, 4])["w"]}, bytes(4)), "a name of 1 to"),
        (header_only(one([-1], [0, 4]), bytes(4)), "-1 is outside"),
        (header_only(one([2**40], [0, 4]), bytes(4)), "is outside"),
        (header_only(one([2**31 - 1] * 4, [0, 4]), bytes(4)), "needs 85070591.* bytes, 4 given"),
        (header_only(one([1, 1, 1, 1, 1], [0, 4]), bytes(4)), "at most 4 dimensions"),
        (header_only(one([True], [0, 4]), bytes(4)), "an integer is expected, found bool"),
        (header_only(one([1.0], [0, 4]), bytes(4)), "an integer is expected, found float"),
        (header_only(one("1", [0, 4]), bytes(4)), "a shape of at most"),
        (header_only(one([1], [0, 4], "F33"), bytes(4)), "unknown dtype 'F33'"),
        (header_only(one([1], [0, 4], ["F32"]), bytes(4)), "unknown dtype"),
        (header_only(one([1], [4, 0]), bytes(4)), "0 is outside 4..4"),
        (header_only(one([1], [0, 8]), bytes(4)), "8 is outside 0..4"),
        (header_only(one([1], [0, 2**70]), bytes(4)), "a huge number is outside"),
        (header_only(one([1], [-4, 0]), bytes(4)), "-4 is outside"),
        (header_only(one([2], [0, 4]), bytes(4)), "needs 8 bytes, 4 given"),
        (header_only(one([1], [0, 4]), bytes(8)), "tensors end at byte 4, the data at 8"),
        (header_only(one([1], [4, 8]), bytes(8)), "leaves a gap"),
        (header_only({**one([2], [0, 8]), "v": one([1], [4, 8])["w"]}, bytes(8)), "overlaps the one before"),
    ],
)
def test_safetensors(tmp_path: Path, content: bytes, message: str) -> None:
    refused(read_safetensors, tmp_path / "model.safetensors", content, message)


def test_safetensors_of_integers_are_no_weights(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path, TINY_HF, random_tensors(TINY_HF))
    content = (folder / "model.safetensors").read_bytes().replace(b'"F16"', b'"I16"', 1)
    refused(lambda _: load(folder), folder / "model.safetensors", content, "dtype I16 cannot be a Whisper weight")


def change_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def index_of(mapping: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "shard.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapping}))

    return change


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json beside the weights"),
        (write("config.json", b"[1]"), "a JSON object is expected"),
        (write("config.json", b" " * (limits.MAX_CONFIG_JSON_BYTES + 1)), "larger than the"),
        (write("config.json", b"version https://git-lfs.github.com/spec/v1"), "a Git LFS pointer"),
        (change_config(model_type="llama"), "'llama', only 'whisper'"),
        (change_config(activation_function="relu"), "'relu' is not supported"),
        (change_config(quantization_config={"bits": 4}), "quantization_config"),
        (change_config(d_model=-32), "-32 is outside"),
        (change_config(d_model=2**40), "is outside"),
        (change_config(d_model="32"), "an integer is expected, found str"),
        (change_config(encoder_attention_heads=5), "not a multiple"),
        (change_config(encoder_layers=3), "missing: encoder.blocks.2"),
        (change_config(encoder_layers=1), "unknown: encoder.blocks.1"),
        (change_config(vocab_size=TINY_VOCABULARY - 1), r"shape \(1769, 32\), expected \(1768, 32\)"),
        (index_of({}), "an object of tensor name -> file"),
        (index_of({"a": "../shard.safetensors"}), "not a plain file name"),
        (index_of({"a": "/etc/passwd"}), "not a plain file name"),
        (index_of({"a": 1}), "not a plain file name"),
        (index_of({"a": "shard.safetensors"}), "index and shards disagree"),
        (index_of({"a": "gone.safetensors"}), "no such file"),
        (index_of({str(i): f"s{i}" for i in range(limits.MAX_SHARDS + 1)}), "257 shards"),
        (write("generation_config.json", b'{"alignment_heads": [[9, 0]]}'), "9 is outside 0..0"),
        (write("generation_config.json", b'{"alignment_heads": [[0, 1], [0, 1]]}'), "given twice"),
        (write("generation_config.json", b'{"alignment_heads": "all"}'), "a list of .layer, head. pairs"),
        (write("generation_config.json", b'{"suppress_tokens": [99999]}'), "99999 is outside"),
        (write("generation_config.json", b'{"suppress_tokens": 7}'), "a list of token ids"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "1769 is none of the published"),
    ],
)
def test_huggingface_folder(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    folder = write_huggingface(tmp_path, TINY_HF, random_tensors(TINY_HF))
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_a_fifo_or_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path, TINY_HF, random_tensors(TINY_HF))
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load(folder)
    with pytest.raises(CheckpointError, match="not a regular file"):
        load("/dev/zero")
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(CheckpointError, match="not a regular file"):
        load(folder)


def edited_tokenizer(edit: Callable[[dict[str, Any]], Any]) -> bytes:
    root = tiny_tokenizer_json()
    edit(root)
    return json.dumps(root).encode()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.update(model=[]), "not a byte-pair encoding"),
        (lambda t: t["model"].update(type="Unigram"), "not a byte-pair encoding"),
        (lambda t: t["model"].update(vocab=[]), "missing or of the wrong kind"),
        (lambda t: t["model"]["vocab"].update(th=-1), "-1 is outside"),
        (lambda t: t["model"]["vocab"].update(th=10**9), "is outside"),
        (lambda t: t["model"]["vocab"].update(th=3), "id 3 is used twice"),
        (lambda t: t["model"]["vocab"].update({"日本": 300}), "not in the byte-level alphabet"),
        (lambda t: t["model"]["vocab"].update({"x" * 2_000: 300}), "longer than 1024 bytes"),
        (lambda t: t["model"]["vocab"].pop("a"), "no token for byte 97"),
        (lambda t: t["model"]["merges"].append("q z"), "'q z' is not in the vocabulary"),
        (lambda t: t["model"]["merges"].append("q"), "is not in the vocabulary"),
        (lambda t: t["model"]["merges"].append(["q", 1]), "two tokens are expected"),
        (lambda t: t["added_tokens"].append({"id": 5}), "an entry without text"),
        (lambda t: t["added_tokens"].append({"id": 99_999, "content": "x"}), "99999 is outside"),
        (lambda t: t["added_tokens"].append({"id": 260, "content": "x"}), "two of them share an id"),
        (lambda t: t["added_tokens"].append({"id": 270, "content": "x" * 2_000}), "longer than 1024 bytes"),
    ],
)
def test_tokenizer_json(tmp_path: Path, edit: Callable[[dict[str, Any]], Any], message: str) -> None:
    read = lambda path: read_tokenizer_json(path, TINY_VOCABULARY)  # noqa: E731
    refused(read, tmp_path / "tokenizer.json", edited_tokenizer(edit), message)


def test_a_tokenizer_without_whispers_tokens_is_refused(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path, TINY_HF, random_tensors(TINY_HF))
    (folder / "tokenizer.json").write_bytes(edited_tokenizer(lambda t: t["added_tokens"].pop(3)))
    with pytest.raises(CheckpointError, match=r"no special token <\|translate\|>"):
        load(folder)

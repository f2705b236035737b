"""Hostile and damaged checkpoints: a CheckpointError that says what and where, no code run, no memory taken."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkpoint_writers import (
    SMALL,
    TINY_VOCABULARY,
    ctranslate2_bytes,
    ctranslate2_variables,
    ggml_bytes,
    ggml_tensor,
    openai_bytes,
    openai_pickle,
    pickled_tensor,
    random_tensors,
    tiny_tokenizer_json,
    write_huggingface,
    zip_bytes,
)

from anyon_export.checkpoints import CheckpointError, limits, load
from anyon_export.checkpoints.ctranslate2 import parse_model_bin
from anyon_export.checkpoints.ggml import parse_ggml
from anyon_export.checkpoints.openai_pt import parse_openai_pt
from anyon_export.checkpoints.safetensors import read_safetensors
from anyon_export.checkpoints.tensor_pickle import load_tensor_pickle
from anyon_export.checkpoints.tokenizer import read_tokenizer_json

TINY_HF = {**SMALL, "n_vocab": TINY_VOCABULARY}
TENSORS = random_tensors(SMALL)


def refused(read: Callable[[Path], Any], path: Path, content: bytes, message: str) -> None:
    """`content` at `path` is refused with `message`, which names the path, within 8 MiB of Python memory."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message) as caught:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 8 << 20, f"{peak} bytes were allocated"


# --- safetensors ------------------------------------------------------------------------------------------------------


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


# --- Hugging Face folders ---------------------------------------------------------------------------------------------


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


# --- tokenizers -------------------------------------------------------------------------------------------------------


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


# --- OpenAI .pt: pickles ----------------------------------------------------------------------------------------------


class _Evil:
    """Pickles into a call of os.system."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/anyon-was-here",)


class _Object:
    """Pickles into an object built through copyreg."""

    def __init__(self) -> None:
        self.state = 1


TENSOR = pickled_tensor(np.zeros((2, 3), np.float32), "0")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (pickle.dumps(_Evil(), protocol=2), r"the global (posix|nt).system is not one"),
        (pickle.dumps(_Evil(), protocol=4), r"the global (posix|nt).system is not one"),
        (pickle.dumps(_Evil(), protocol=0), "opcode 0x|global"),
        (pickle.dumps(_Object(), protocol=2), "the global copyreg._reconstructor is not one|_Object is not one"),
        (pickle.dumps({1, 2}, protocol=4), "opcode 0x8f"),
        (b"\x80\x02cos\nsystem\n.", "the global os.system is not one"),
        (b"\x80\x02cbuiltins\neval\n.", "the global builtins.eval is not one"),
        (b"\x80\x02ctorch\nload\n.", "the global torch.load is not one"),
        (b"\x80\x02ctorch._utils\n_rebuild_parameter\n.", "_rebuild_parameter is not one"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "the global os.system is not one"),
        (b"\x80\x02(S'id'\ni.", "opcode 0x53"),
        (b"\x80\x02(cos\nsystem\nX\x02\0\0\0ido.", "the global os.system"),
        (b"\x80\x02\x82\x01.", "opcode 0x82"),  # EXT1
        (b"\x80\x02Pid\n.", "opcode 0x50"),  # PERSID
        (b"\x80\x02)\x81.", "opcode 0x81"),  # NEWOBJ
        (b"\x80\x01.", "pickle protocol 1"),
        (b"\x80\x02.", "empty stack"),
        (b"", "needs 1 bytes, 0 are left"),
        (b"\x80\x02N", "needs 1 bytes, 0 are left"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "needs 4294967295 bytes"),
        (b"\x80\x02X\x02\0\0\0\xff\xfe.", "not UTF-8"),
        (b"\x80\x02N(.", "empty stack"),
        (b"\x80\x02Nt.", "no mark"),
        (b"\x80\x02h\x05.", "memo 5 was never stored"),
        (b"\x80\x02j\xff\xff\xff\xff.", "memo 4294967295 was never stored"),
        (b"\x80\x02)R.", "empty stack"),
        (b"\x80\x02N)R.", "calls NoneType"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "calls Float in a way"),
        (b"\x80\x02ccollections\nOrderedDict\n(NtR.", "calls collections.OrderedDict in a way"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor without storage"),
        (b"\x80\x02NNb.", "sets the state of an object"),
        (b"\x80\x02NNNs.", "not a dict"),
        (b"\x80\x02}(Nu.", "not a dict"),
        (b"\x80\x02}NNs.", "a dict key of type NoneType"),
        (b"\x80\x02})Ns.", "a dict key of type tuple"),
        (b"\x80\x02}(K\x01NK\x01Nu.", "the key '1' is set twice"),
        (b"\x80\x02NNa.", "not a list"),
        (b"\x80\x02NQ.", "a persistent id that is not a storage"),
        (b"\x80\x02cos\nsystem\nQ.", "the global os.system"),
        (b"\x80\x02(X\x07\0\0\0storageX\x02\0\0\0osX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQ.", "unknown type or key"),
        (b"\x80\x02(X\x07\0\0\0storagectorch\nFloatStorage\nNX\x03\0\0\0cpuK\x01tQ.", "unknown type or key"),
        (b"\x80\x02(X\x06\0\0\0modulectorch\nFloatStorage\nNNNtQ.", "not a storage"),
        (b"\x80\x02" + TENSOR.replace(b"J\x06\0\0\0", b"J\xff\xff\xff\xff") + b".", "-1 is outside"),
        (b"\x80\x02" + TENSOR.replace(b"J\x06\0\0\0", b"J\x05\0\0\0") + b".", "passes the end of its storage of 5"),
        (b"\x80\x02" + TENSOR.replace(b"J\0\0\0\0", b"J\x01\0\0\0") + b".", "passes the end of its storage of 6"),
        (b"\x80\x02" + TENSOR.replace(b"J\x02\0\0\0", b"J\xff\xff\xff\x7f") + b".", "passes the end"),
        (
            b"\x80\x02" + TENSOR.replace(b"(J\x03\0\0\0J\x01\0\0\0t", b"(J\x02\0\0\0J\x02\0\0\0t") + b".",
            "passes the end",
        ),
        (
            b"\x80\x02" + TENSOR.replace(b"(J\x03\0\0\0J\x01\0\0\0t", b"(J\x03\0\0\0J\xff\xff\xff\xfft") + b".",
            "-1 is outside",
        ),
        (
            b"\x80\x02" + TENSOR.replace(b"(J\x03\0\0\0J\x01\0\0\0t", b"(J\x03\0\0\0t") + b".",
            "2 dimensions and 1 strides",
        ),
        (b"\x80\x02" + TENSOR.replace(b"(J\x03\0\0\0J\x01\0\0\0t", b"(J\x03\0\0\0Nt") + b".", "an integer is expected"),
        (b"\x80\x02\x8a\xff" + bytes(255) + b".", "an integer of 255 bytes"),
        (b"\x80\x02c" + b"x" * 1_000, "a name without an end"),
    ],
)
def test_pickle_is_never_executed(tmp_path: Path, raw: bytes, message: str) -> None:
    marker = Path("/tmp/anyon-was-here")
    marker.unlink(missing_ok=True)
    refused(lambda path: load_tensor_pickle(path.read_bytes(), path), tmp_path / "model.pt", raw, message)
    refused(parse_openai_pt, tmp_path / "model.pt", zip_bytes({"a/data.pkl": raw}), message)
    assert not marker.exists()


def test_zero_strides_cannot_inflate_a_few_bytes(tmp_path: Path) -> None:
    bomb = TENSOR.replace(b"(J\x02\0\0\0J\x03\0\0\0t", b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft", 1)
    bomb = bomb.replace(b"(J\x03\0\0\0J\x01\0\0\0t", b"(J\0\0\0\0J\0\0\0\0t", 1)
    refused(parse_openai_pt, tmp_path / "m.pt", zip_bytes({"a/data.pkl": b"\x80\x02" + bomb + b"."}), "passes the end")


def test_nested_references_cost_nothing(tmp_path: Path) -> None:
    """The billion laughs: tuples of two references each, 60 deep, then used as a global's name, a key, a shape."""
    laughs = b"\x80\x02)" + b"q\x00h\x00\x86" * 60
    for end, message in (
        (b"h\x00\x93.", "a global whose name is not text"),
        (b"}h\x00Ns.", "a dict key of type tuple"),
        (b"Q.", "not a storage"),
        (b".", "no 'dims'"),
    ):
        tail = end if not end.startswith(b"}") else b"q\x00}h\x00Ns."
        refused(parse_openai_pt, tmp_path / "m.pt", zip_bytes({"a/data.pkl": laughs + tail}), message)


def test_deep_nesting_is_no_recursion(tmp_path: Path) -> None:
    raw = b"\x80\x02" + b"(" * 300_000 + b"t" * 300_000 + b"."
    (tmp_path / "m.pt").write_bytes(zip_bytes({"a/data.pkl": raw}))
    with pytest.raises(CheckpointError, match="no 'dims'"):
        parse_openai_pt(tmp_path / "m.pt")


def test_endless_pickles_end(tmp_path: Path) -> None:
    raw = b"\x80\x02" + b"N" * (limits.MAX_PICKLE_STEPS + 5) + b"."
    with pytest.raises(CheckpointError, match="more than 1000000 steps"):
        load_tensor_pickle(raw, tmp_path)
    with pytest.raises(CheckpointError, match="over the limit"):
        load_tensor_pickle(bytes(limits.MAX_PICKLE_BYTES + 1), tmp_path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (pickle.dumps({}, protocol=2), "no 'dims'"),
        (pickle.dumps([1], protocol=2), "no 'dims'"),
        (pickle.dumps({"dims": 1, "model_state_dict": {}}, protocol=2), "must be dicts"),
        (pickle.dumps({"dims": {}, "model_state_dict": {}}, protocol=2), "'n_mels': missing"),
        (pickle.dumps({"dims": {**SMALL, "n_mels": -1}, "model_state_dict": {}}, protocol=2), "-1 is outside"),
        (pickle.dumps({"dims": {**SMALL, "n_mels": 1.5}, "model_state_dict": {}}, protocol=2), "found float"),
        (pickle.dumps({"dims": {**SMALL, "n_vocab": 2**31 - 1}, "model_state_dict": {}}, protocol=2), "is outside"),
        (pickle.dumps({"dims": SMALL, "model_state_dict": {}}, protocol=2), "missing: encoder.conv1.weight"),
        (pickle.dumps({"dims": SMALL, "model_state_dict": {"a": 1}}, protocol=2), "not a named tensor"),
    ],
)
def test_openai_layout(tmp_path: Path, raw: bytes, message: str) -> None:
    refused(parse_openai_pt, tmp_path / "model.pt", openai_bytes(SMALL, TENSORS, raw), message)


# --- OpenAI .pt: zip --------------------------------------------------------------------------------------------------


def good_zip() -> bytes:
    return openai_bytes(SMALL, TENSORS)


def patched(content: bytes, at: int, form: str, *values: int) -> bytes:
    raw = bytearray(content)
    struct.pack_into(form, raw, at, *values)
    return bytes(raw)


def end_record(content: bytes) -> int:
    return content.rindex(b"PK\x05\x06")


def first_entry(content: bytes) -> int:
    return content.index(b"PK\x01\x02")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda z: z[: len(z) // 2], "zip end record: not found"),
        (lambda z: z + b"x", "does not end with it"),
        (lambda z: patched(z, end_record(z) + 8, "<2H", 9_999, 9_999), "needs 46 bytes"),
        (lambda z: patched(z, end_record(z) + 8, "<2H", 3, 3), "bytes left over"),
        (lambda z: patched(z, end_record(z) + 8, "<2H", 3, 4), "split over several files"),
        (lambda z: patched(z, end_record(z) + 12, "<I", 2**31), "pass the end record"),
        (lambda z: patched(z, end_record(z) + 16, "<I", 2**31), "pass the end record"),
        (lambda z: patched(z, end_record(z) + 16, "<I", 0xFFFFFFFF), "zip64 locator"),
        (lambda z: patched(z, first_entry(z), "<I", 0), "not a directory entry"),
        (lambda z: patched(z, first_entry(z) + 8, "<H", 1), "encrypted"),
        (lambda z: patched(z, first_entry(z) + 10, "<H", 8), "compressed .method 8."),
        (lambda z: patched(z, first_entry(z) + 20, "<I", 5), "compressed .method 0."),
        (lambda z: patched(z, first_entry(z) + 20, "<2I", 2**31, 2**31), "needs 2147483648 bytes"),
        (lambda z: patched(z, first_entry(z) + 20, "<2I", 0xFFFFFFFF, 0xFFFFFFFF), "64-bit sizes are missing"),
        (lambda z: patched(z, first_entry(z) + 28, "<H", 0xFFFF), "name has 65535 bytes"),
        (lambda z: patched(z, first_entry(z) + 42, "<I", 7), "no matching local header"),
        (lambda z: patched(z, first_entry(z) + 42, "<I", 2**31), "needs 30 bytes"),
        (lambda z: z.replace(b"data.pkl", b"data.pky"), "0 entries named"),
    ],
)
def test_zip(tmp_path: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    refused(parse_openai_pt, tmp_path / "model.pt", damage(good_zip()), message)


def test_zip_bombs_are_refused_by_their_method(tmp_path: Path) -> None:
    entries = {"a/data.pkl": b"\x80\x02N" * 100_000, "a/data/0": bytes(50_000_000)}
    content = zip_bytes(entries, zipfile.ZIP_DEFLATED)
    assert len(content) < 100_000
    refused(parse_openai_pt, tmp_path / "model.pt", content, "compressed .method 8.")


def test_zip_names_and_overlaps(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/data.pkl", b"two")
    refused(parse_openai_pt, tmp_path / "model.pt", buffer.getvalue(), "appears twice")
    two = zip_bytes({"a/data.pkl": openai_pickle(SMALL, TENSORS), "b/data.pkl": b"N."})
    refused(parse_openai_pt, tmp_path / "model.pt", two, "2 entries named data.pkl")
    many = zip_bytes({f"{i}": b"" for i in range(limits.MAX_ZIP_ENTRIES + 1)})
    refused(parse_openai_pt, tmp_path / "model.pt", many, "over the limit")
    # A second directory entry (with another name in both places) whose data lie inside the first one's.
    inner = zip_bytes({"inner": b"x" * 50})[: 30 + 5 + 50]
    outer = zip_bytes({"outer": inner, "inner": b"x" * 50})
    second = outer.rindex(b"PK\x01\x02")
    refused(parse_openai_pt, tmp_path / "model.pt", patched(outer, second + 42, "<I", 35), "overlaps another entry")


def test_storages_must_be_there_and_of_their_size(tmp_path: Path) -> None:
    entries = {"a/data.pkl": openai_pickle(SMALL, TENSORS)}
    refused(parse_openai_pt, tmp_path / "model.pt", zip_bytes(entries), "zip entry 'a/data/0': missing")
    data = {f"a/data/{i}": array.tobytes() for i, array in enumerate(TENSORS.values())}
    short = {**entries, **data, "a/data/3": b"12"}
    refused(parse_openai_pt, tmp_path / "model.pt", zip_bytes(short), "zip entry 'a/data/3': 2 bytes for 32")
    big_endian = {**entries, **data, "a/byteorder": b"big"}
    refused(parse_openai_pt, tmp_path / "model.pt", zip_bytes(big_endian), "big-endian")


def test_zip64_records_are_read(tmp_path: Path) -> None:
    """torch writes them for every file over 4 GB and some below."""
    content = good_zip()
    end = end_record(content)
    count, size, offset = struct.unpack("<H2I", content[end + 10 : end + 20])
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    wide = content[:end] + record + locator + patched(content[end:], 8, "<2H2I", 0xFFFF, 0xFFFF, *[0xFFFFFFFF] * 2)
    (tmp_path / "model.pt").write_bytes(wide)
    config, tensors, _ = parse_openai_pt(tmp_path / "model.pt")
    assert config == SMALL
    np.testing.assert_array_equal(tensors["encoder.conv2.weight"], TENSORS["encoder.conv2.weight"])
    at = len(content[:end] + record) + 8
    refused(parse_openai_pt, tmp_path / "model.pt", patched(wide, at, "<Q", 2**62), "beyond itself")
    refused(parse_openai_pt, tmp_path / "model.pt", patched(wide, end + 32, "<Q", 2**62), "split over|over the limit")


# --- CTranslate2 ------------------------------------------------------------------------------------------------------

VARIABLES = ctranslate2_variables(SMALL, TENSORS)
CT2_HEAD = struct.pack("<IH", 6, 12) + b"WhisperSpec\0" + struct.pack("<I", 3)


def ct2_variable(name: bytes, dims: tuple[int, ...], dtype: int, size: int, data: bytes = b"") -> bytes:
    return (
        (struct.pack("<H", len(name) + 1) + name + b"\0" + struct.pack(f"<B{len(dims)}I", len(dims), *dims))
        + struct.pack("<BI", dtype, size)
        + data
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (struct.pack("<I", 5), "version 5, only 6"),
        (struct.pack("<IH", 6, 3) + b"abc", "one NUL"),
        (struct.pack("<IH", 6, 0), "a string of 0 bytes"),
        (struct.pack("<IH", 6, 0xFFFF), "a string of 65535 bytes"),
        (struct.pack("<IH", 6, 4) + b"abc\0", "'abc', only 'WhisperSpec'"),
        (CT2_HEAD[:-4] + struct.pack("<I", 9), "revision 9"),
        (CT2_HEAD + struct.pack("<I", 2**32 - 1), "4294967295, at most 10000"),
        (CT2_HEAD + struct.pack("<I", 1), "needs 2 bytes, 0 are left"),
        (CT2_HEAD + struct.pack("<I", 1) + ct2_variable(b"w", (2**32 - 1,) * 4, 0, 4), "4 bytes given, shape"),
        (CT2_HEAD + struct.pack("<I", 1) + ct2_variable(b"w", (2**30,), 0, 2**32 - 4), "bytes given"),
        (CT2_HEAD + struct.pack("<I", 1) + ct2_variable(b"w", (2**28,), 0, 2**30), "needs 1073741824 bytes"),
        (CT2_HEAD + struct.pack("<I", 1) + ct2_variable(b"w", (1,) * 5, 0, 4, bytes(4)), "5 dimensions"),
        (CT2_HEAD + struct.pack("<I", 1) + ct2_variable(b"w", (1,), 6, 4, bytes(4)), "unknown dtype 6"),
        (CT2_HEAD + struct.pack("<I", 1) + ct2_variable(b"", (1,), 0, 4, bytes(4)), "an empty name"),
        (CT2_HEAD + struct.pack("<I", 2) + ct2_variable(b"w", (1,), 0, 4, bytes(4)) * 2, "appears twice"),
        (CT2_HEAD + struct.pack("<I", 1) + ct2_variable(b"\xff", (1,), 0, 4, bytes(4)), "not UTF-8"),
        (ctranslate2_bytes(VARIABLES) + b"x", "1 bytes left over"),
        (ctranslate2_bytes(VARIABLES)[:-1], "are left"),
        (ctranslate2_bytes(VARIABLES, {"a": "missing"}), "alias 'a'"),
        (ctranslate2_bytes(VARIABLES, {"decoder/layer_norm/beta": "decoder/layer_norm/gamma"}), "its name is taken"),
        (ctranslate2_bytes({**VARIABLES, "encoder/layer_9/x": np.zeros(1, "f4")}), "not numbered 0..2"),
        (ctranslate2_bytes({**VARIABLES, "encoder/layer_99999999/x": np.zeros(1, "f4")}), "no layer number below"),
        (ctranslate2_bytes({**VARIABLES, "encoder/layer_x/x": np.zeros(1, "f4")}), "no layer number below"),
        (ctranslate2_bytes({**VARIABLES, "encoder/num_heads": np.int16(-2)}), "-2 is outside"),
        (ctranslate2_bytes({**VARIABLES, "encoder/num_heads": np.float32(2)}), "an integer is expected"),
        (ctranslate2_bytes({**VARIABLES, "encoder/conv1/weight": np.zeros(9, "f4")}), "3 dimensions expected"),
        (ctranslate2_bytes({**VARIABLES, "encoder/conv1/weight": np.zeros((0, 5, 3), "f4")}), "0 is outside"),
        (ctranslate2_bytes({**VARIABLES, "encoder/conv2/bias": np.zeros((32, 1), "f4")}), "expected .32,."),
        (ctranslate2_bytes({**VARIABLES, "encoder/conv2/bias": np.zeros(32, "i4")}), "cannot be a weight"),
    ],
)
def test_ctranslate2(tmp_path: Path, content: bytes, message: str) -> None:
    refused(parse_model_bin, tmp_path / "model.bin", content, message)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-42, np.inf, np.nan])
def test_ctranslate2_scales_are_positive_numbers(tmp_path: Path, scale: float) -> None:
    name = "encoder/conv2/weight"
    quantised = {**VARIABLES, name: np.ones((32, 32, 3), "i1"), f"{name}_scale": np.full(32, scale, "f4")}
    refused(parse_model_bin, tmp_path / "model.bin", ctranslate2_bytes(quantised), "not a positive number")
    wrong = {**quantised, f"{name}_scale": np.ones(31, "f4")}
    refused(parse_model_bin, tmp_path / "model.bin", ctranslate2_bytes(wrong), "32 float32 values are expected")


def test_ctranslate2_vocabulary_lists(tmp_path: Path) -> None:
    config = {**SMALL, "n_vocab": 51_864, "n_audio_state": 2, "n_text_state": 2}
    (tmp_path / "model.bin").write_bytes(ctranslate2_bytes(ctranslate2_variables(config, random_tensors(config))))
    for content, message in (
        (b"a\nb\n", "2 tokens, the model has 51864"),
        (b"\xff\xfe\n" * 51_864, "not UTF-8"),
        (b"a b\n" * 51_864, "not in the byte-level alphabet"),
        (b"a\n" * 51_864, "an unknown vocabulary without its merges"),
        (b"\n" * (limits.MAX_VOCABULARY + 1), "more than 262144 lines"),
    ):
        (tmp_path / "vocabulary.txt").write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path)
    (tmp_path / "vocabulary.json").write_bytes(b'{"a": 1}')
    with pytest.raises(CheckpointError, match="a JSON list of tokens"):
        load(tmp_path)


# --- ggml -------------------------------------------------------------------------------------------------------------

GGML = ggml_bytes(SMALL, TENSORS, [b"a", b"bc"])
GGML_TENSORS = ggml_bytes(SMALL, {}, [])  # sizes, filters, an empty vocabulary
FILTERS = 4 + 11 * 4
VOCABULARY = FILTERS + 8 + SMALL["n_mels"] * 3 * 4
WEIGHT = "encoder.conv2.weight"


def header(rank: int, name_size: int, kind: int) -> bytes:
    return GGML_TENSORS + struct.pack("<3i", rank, name_size, kind)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GGML[:20], "needs 4 bytes, 0 are left"),
        (patched(GGML, 4, "<i", -1), "-1 is outside"),
        (patched(GGML, 4, "<i", 2**31 - 1), "is outside"),
        (patched(GGML, FILTERS, "<2i", -1, -1), "-1 mel filters"),
        (patched(GGML, FILTERS, "<2i", 2**31 - 1, 2**31 - 1), "2147483647 mel filters"),
        (patched(GGML, FILTERS, "<2i", 4_096, 4_096), "needs 67108864 bytes"),
        (patched(GGML, VOCABULARY, "<i", -1), "-1 tokens"),
        (patched(GGML, VOCABULARY, "<i", 2**31 - 1), "2147483647 tokens"),
        (patched(GGML, VOCABULARY + 4, "<I", 2**32 - 1), "4294967295 bytes"),
        (patched(GGML, VOCABULARY + 4, "<I", 1_000), "are left|token 1|tensor header"),
        (header(0, 5, 0), "0 dimensions"),
        (header(-1, 5, 0), "-1 dimensions"),
        (header(2**31 - 1, 5, 0), "2147483647 dimensions"),
        (header(1, -5, 0), "a name of -5 bytes"),
        (header(1, 2**31 - 1, 0), "a name of 2147483647 bytes"),
        (header(1, 5, 0), "needs 4 bytes, 0 are left"),
        (GGML_TENSORS + ggml_tensor("what", (1,), 0, bytes(4)), "no parameter of Whisper has this name"),
        (GGML_TENSORS + ggml_tensor(WEIGHT, (-3, 32, 32), 0, b""), "dimensions"),
        (GGML_TENSORS + ggml_tensor(WEIGHT, (2**31 - 1,) * 3, 0, b""), "expected .32, 32, 3. from the sizes"),
        (GGML_TENSORS + ggml_tensor(WEIGHT, (3, 32, 32), 0, bytes(8)), "needs 12288 bytes, 8 are left"),
        (GGML_TENSORS + ggml_tensor(WEIGHT, (3, 32, 32), 14, bytes(8)), "ggml type 14"),
        (GGML_TENSORS + ggml_tensor(WEIGHT, (3, 32, 32), -1, bytes(8)), "ggml type -1"),
        (GGML_TENSORS + ggml_tensor(WEIGHT, (3, 32, 32), 2, bytes(8)), "rows of 3 values"),
        (GGML_TENSORS + ggml_tensor("decoder.ln.bias", (32,), 8, bytes(8)), "needs 34 bytes"),
        (GGML_TENSORS + ggml_tensor("decoder.ln.bias", (32,), 0, bytes(128)) * 2, "appears twice"),
        (GGML_TENSORS, "missing: encoder.conv1.weight"),
        (GGML + b"1", "needs 4 bytes, 1 are left"),
    ],
)
def test_ggml(tmp_path: Path, content: bytes, message: str) -> None:
    refused(parse_ggml, tmp_path / "model.bin", content, message)


def test_ggml_with_a_strange_vocabulary(tmp_path: Path) -> None:
    config = {**SMALL, "n_vocab": 51_864, "n_audio_state": 2, "n_text_state": 2}
    path = tmp_path / "model.bin"
    path.write_bytes(ggml_bytes(config, random_tensors(config), [b"a"]))
    with pytest.raises(CheckpointError, match="1 tokens, 50256 expected"):
        load(path)
    path.write_bytes(ggml_bytes(config, random_tensors(config), [b"a"] * 50_257))
    with pytest.raises(CheckpointError, match="an unknown vocabulary"):
        load(path)


# --- Weights that are no numbers --------------------------------------------------------------------------------------


def with_a_wrong_value(value: float, dtype: str = "f2") -> dict[str, Any]:
    """A well-formed checkpoint's tensors, of which one value is not finite."""
    tensors = random_tensors(TINY_HF, dtype=dtype)
    tensors["decoder.blocks.0.mlp.2.weight"][3, 5] = value
    return tensors


FORMATS: dict[str, Callable[[Path, dict[str, Any]], Any]] = {
    "huggingface": lambda path, tensors: load(write_huggingface(path, TINY_HF, tensors)).tensors,
    "openai": lambda path, tensors: written(path / "a.pt", openai_bytes(TINY_HF, tensors), parse_openai_pt)[1],
    "ctranslate2": lambda path, tensors: written(
        path / "model.bin", ctranslate2_bytes(ctranslate2_variables(TINY_HF, tensors)), parse_model_bin
    )[1],
    "ggml": lambda path, tensors: written(path / "a.bin", ggml_bytes(TINY_HF, tensors, [b"a"]), parse_ggml)[1],
}


def written(path: Path, content: bytes, read: Callable[[Path], Any]) -> Any:
    path.write_bytes(content)
    return read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("format", FORMATS)
def test_weights_that_are_not_finite_are_named(tmp_path: Path, format: str, value: float) -> None:
    tensors = FORMATS[format](tmp_path, with_a_wrong_value(value))
    assert np.isfinite(tensors["decoder.blocks.0.mlp.0.weight"]).all()
    message = rf"{tmp_path}.*mlp\.2\.weight': 1 of 4096 values are not finite, the first at \[3, 5\]: {value} \(.*\)"
    with pytest.raises(CheckpointError, match=message):
        tensors["decoder.blocks.0.mlp.2.weight"]

"""Hostile OpenAI .pt files, pickles in a zip: a CheckpointError that says what and where, and no code run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_writers import SMALL, openai_bytes, openai_pickle, pickled_tensor, random_tensors, zip_bytes
from damage import patched, refused

from anyon_export.checkpoints import CheckpointError, limits
from anyon_export.checkpoints.openai_pt import parse_openai_pt
from anyon_export.checkpoints.tensor_pickle import load_tensor_pickle

TENSORS = random_tensors(SMALL)


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


def good_zip() -> bytes:
    return openai_bytes(SMALL, TENSORS)


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

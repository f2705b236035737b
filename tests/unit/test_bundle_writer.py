"""make_bundle: a valid, aligned, hashed safetensors file, whole or not there, the same bytes every time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_blueprint import FakeTokenizer, blueprint, checkpoint

import anyon_quantization
from anyon.bundle import Bundle
from anyon.errors import BundleError
from anyon_export import bundle as writer
from anyon_export.bundle import BundleWriteError, make_bundle, unpack_initializer


def parse(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    metadata = header.pop("__metadata__")
    assert (metadata["format"], metadata["anyon_version"]) == ("anyon", "1")
    assert (8 + size) % 64 == 0, "the data section starts aligned"
    return json.loads(metadata["manifest"]), header, content[8 + size :]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "small.anyon"


def test_tensors_are_aligned_and_leave_no_hole(path: Path) -> None:
    make_bundle(blueprint(), checkpoint(), path)
    _, header, data = parse(path)
    end = 0
    for name, entry in header.items():
        begin, next_end = entry["data_offsets"]
        assert begin == end, f"{name} follows the tensor before it"
        assert name.startswith("__pad__.") or begin % 64 == 0, name
        end = next_end
    assert end == len(data)
    assert any(name.startswith("__pad__.") for name in header)


def test_the_manifest_carries_the_hash_of_the_data(path: Path) -> None:
    manifest = make_bundle(blueprint(), checkpoint(), path)
    stored, _, data = parse(path)
    assert stored == manifest
    assert stored["data_sha256"] == hashlib.sha256(data).hexdigest()


def test_the_header_carries_its_own_hash_with_the_digits_as_zeros(path: Path) -> None:
    make_bundle(blueprint(), checkpoint(), path)
    content = path.read_bytes()
    header = content[: 8 + struct.unpack("<Q", content[:8])[0]]
    stated = json.loads(header[8:])["__metadata__"]["header_sha256"].encode()
    assert header.count(stated) == 1
    assert hashlib.sha256(header.replace(stated, b"0" * 64)).hexdigest().encode() == stated
    Bundle(path)
    path.write_bytes(content.replace(b'"task":', b'"tass":').replace(b'\\"task\\":', b'\\"tass\\":'))
    with pytest.raises(BundleError, match=r"header: it has SHA-256 [0-9a-f]{64}, it says"):
        Bundle(path)


def test_another_safetensors_reader_opens_it_and_finds_the_weights(path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="pip install safetensors")
    make_bundle(blueprint(), checkpoint(), path)
    tensors = safetensors.load_file(path)
    np.testing.assert_array_equal(tensors["qk.bias"], [*checkpoint().tensors["q.bias"], 0, 0, 0, 0, 0])
    assert tensors["head.weight"].dtype == np.float32
    assert tensors["tokenizer.bytes"].tobytes() == checkpoint().tokenizer.data.tobytes()
    assert tensors["onnx.decoder"].tobytes() == blueprint().onnx["decoder"].graph


def test_initializers_come_back_as_the_checkpoint_had_them(path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="pip install safetensors")
    manifest = make_bundle(blueprint(), checkpoint(), path)
    tensors = safetensors.load_file(path)
    rows = manifest["onnx"]["decoder"]["initializers"]
    for name, row in rows.items():
        found = unpack_initializer(tensors[row["tensor"]], row)
        np.testing.assert_array_equal(found, checkpoint().tensors[name].astype(np.float32), err_msg=name)
    with pytest.raises(ValueError, match="the graph wants"):
        unpack_initializer(tensors["qk.bias"], {**rows["q.bias"], "shape": [6]})


def test_source_and_sections_are_in_the_manifest(path: Path) -> None:
    manifest = make_bundle(blueprint(), checkpoint(), path)
    assert manifest["anyon_format"] == 1
    assert manifest["source"] == {"id": "where.pt", "format": "test", "sha256": "ab" * 32, "licence": "MIT"}
    assert manifest["weights"]["qk.weight"] == {"layout": "panel16", "shape": [10, 5]}
    assert manifest["loop"] == {"eot": 2}
    assert manifest["tokenizer"]["merges"] == "id"
    manifest = make_bundle(blueprint(), checkpoint(), path, name="mine", source_id="a/b")
    assert (manifest["name"], manifest["source"]["id"]) == ("mine", "a/b")


def test_merges_that_are_not_in_rank_order_are_a_tensor(path: Path) -> None:
    tokenizer = FakeTokenizer(merges=np.array([[0, 1], [1, 0]], np.uint32))
    manifest = make_bundle(blueprint(), checkpoint(tokenizer=tokenizer), path)
    assert manifest["tokenizer"]["merges"] == "tokenizer.merges"
    assert parse(path)[1]["tokenizer.merges"]["shape"] == [2, 2]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.anyon", "b.anyon")]
    for each in paths:
        make_bundle(blueprint(), checkpoint(), each)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_progress_counts_the_bytes(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_bundle(blueprint(), checkpoint(), path, lambda done, total: seen.append((done, total)))
    totals = {total for _, total in seen}
    assert len(totals) == 1
    assert seen[-1][0] == totals.pop() == len(parse(path)[2])
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


class Fault(Exception):
    """Raised by a test where a user's code might."""


def test_after_a_failure_nothing_is_left_and_the_old_file_stays(path: Path) -> None:
    path.write_bytes(b"the old bundle")

    def interrupt(done: int, total: int) -> None:
        if done > 500:
            raise Fault

    with pytest.raises(Fault):
        make_bundle(blueprint(), checkpoint(), path, interrupt)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == b"the old bundle"


def test_a_full_disk_is_named_and_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer.os, "fsync", full)
    with pytest.raises(BundleWriteError, match=r"small\.anyon: cannot be written: No space left on device") as error:
        make_bundle(blueprint(), checkpoint(), path)
    assert isinstance(error.value.__cause__, OSError)
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_write_that_fails_midway_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real_open = builtins.open

    def open_full(name: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "x" in mode:
            real_open(name, mode).close()
            return real_open("/dev/full", "wb", buffering=0)
        return real_open(name, mode, *args, **kwargs)

    monkeypatch.setattr(writer, "open", open_full, raising=False)
    with pytest.raises(BundleWriteError, match="No space left on device"):
        make_bundle(blueprint(), checkpoint(), path)
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleWriteError, match="No such file or directory"):
        make_bundle(blueprint(), checkpoint(), tmp_path / "missing" / "x.anyon")


def test_a_checkpoint_of_another_size_is_refused(path: Path) -> None:
    with pytest.raises(BundleWriteError, match="small does not fit the checkpoint: n_vocab 19 instead of 18"):
        make_bundle(blueprint(), checkpoint(config={"n_audio_state": 5, "n_vocab": 19}), path)
    with pytest.raises(BundleWriteError, match=r"q\.bias has shape \[6\], expected \[5\]"):
        make_bundle(blueprint(), checkpoint(tensors={"q.bias": np.zeros(6, np.float32)}), path)
    assert list(path.parent.iterdir()) == []


def test_writing_needs_neither_torch_nor_onnx() -> None:
    import subprocess

    code = (
        "import sys; import anyon_export, anyon_export.bundle, anyon_export.blueprint, anyon_export.checkpoints; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'onnx', 'onnxscript', 'onnxruntime'}))"
    )
    folders = [module.__file__ for module in (writer, anyon_quantization)]
    environment = {"PYTHONPATH": os.pathsep.join(str(Path(str(folder)).parents[1]) for folder in folders)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.strip() == "[]"

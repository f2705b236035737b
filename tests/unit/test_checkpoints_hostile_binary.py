"""Damaged CTranslate2 and ggml files: a CheckpointError that says what and where."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from checkpoint_writers import SMALL, ctranslate2_bytes, ctranslate2_variables, ggml_bytes, ggml_tensor, random_tensors
from damage import patched, refused

from anyon_export.checkpoints import CheckpointError, limits, load
from anyon_export.checkpoints.ctranslate2 import parse_model_bin
from anyon_export.checkpoints.ggml import parse_ggml

TENSORS = random_tensors(SMALL)
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

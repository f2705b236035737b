"""`anyon export --target`: one checkpoint, the files of every engine, a row for each. A small random model."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from checkpoint_writers import SMALL, TINY_VOCABULARY, random_tensors, write_huggingface

import anyon
from anyon.conversion import open_checkpoint
from anyon.progress import silent
from anyon.target_export import TargetReport, export_targets

pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
pytestmark = pytest.mark.usefixtures("native")

CONFIG = {**SMALL, "n_vocab": TINY_VOCABULARY, "n_text_ctx": 40, "n_text_layer": 2}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_huggingface(tmp_path_factory.mktemp("checkpoint"), CONFIG, random_tensors(CONFIG, dtype="f4"))


@pytest.fixture(scope="module", autouse=True)
def one_tracing() -> Any:
    """The graphs do not depend on the weights, so one of them serves all tests of this file."""
    from anyon_export import blueprints

    made: list[Any] = []
    trace = blueprints.whisper_blueprint

    def once(*arguments: Any) -> Any:
        if not made:
            made.append(trace(*arguments))
        return made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blueprints, "whisper_blueprint", once)
        yield


def exported(checkpoint: Path, out: Path, targets: list[str], recipe: str = "f32") -> TargetReport:
    return export_targets(
        open_checkpoint(checkpoint),
        out,
        targets,
        name="small",
        source_id="small",
        recipe=recipe,
        check_audio=None,
        threads=1,
        report=silent,
    )


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_each_target_is_written_compared_with_pytorch_and_timed(checkpoint: Path, tmp_path: Path) -> None:
    report = exported(checkpoint, tmp_path, ["native", "onnx"])
    assert report.runs == 22
    for row in report.rows:
        assert row.refused == ""
        assert row.files
        assert all(path.exists() for path in row.files)
        assert row.nbytes == sum(path.stat().st_size for path in row.files)
        # Rounding of f32 in another order; a lost cache or a wrong scale is above 0.1.
        assert row.error is not None
        assert row.error <= 1e-4
        assert row.seconds is not None
        assert 0 < row.seconds < 60
        assert row.states


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        exported(checkpoint, tmp_path / name, ["native", "onnx"], recipe="int8")
    first, second = digests(tmp_path / "a"), digests(tmp_path / "b")
    assert set(first) >= {"model.anyon", "onnx/encoder.onnx", "onnx/decoder.onnx"}
    assert first == second


def test_a_target_whose_library_is_missing_is_a_row_that_says_so(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anyon_export.openvino", None)
    report = exported(checkpoint, tmp_path, ["openvino", "native"])
    missing, native = report.rows
    assert "pip install 'anyon[export,openvino]'" in missing.refused
    assert (missing.files, missing.error, missing.seconds) == ([], None, None)
    assert not (tmp_path / "openvino").exists()
    assert native.refused == ""


def test_a_recipe_that_a_target_cannot_hold_is_a_row_that_says_so(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("tvm", reason="tvm is not installed: pip install 'anyon[tvm]'")
    (row,) = exported(checkpoint, tmp_path, ["tvm"], recipe="int8").rows
    assert "TVM has no kernel for 'conv1d_i8' (recipes f32 and f16" in row.refused
    assert not (tmp_path / "tvm").exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [("tensorrt", "expected native, onnx, openvino, tvm, coreml"), ("openvino:int8", "openvino has no variants")],
)
def test_a_target_nobody_knows_is_refused(checkpoint: Path, tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(anyon.OptionError, match=message):
        exported(checkpoint, tmp_path, [target])


def test_the_command_ends_with_one_table(run_anyon: Any, checkpoint: Path, tmp_path: Path) -> None:
    done = run_anyon("export", checkpoint, "-o", tmp_path / "out", "--target", "native,onnx")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  target +files +MB +max error +seconds +states +notes$", done.stdout, re.MULTILINE)
    assert re.search(
        r"^  native +model\.anyon +\d+\.\d+ +\d\.\de-0\d +\d+\.\d+ +4, in place", done.stdout, re.MULTILINE
    )
    refused = run_anyon("export", checkpoint, "-o", tmp_path / "out", "--recipe", "int8")
    assert refused.returncode == 2
    assert "--target" in refused.stderr

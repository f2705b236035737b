"""The ONNX files of a bundle in plain ONNX Runtime against PyTorch, step by step on the caches that are handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whisper_case
from test_quantized_programs import GATES, sqnr

pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="not installed: pip install 'anyon[onnxruntime]'")

TOLERANCE = 1e-4  # on logits up to 40: f32 rounding in another order; see test_whisper_programs.py
ENCODER = 4e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("onnx")


def file_engine(folder: Path, optimise: bool = True) -> Any:
    from anyon_export.engines import Engine

    class FileEngine(Engine):
        name = "onnx files"

        def __init__(self) -> None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 2
            options.log_severity_level = 3
            if not optimise:
                options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            self.encoder, self.decoder = (
                onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
                for name in ("encoder", "decoder")
            )
            self.states: dict[str, Any] = {}

        def encode(self, mel: Any) -> list[Any]:
            self.states = {}
            return list(self.encoder.run(None, {"mel": mel}))

        def decode(self, tokens: Any, positions: Any, select: Any, cross: Any) -> list[Any]:
            names = [value.name for value in self.decoder.get_inputs()]
            given = dict(zip(names, [tokens, positions, select, *cross], strict=False))
            empty = np.zeros((len(tokens), cross[0].shape[1], 0, cross[0].shape[3]), np.float32)
            past = {name: self.states.get(name, empty) for name in names[len(given) :]}
            outputs = [value.name for value in self.decoder.get_outputs()]
            found = dict(zip(outputs, self.decoder.run(None, given | past), strict=True))
            self.states = {name: found.pop(f"{name}_next") for name in past}
            return list(found.values())

    return FileEngine()


def test_files_agree_with_pytorch_at_every_step(folder: Path) -> None:
    from anyon_export.compare import compare
    from anyon_export.onnx_target import write

    artefact = write(whisper_case.bundle(folder), folder / "f32")
    names = ["decoder.onnx", "decoder.onnx.data", "encoder.onnx", "encoder.onnx.data"]
    assert [path.name for path in artefact.files] == names
    assert artefact.states == "8, outputs of a run are inputs of the next"
    difference = compare(file_engine(folder / "f32"), whisper_case.trace(seconds=10.0))
    assert len(difference.per_step) == 2 + whisper_case.STEPS
    assert max(difference.per_step) <= TOLERANCE
    assert difference.cross_query <= TOLERANCE
    assert difference.encoder <= ENCODER


def test_quantised_files_compute_with_the_bundles_values(folder: Path) -> None:
    """Node by node against PyTorch with the same values written out as f32; int4 has weights of both widths."""
    from anyon_export.compare import compare
    from anyon_export.onnx_target import write

    bundle = whisper_case.bundle(folder, "int4", equalised=False)
    write(bundle, folder / "int4")
    trace = whisper_case.quantised_trace(bundle)
    difference = compare(file_engine(folder / "int4", optimise=False), trace)
    assert max(difference.per_step) <= 2e-4  # as in test_quantized_programs.py
    assert difference.encoder <= 2e-4


@pytest.mark.parametrize("recipe", ["int8", "int4"])
def test_fused_files_are_as_near_f32_as_the_native_kernels(folder: Path, recipe: str) -> None:
    """ONNX Runtime's own ops round what goes into a product to 8 bits, as our kernels do: the recipes' own gates."""
    import onnx

    from anyon_export.onnx_target import write

    write(whisper_case.bundle(folder, recipe), folder / f"{recipe}-fused", fused=True)
    ops = {
        node.op_type
        for node in onnx.load(folder / f"{recipe}-fused" / "decoder.onnx", load_external_data=False).graph.node
    }
    assert "MatMulNBits" in ops
    assert "DequantizeLinear" not in ops, "which would write a whole matrix out at every run"
    trace, engine = whisper_case.trace(seconds=10.0), file_engine(folder / f"{recipe}-fused")
    encoder_gate, logits_gate, _ = GATES[recipe]
    cross = engine.encode(trace.mel)
    assert sqnr(*(np.concatenate([a.ravel() for a in arrays]) for arrays in (cross, trace.cross))) >= encoder_gate
    found = [engine.decode(*run, trace.cross)[0] for run in trace.inputs]
    ratios = [sqnr(logits, outputs[0]) for logits, outputs in zip(found, trace.outputs, strict=True)]
    assert np.mean(ratios) >= logits_gate
    native = whisper_case.session_engine(whisper_case.bundle(folder, recipe), "native")
    theirs = [
        sqnr(native.decode(*run, trace.cross)[0], o[0]) for run, o in zip(trace.inputs, trace.outputs, strict=True)
    ]
    assert np.all(np.array(ratios) >= whisper_case.step_gates(theirs))


def test_small_models_are_one_file_and_the_same_every_time(folder: Path) -> None:
    from anyon_export.onnx_target import write

    first, second = (write(whisper_case.bundle(folder, "int4"), folder / name) for name in ("first", "second"))
    assert [path.name for path in first.files] == ["decoder.onnx", "decoder.onnx.data", "encoder.onnx"]
    for path, other in zip(first.files, second.files, strict=True):
        assert path.read_bytes() == other.read_bytes(), path.name

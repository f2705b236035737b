"""Quantised programs of Whisper tiny.en on real speech: in numpy against f32, on ONNX Runtime against their own values.

The numpy programs compute what the kernels are to compute, activations included, so these are the accuracies that the
recipes promise. SQNR is signal over error, in decibels.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whisper_case

from anyon_export.interpreter import Interpreter

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")

# Measured on ten seconds of speech: encoder 118 / 29.1 / 29.1 dB, logits 118 / 31.7 / 16.3 dB, divergence 0 / 0.002 /
# 0.030 nats. The gates leave room for another rounding of the inputs, not for a scale or zero point gone wrong.
GATES = {"f16": (90, 90, 1e-6), "int8": (27.5, 30, 0.004), "int4": (27.5, 14.5, 0.05)}


def sqnr(found: Any, expected: Any) -> float:
    error = np.asarray(found, np.float64) - expected
    return float(10 * np.log10((np.asarray(expected, np.float64) ** 2).sum() / (error**2).sum()))


def divergence(found: Any, expected: Any) -> float:
    """Kullback-Leibler, nats for each token."""
    theirs = torch.log_softmax(torch.from_numpy(expected).double(), -1)
    ours = torch.log_softmax(torch.from_numpy(np.ascontiguousarray(found)).double(), -1)
    return float((theirs.exp() * (theirs - ours)).sum(-1).mean())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@cache
def opened(folder: Path, recipe: str, equalised: bool = True) -> Any:
    return whisper_case.read_bundle(whisper_case.bundle(folder, recipe, equalised))


def onnx_engine(manifest: dict[str, Any], tensors: dict[str, Any]) -> Any:
    """ONNX Runtime, node by node, from the bundle alone."""
    from anyon_export.bundle import unpack_initializer
    from anyon_export.engines import OnnxRuntimeEngine

    graphs, weights, types = {}, {}, {}
    for program, section in manifest["onnx"].items():
        graphs[program] = tensors[section["graph"]].tobytes()
        rows = section["initializers"]
        weights[program] = {name: unpack_initializer(tensors[row["tensor"]], row) for name, row in rows.items()}
        types |= {name: row["dtype"] for name, row in rows.items() if "dtype" in row}
    return OnnxRuntimeEngine(whisper_case.model().config, graphs, weights, threads=2, types=types, fuse=False)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["f16", "int8", "int4"])
def test_programs_in_numpy_stay_near_f32(folder: Path, recipe: str) -> None:
    manifest, tensors = opened(folder, recipe)
    trace = whisper_case.trace(seconds=10.0)
    encoder_gate, logits_gate, divergence_gate = GATES[recipe]
    cross = list(Interpreter(manifest["programs"]["encoder"], tensors).run(mel=trace.mel).values())
    flat = [np.concatenate([array.ravel() for array in arrays]) for arrays in (cross, trace.cross)]
    assert sqnr(*flat) >= encoder_gate
    decoder = Interpreter(manifest["programs"]["decoder"], tensors)
    names = [spec["name"] for spec in decoder.program["inputs"]]
    found, expected = [], []
    for run, outputs in list(zip(trace.inputs, trace.outputs, strict=True))[:12]:
        inputs = dict(zip(names, [*run, *trace.cross], strict=True))
        found.append(decoder.run(**inputs)["logits"][0])
        expected.append(outputs[0][0])
    assert np.mean([sqnr(a, b) for a, b in zip(found, expected, strict=True)]) >= logits_gate
    assert divergence(np.concatenate(found), np.concatenate(expected)) <= divergence_gate


@pytest.mark.parametrize("recipe", ["f16", "int8", "int4"])
def test_onnx_runtime_computes_with_the_bundles_values(folder: Path, recipe: str) -> None:
    """The graph's DequantizeLinear on ONNX Runtime against PyTorch with the same values written out as f32."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
    from anyon_export.compare import compare

    bundle = whisper_case.bundle(folder, recipe, equalised=False)
    expected = whisper_case.quantised_trace(bundle)
    difference = compare(onnx_engine(*whisper_case.read_bundle(bundle)), expected)
    # As for f32 in test_whisper_programs.py: the same values in another order of summation.
    assert max(difference.per_step) <= 2e-4
    assert difference.encoder <= 2e-4


@pytest.mark.parametrize("recipe", ["int8", "int4"])
def test_onnx_runtime_stays_near_f32_with_equalised_weights(folder: Path, recipe: str) -> None:
    """Norms, matrices, and the table that is looked up and multiplied with all carry their part of it."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
    trace, engine = whisper_case.trace(seconds=10.0), onnx_engine(*opened(folder, recipe))
    encoder_gate, logits_gate, _ = GATES[recipe]
    cross = engine.encode(trace.mel)
    assert (
        sqnr(*(np.concatenate([array.ravel() for array in arrays]) for arrays in (cross, trace.cross))) >= encoder_gate
    )
    found = [engine.decode(*run, trace.cross)[0] for run in trace.inputs[:8]]
    ratios = [sqnr(logits, outputs[0]) for logits, outputs in zip(found, trace.outputs[:8], strict=True)]
    assert np.mean(ratios) >= logits_gate

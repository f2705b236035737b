"""The exported graphs on ONNX Runtime and the lowered programs in numpy against PyTorch, both from one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whisper_case

from anyon_export.interpreter import Interpreter

pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")

# 1e-4 on logits up to 40 and on keys up to 10: f32 rounding in another order is below 7e-5.
TOLERANCE = 1e-4
# On keys up to 6: ONNX Runtime's AVX-512 kernels are 2e-4 off there (AVX2: 7e-5; PyTorch is 5e-5 off double precision).
ONNX_RUNTIME_ENCODER = 4e-4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_case.bundle(tmp_path_factory.mktemp("bundle"))


def test_onnx_runtime_from_the_bundle_alone_agrees_at_every_step(bundle: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
    from anyon_export.bundle import unpack_initializer
    from anyon_export.compare import compare
    from anyon_export.engines import OnnxRuntimeEngine

    manifest, tensors = whisper_case.read_bundle(bundle)
    graphs, weights = {}, {}
    for program, section in manifest["onnx"].items():
        graphs[program] = tensors[section["graph"]].tobytes()
        rows = section["initializers"]
        weights[program] = {name: unpack_initializer(tensors[row["tensor"]], row) for name, row in rows.items()}
    trace = whisper_case.trace()
    difference = compare(OnnxRuntimeEngine(whisper_case.model().config, graphs, weights, threads=2), trace)
    assert len(difference.per_step) == 2 + whisper_case.STEPS
    assert max(difference.per_step) <= TOLERANCE
    assert difference.cross_query <= TOLERANCE
    assert difference.encoder <= ONNX_RUNTIME_ENCODER


def test_initializers_are_the_checkpoints_tensors(bundle: Path) -> None:
    from anyon_export.bundle import unpack_initializer

    manifest, tensors = whisper_case.read_bundle(bundle)
    seen = set()
    for section in manifest["onnx"].values():
        for name, row in section["initializers"].items():
            found = unpack_initializer(tensors[row["tensor"]], row)
            np.testing.assert_array_equal(found, np.asarray(whisper_case.checkpoint().tensors[name], np.float32))
            seen.add(name)
    assert seen == set(whisper_case.checkpoint().tensors)


def numpy_engine(bundle: Path) -> Any:
    from anyon_export.engines import Engine

    manifest, tensors = whisper_case.read_bundle(bundle)

    class NumpyEngine(Engine):
        name = "numpy"

        def __init__(self) -> None:
            self.encoder = Interpreter(manifest["programs"]["encoder"], tensors)
            self.decoder = Interpreter(manifest["programs"]["decoder"], tensors)

        def encode(self, mel: Any) -> list[Any]:
            self.decoder.states = {}
            return list(self.encoder.run(mel=mel).values())

        def decode(self, tokens: Any, positions: Any, select: Any, cross: Any) -> list[Any]:
            names = [spec["name"] for spec in manifest["programs"]["decoder"]["inputs"]]
            inputs = [tokens, positions, select, *cross]
            return list(self.decoder.run(**dict(zip(names, inputs, strict=True))).values())

    return NumpyEngine()


def test_lowered_programs_in_numpy_agree_at_every_step(bundle: Path) -> None:
    from anyon_export.compare import compare

    # Ten seconds: the encoder takes shorter windows too, and erf in numpy is slow.
    difference = compare(numpy_engine(bundle), whisper_case.trace(seconds=10.0))
    assert max(difference.per_step) <= TOLERANCE
    assert difference.cross_query <= TOLERANCE
    assert difference.encoder <= TOLERANCE


def test_beams_on_two_audios_agree_in_numpy_and_onnx_runtime(bundle: Path) -> None:
    """Batch 4 over 2 audios with a past and a chunk: the grouped cross attention in both program forms."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
    from anyon_export.bundle import unpack_initializer
    from anyon_export.engines import OnnxRuntimeEngine, TorchEngine

    manifest, tensors = whisper_case.read_bundle(bundle)
    config = whisper_case.model().config
    graphs = {p: tensors[s["graph"]].tobytes() for p, s in manifest["onnx"].items()}
    weights = {
        p: {name: unpack_initializer(tensors[row["tensor"]], row) for name, row in s["initializers"].items()}
        for p, s in manifest["onnx"].items()
    }
    random = np.random.default_rng(1)
    mel = random.standard_normal((2, config.n_mels, 60)).astype(np.float32)
    reference = TorchEngine(whisper_case.model())
    engines = [numpy_engine(bundle), OnnxRuntimeEngine(config, graphs, weights)]
    cross = reference.encode(mel)
    assert cross[0].shape == (2, config.n_text_head, 30, config.head_dim)
    for engine in engines:
        found = engine.encode(mel)
        # Noise drives keys to about 60, where f32 rounding is tenfold that on speech.
        assert max(np.abs(a - b).max() for a, b in zip(found, cross, strict=True)) <= 1e-3
    past = 0
    for time in (3, 1, 4, 1):
        tokens = random.integers(0, 50_000, (4, time))
        positions = np.arange(past, past + time)[None].repeat(4, axis=0)
        select = np.array([time - 1])
        expected = reference.decode(tokens, positions, select, cross)
        for engine in engines:
            found = engine.decode(tokens, positions, select, cross)
            assert np.abs(found[0] - expected[0]).max() <= 2 * TOLERANCE
        past += time


@pytest.mark.parametrize("break_it", ["mask", "cache", "offset"])
def test_a_wrong_program_is_noticed(bundle: Path, break_it: str) -> None:
    """The comparison is worth something only if mistakes of lowering fail it."""
    from anyon_export.compare import compare

    engine = numpy_engine(bundle)
    for op in engine.decoder.program["ops"]:
        if op["op"] == "attention" and op["attrs"]["key_state"]:
            if break_it == "mask":
                op["attrs"]["causal"] = False
            elif break_it == "cache":
                op["attrs"].update(key_state="", value_state="")
            else:
                op["attrs"]["v_offset"] = op["attrs"]["k_offset"]
    trace = whisper_case.trace(seconds=10.0)
    engine.encode = lambda mel: (engine.decoder.states.clear(), trace.cross)[1]
    assert compare(engine, trace).logits > 0.05


@pytest.mark.slow
def test_exporting_and_converting_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """anyon export (through PyTorch) and the blueprint path (numpy alone) end in one file."""
    import anyon_export

    report = anyon_export.export_checkpoint(whisper_case.checkpoint(), tmp_path / "exported.anyon")
    assert (tmp_path / "exported.anyon").read_bytes() == bundle.read_bytes()
    assert report.max_error <= 1e-3

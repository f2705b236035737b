"""The whole export of a checkpoint: PyTorch model -> ONNX -> compared on real audio -> lowered -> bundle -> report."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon_export import checkpoints
from anyon_export.bundle import make_bundle

if TYPE_CHECKING:
    import onnx

    from anyon_export.checkpoints import Checkpoint
    from anyon_export.compare import Difference, Trace
    from anyon_export.expressions import Array
    from anyon_export.models.whisper import Whisper
    from anyon_export.report import Report

MINIMUM_OPSET = 23  # the first one with Attention
STEPS, CHUNK = 20, 3  # decoder runs of one token after the prompt, then one run of several
TOLERANCE = 1e-3  # on logits up to about 40: rounding stays below 2e-4, a wrong mask, scale or cache is above 0.1
INSTALL = "pip install 'anyon[export]'"


class ExportError(Exception):
    """The export cannot run or its result is wrong; says what, where, and what to try."""


def run(
    source: str | os.PathLike[str] | Checkpoint,
    out: str | os.PathLike[str],
    *,
    opset: int,
    check_audio: str | os.PathLike[str] | None,
    name: str | None,
    source_id: str | None,
    progress: Callable[[str, int, int], None] | None,
) -> Report:
    """See anyon_export.export_checkpoint."""
    if opset < MINIMUM_OPSET:
        raise ExportError(f"export: opset {opset} has no Attention operator; use {MINIMUM_OPSET} or newer")
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise ExportError(f"export: {error.name} is not installed; {INSTALL}") from error
    from anyon_export import blueprints
    from anyon_export.models.whisper import PRESETS, WhisperConfig
    from anyon_export.report import Report, program_report

    tell = progress or (lambda stage, done, total: None)
    seconds: dict[str, float] = {}
    checkpoint = source if isinstance(source, checkpoints.Checkpoint) else checkpoints.load(Path(source))
    config = WhisperConfig(**checkpoint.config)
    preset = next((preset for preset, sizes in PRESETS.items() if sizes == config), "custom")
    model_name = name or f"whisper-{preset}"

    start = time.perf_counter()
    model = load_model(checkpoint)
    trace, audio = record_pytorch(checkpoint, model, check_audio)
    seconds["pytorch"] = time.perf_counter() - start

    tell("export", 0, 1)
    start = time.perf_counter()
    graphs: dict[str, onnx.ModelProto] = {}
    blueprint = blueprints.whisper_blueprint(preset, config, opset, inspect=graphs.__setitem__)
    seconds["export"] = time.perf_counter() - start

    tell("compare", 0, 1)
    start = time.perf_counter()
    differences: list[Difference] = []
    skipped: dict[str, str] = {}
    _try_engine("onnxruntime", lambda: compare_onnx(checkpoint, graphs, trace), differences, skipped)
    seconds["compare"] = time.perf_counter() - start

    start = time.perf_counter()
    path = Path(out)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        make_bundle(
            blueprint,
            checkpoint,
            draft,
            lambda done, total: tell("write", done, total),
            name=model_name,
            source_id=source_id,
        )
        seconds["write"] = time.perf_counter() - start
        _try_engine("native", lambda: compare_native(draft, trace), differences, skipped)
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink()
    sizes = {weight: math.prod(row.shape) for weight, row in blueprint.weights.items()}
    return Report(
        model=model_name,
        out=path,
        file_bytes=path.stat().st_size,
        parameters=sum(tensor.numel() for tensor in model.state_dict().values()),
        opset=opset,
        audio=audio,
        programs=[
            program_report(program, section, len(graphs[program].graph.node), sizes)
            for program, section in blueprint.programs.items()
        ],
        differences=differences,
        skipped=skipped,
        seconds=seconds,
    )


def load_model(checkpoint: Checkpoint) -> Whisper:
    """The PyTorch model with the checkpoint's weights as float32."""
    import numpy as np
    import torch

    from anyon_export.models.whisper import Whisper, WhisperConfig

    with torch.device("meta"):
        model = Whisper(WhisperConfig(**checkpoint.config))
    weights = {
        name: torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
        for name, array in checkpoint.tensors.items()
    }
    model.load_state_dict(weights, strict=True, assign=True)
    return model.eval()


def record_pytorch(
    checkpoint: Checkpoint, model: Whisper, check_audio: str | os.PathLike[str] | None
) -> tuple[Trace, str]:
    """PyTorch's outputs on one window of audio, and what the audio is."""
    from anyon_export import features
    from anyon_export.compare import record
    from anyon_export.engines import TorchEngine

    window = 2 * model.config.n_audio_ctx * features.HOP_LENGTH / features.SAMPLE_RATE
    path = Path(check_audio) if check_audio is not None else features.installed_recording()
    if path is None:
        samples, audio = features.synthetic_clip(window), "a synthetic voice (no recording is installed)"
    else:
        try:
            samples, audio = features.read_audio(path, window), path.name
        except (OSError, ValueError) as error:
            raise ExportError(f"{path}: cannot be read as audio: {error} (give another recording)") from error
    mel = features.log_mel(samples, model.config.n_mels)[None].numpy()
    prompt = _prompt(checkpoint.generation)
    steps = max(1, min(STEPS, model.config.n_text_ctx - len(prompt) - CHUNK))
    return record(TorchEngine(model), mel, prompt, steps, CHUNK), audio


def _prompt(loop: dict[str, Any]) -> list[int]:
    if not loop["multilingual"]:
        return [loop["sot"], loop["no_timestamps"]]
    return [loop["sot"], loop["languages"]["en"], loop["transcribe"], loop["no_timestamps"]]


def compare_onnx(checkpoint: Checkpoint, graphs: dict[str, onnx.ModelProto], trace: Trace) -> Difference:
    """ONNX Runtime on the exported graphs, weights straight from the checkpoint."""
    import numpy as np
    from onnx import TensorProto

    from anyon_export.compare import compare
    from anyon_export.engines import OnnxRuntimeEngine
    from anyon_export.models.whisper import WhisperConfig

    weights: dict[str, dict[str, Array]] = {}
    for program, graph in graphs.items():
        external = [t.name for t in graph.graph.initializer if t.data_location == TensorProto.EXTERNAL]
        weights[program] = {name: np.array(checkpoint.tensors[name], np.float32, order="C") for name in external}
    serialized = {program: graph.SerializeToString() for program, graph in graphs.items()}
    return compare(OnnxRuntimeEngine(WhisperConfig(**checkpoint.config), serialized, weights), trace)


def compare_native(bundle: Path, trace: Trace) -> Difference:
    """The native runtime on the finished bundle."""
    from anyon_export.compare import compare
    from anyon_export.engines import native_engine

    return compare(native_engine(bundle), trace)


def _try_engine(
    name: str, measure: Callable[[], Difference], differences: list[Difference], skipped: dict[str, str]
) -> None:
    """Measures an engine when it is installed. Raises ExportError when it disagrees with PyTorch."""
    try:
        difference = measure()
    except ImportError as error:
        skipped[name] = f"{error.name or error} is not installed"
        return
    if not difference.logits <= TOLERANCE:
        raise ExportError(
            f"export: {name} differs from PyTorch by {difference.logits:.2g} in the logits, {TOLERANCE:g} is allowed "
            "(a bug of the exporter or of this version of the engine; please report it)"
        )
    differences.append(difference)

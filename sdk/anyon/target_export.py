"""One checkpoint, every target: a bundle, then the files of each engine, each compared with PyTorch and timed."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon.errors import AnyonError, ExportError, OptionError
from anyon.progress import Progress, Report

if TYPE_CHECKING:
    from anyon_export.blueprint import Blueprint
    from anyon_export.checkpoints import Checkpoint
    from anyon_export.compare import Trace
    from anyon_export.target import Artefact

BUNDLE = "model.anyon"

# Recipe -> how Core ML stores weights; it rounds its own way.
_COMPRESSIONS = {"f32": "f16", "f16": "f16", "int8": "int8", "int4": "int4"}


@dataclass(frozen=True, slots=True)
class _Target:
    """module: whose `write` makes the files; backend: the engine that runs the same programs here; variants: what may
    stand behind a colon, as the user is told."""

    module: str
    backend: str = ""
    variants: str = ""


TARGETS = {
    "native": _Target("", "native"),
    "onnx": _Target("anyon_export.onnx_target", "onnxruntime", "fused"),
    "openvino": _Target("anyon_export.openvino", "openvino"),
    "tvm": _Target("anyon_export.tvm", "tvm", "host+aarch64-linux+..."),
    "coreml": _Target("anyon_export.coreml", "", "f32, f16, int8, int4 or palette4"),
}


@dataclass(frozen=True, slots=True)
class _Job:
    """What all targets have in common. native: the bundle in `folder`; trace: what PyTorch computes."""

    checkpoint: Checkpoint
    folder: Path
    native: Artefact
    recipe: str
    trace: Trace
    threads: int

    @property
    def bundle(self) -> Path:
        return self.folder / BUNDLE


@dataclass(slots=True)
class TargetRow:
    """One target. error: largest absolute difference of the logits to PyTorch's; seconds: of one window and all runs of
    the decoder; both None where the engine does not run here. refused: why there are no files, else ""."""

    target: str
    files: list[Path] = field(default_factory=list)
    nbytes: int = 0
    error: float | None = None
    seconds: float | None = None
    states: str = ""
    notes: str = ""
    refused: str = ""


@dataclass(slots=True)
class TargetReport:
    model: str
    recipe: str
    audio: str
    runs: int
    logits_scale: float
    rows: list[TargetRow]


def export_targets(
    checkpoint: Checkpoint,
    folder: Path,
    targets: Sequence[str],
    *,
    name: str,
    source_id: str,
    recipe: str,
    check_audio: str | None,
    threads: int,
    report: Report,
) -> TargetReport:
    """Writes `folder`/model.anyon, and `folder`/<target>/ for every other target.

    targets: names of TARGETS, each with a variant behind a colon where it has some: "onnx:fused" (ONNX Runtime ops,
    faster there and unknown elsewhere), "tvm:host+arm64-apple-ios" (more machines), "coreml:int4" (its compression).
    recipe: a spec of anyon.recipes. A target that cannot be made is a row that says why, and leaves nothing behind.
    Raises OptionError for a target nobody knows, ExportError when PyTorch is missing, CheckpointError, BackendError.
    """
    for target in targets:
        _check(target)
    try:
        from anyon_export.export import load_model, record_pytorch
    except ImportError as error:
        raise _not_installed(error) from error
    from anyon.conversion import quantized
    from anyon_export.bundle import BundleWriteError, make_bundle
    from anyon_export.export import ExportError as NativeExportError
    from anyon_export.target import Artefact

    report(Progress("pytorch", 0, 0, "", name))
    try:
        trace, audio = record_pytorch(checkpoint, load_model(checkpoint), check_audio)
    except ImportError as error:
        raise _not_installed(error) from error
    except NativeExportError as error:
        raise ExportError(str(error)) from error
    blueprint = quantized(_blueprint(checkpoint), recipe)
    bundle = folder / BUNDLE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_bundle(
            blueprint,
            checkpoint,
            bundle,
            lambda done, total: report(Progress("write", done, total, "bytes", BUNDLE)),
            name=name,
            source_id=source_id,
        )
    except (OSError, BundleWriteError) as error:
        raise ExportError(f"{folder}: cannot be written: {error}") from error
    states = sum(len(program["states"]) for program in blueprint.programs.values())
    native = Artefact("native", (bundle,), f"{states}, in place")
    job = _Job(checkpoint, folder, native, blueprint.recipe, trace, threads)
    rows = []
    for index, target in enumerate(targets):
        report(Progress("targets", index, len(targets), "targets", target))
        rows.append(_made(target, job))
    scale = max(float(abs(outputs[0]).max()) for outputs in trace.outputs)
    return TargetReport(name, blueprint.recipe, audio, len(trace.inputs), scale, rows)


def _blueprint(checkpoint: Checkpoint) -> Blueprint:
    """The one in the package, or for sizes of one's own a new one."""
    from anyon.conversion import find_blueprint
    from anyon.errors import CheckpointError

    try:
        return find_blueprint(checkpoint)[0]
    except CheckpointError:
        from anyon_export.blueprints import whisper_blueprint
        from anyon_export.models.whisper import WhisperConfig

        return whisper_blueprint("custom", WhisperConfig(**checkpoint.config))


def _check(target: str) -> None:
    name, _, variant = target.partition(":")
    if name not in TARGETS:
        raise OptionError(f"target {target!r}: expected {', '.join(TARGETS)}")
    if variant and not TARGETS[name].variants:
        raise OptionError(f"target {target!r}: {name} has no variants")


def _made(target: str, job: _Job) -> TargetRow:
    """Writes one target, and runs it beside PyTorch where its engine is here."""
    row = TargetRow(target)
    name, _, variant = target.partition(":")
    try:
        artefact = job.native
        if name != "native":
            write = importlib.import_module(TARGETS[name].module).write
            source = job.checkpoint if name == "coreml" else job.bundle
            artefact = write(source, job.folder / name, **_arguments(name, variant, job.recipe))
    except ImportError as error:
        row.refused = f"{error.name or error} is not installed; pip install 'anyon[export,{name}]'"
        return row
    except Exception as error:  # every converter has errors of its own
        row.refused = next(iter(str(error).strip().splitlines()), repr(error))
        return row
    row.files, row.nbytes = list(artefact.files), artefact.nbytes
    row.states, row.notes = artefact.states, artefact.notes
    if TARGETS[name].backend:
        try:
            row.error, row.seconds = _measured(TARGETS[name].backend, job)
        except AnyonError as error:
            row.notes = f"{row.notes}; not run: {error}".removeprefix("; ")
    return row


def _arguments(name: str, variant: str, recipe: str) -> dict[str, Any]:
    """What a target's `write` takes beside source and folder. Raises OptionError."""
    if name == "onnx" and variant not in ("", "fused"):
        raise OptionError(f"target 'onnx:{variant}': expected onnx or onnx:fused")
    if name == "onnx":
        return {"fused": bool(variant)}
    if name == "tvm":
        return {"targets": tuple(variant.split("+")) if variant else ("host",)}
    if name == "coreml":
        return {"compression": variant or _COMPRESSIONS.get(recipe, "f16")}
    return {}


def _measured(backend: str, job: _Job) -> tuple[float, float]:
    """(error of the logits, seconds of the second of two passes)."""
    from anyon.bundle import Bundle
    from anyon.engines import engine_maker
    from anyon.errors import translated
    from anyon.selection import EngineOptions
    from anyon_export.compare import compare
    from anyon_export.engines import SessionEngine

    _, engine, _ = engine_maker(Bundle(job.bundle), EngineOptions(backend, job.threads))
    sessions: Any = SessionEngine(backend, engine.sessions["encoder"], engine.sessions["decoder"])
    with translated():
        difference = compare(sessions, job.trace)
        started = time.perf_counter()
        compare(sessions, job.trace)
    return difference.logits, time.perf_counter() - started


def _not_installed(error: ImportError) -> ExportError:
    return ExportError(f"export: {error.name} is not installed; pip install 'anyon[export]'")

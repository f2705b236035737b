"""`anyon export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from anyon.cli.panels import Command, option
from anyon.errors import CheckpointError, ExportError
from anyon.progress import Progress, Report
from anyon.registry import BundleSource
from anyon.target_export import TARGETS, TargetReport, export_targets

_EPILOG = """\b
Examples:
  anyon export openai/whisper-tiny.en -o tiny.en.anyon
  anyon export ./my-fine-tuned-whisper -o mine.anyon --check-audio clip.wav
  anyon export tiny.en -o tiny.en/ --target native,onnx,openvino,tvm,coreml    a folder with the files of every engine

Without --target this is the long way, for sizes that are new: it needs PyTorch (pip install 'anyon[export]') and
compares every engine with it. A checkpoint of the usual sizes needs no export: `anyon transcribe -m CHECKPOINT`
converts it by itself.

With --target the bundle goes to OUT/model.anyon and each target's files to OUT/TARGET/. Each is compared with PyTorch,
step by step with its caches, and timed, where its engine runs on this machine. Each needs its own extra
(pip install 'anyon[export,openvino,tvm,coreml]'). Some have variants: onnx:fused (ONNX Runtime's own ops, faster there
and unknown elsewhere), tvm:host+aarch64-linux+arm64-apple-ios (objects for these machines), coreml:int4 (or f32, f16,
int8, palette4)."""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("source")
@option("-o", "--out", panel="Options", required=True, type=click.Path(), help="The bundle, or with --target a folder.")
@option("--target", panel="Options", help=f"Which engines to write for, of {','.join(TARGETS)}.")
@option("--recipe", panel="Options", help="With --target: f32, f16, int8, int4 or FILE.json.  [default: f32]")
@option("--threads", panel="Options", type=int, help="With --target: cores for the timing.  [default: all, at most 16]")
@option("--opset", panel="Options", type=click.IntRange(min=23), default=23, show_default=True, help="ONNX opset.")
@option(
    "--check-audio", panel="Options", type=click.Path(), help="Recording to compare on.  [default: an installed one]"
)
@option("--name", panel="Options", help="What the model is called.  [default: after its sizes]")
@option("-q", "--quiet", panel="Options", is_flag=True, help="Only the path, no report.")
def command(
    source: str,
    out: str,
    target: str | None,
    recipe: str | None,
    threads: int | None,
    opset: int,
    check_audio: str | None,
    name: str | None,
    quiet: bool,
) -> int:
    """Make a bundle from SOURCE (a name, hub id, folder or file) through PyTorch and ONNX, checked step by step, or the
    files that other engines read."""
    from anyon.progress_bar import Bar

    if target is None and (recipe is not None or threads is not None):
        raise click.UsageError("--recipe and --threads go with --target (a bundle: anyon quantize SOURCE --recipe ...)")
    bar = Bar() if not quiet and sys.stderr.isatty() else None
    tell: Report = bar or (lambda _: None)
    try:
        if target is None:
            text, failed = str(_export(source, Path(out), opset, check_audio, name, tell)), False
        else:
            names = [part.strip() for part in target.split(",") if part.strip()]
            report = _export_targets(source, Path(out), names, recipe, check_audio, name, threads, tell)
            text, failed = _table(report, Path(out)), any(row.refused for row in report.rows)
    finally:
        if bar is not None:
            bar.close()
    click.echo(out if quiet else text)
    return 1 if failed else 0


def _export_targets(
    source: str,
    out: Path,
    targets: list[str],
    recipe: str | None,
    check_audio: str | None,
    name: str | None,
    threads: int | None,
    tell: Report,
) -> TargetReport:
    from anyon.conversion import open_checkpoint
    from anyon.engines import default_threads
    from anyon.recipes import recipe_spec

    path, origin = _checkpoint(source, tell)
    return export_targets(
        open_checkpoint(path),
        out,
        targets,
        name=name or origin,
        source_id=origin,
        recipe=recipe_spec(recipe or "f32"),
        check_audio=check_audio,
        threads=threads or default_threads(),
        report=tell,
    )


def _table(report: TargetReport, out: Path) -> str:
    lines = [
        f"{report.model} ({report.recipe}) -> {out}",
        f"  errors and seconds: {report.audio}, one window and {report.runs} runs of the decoder, logits up to "
        f"{report.logits_scale:.0f}",
        "",
    ]
    table = [["target", "files", "MB", "max error", "seconds", "states", "notes"]]
    for row in report.rows:
        names = [path.name + ("/" if path.is_dir() else "") for path in row.files]
        files = " ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")
        error = "-" if row.error is None else f"{row.error:.1e}"
        seconds = "-" if row.seconds is None else f"{row.seconds:.3f}"
        size = f"{row.nbytes / 1e6:.1f}" if row.files else "-"
        notes = f"not made: {row.refused}" if row.refused else row.notes
        table.append([row.target, files or "-", size, error, seconds, row.states or "-", notes or "-"])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]) - 1)]
    for cells in table:
        lines.append("  " + "  ".join([*(c.ljust(w) for c, w in zip(cells, widths, strict=False)), cells[-1]]))
    return "\n".join(lines)


def _export(source: str, out: Path, opset: int, check_audio: str | None, name: str | None, tell: Report) -> Any:
    import anyon_export
    from anyon_export import checkpoints
    from anyon_export.bundle import BundleWriteError
    from anyon_export.export import ExportError as NativeExportError

    path, origin = _checkpoint(source, tell)
    try:
        return anyon_export.export_checkpoint(
            path,
            out,
            opset=opset,
            check_audio=check_audio,
            name=name,
            source_id=origin,
            progress=lambda stage, done, total: tell(Progress(stage, done, total, "bytes" if stage == "write" else "")),
        )
    except checkpoints.CheckpointError as error:
        raise CheckpointError(str(error)) from error
    except (NativeExportError, BundleWriteError) as error:
        raise ExportError(str(error)) from error


def _checkpoint(source: str, tell: Report) -> tuple[Path, str]:
    """(the checkpoint on this machine, what it is called); downloads it when it is on the hub."""
    from anyon.registry import resolve
    from anyon.sources import locate

    candidate = resolve(source)[0]
    if isinstance(candidate, BundleSource):
        raise CheckpointError(f"{source}: is a bundle already (give the checkpoint it was made from)")
    path, _, origin = locate(candidate, tell)
    return path, str(origin["id"])

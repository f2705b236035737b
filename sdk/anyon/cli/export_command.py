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

_EPILOG = """\b
Examples:
  anyon export openai/whisper-tiny.en -o tiny.en.anyon
  anyon export ./my-fine-tuned-whisper -o mine.anyon --check-audio clip.wav

This is the long way, for sizes that are new: it needs PyTorch (pip install 'anyon[export]') and compares every engine
with it. A checkpoint of the usual sizes needs no export: `anyon transcribe -m CHECKPOINT` converts it by itself."""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("source")
@option("-o", "--out", panel="Options", required=True, type=click.Path(dir_okay=False), help="The bundle to write.")
@option("--opset", panel="Options", type=click.IntRange(min=23), default=23, show_default=True, help="ONNX opset.")
@option(
    "--check-audio", panel="Options", type=click.Path(), help="Recording to compare on.  [default: an installed one]"
)
@option("--name", panel="Options", help="What the model is called.  [default: after its sizes]")
@option("-q", "--quiet", panel="Options", is_flag=True, help="Only the path, no report.")
def command(source: str, out: str, opset: int, check_audio: str | None, name: str | None, quiet: bool) -> None:
    """Make a bundle from SOURCE (a name, hub id, folder or file) through PyTorch and ONNX, checked step by step."""
    from anyon.progress_bar import Bar

    bar = Bar() if not quiet and sys.stderr.isatty() else None
    try:
        report = _export(source, Path(out), opset, check_audio, name, bar or (lambda _: None))
    finally:
        if bar is not None:
            bar.close()
    click.echo(out if quiet else str(report))


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

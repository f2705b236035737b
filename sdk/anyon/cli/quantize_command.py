"""`anyon quantize`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from anyon.cli.layer_table import layer_table
from anyon.cli.panels import Command, option
from anyon.errors import CheckpointError, ExportError
from anyon.progress import Progress, Report

_EPILOG = """\b
Examples:
  anyon quantize tiny.en -o tiny.en.int8.anyon
  anyon quantize openai/whisper-base -o base.int4.anyon --recipe int4
  anyon quantize ./my-whisper -o mine.anyon --recipe mine.json

A recipe's file: {"name": "mine", "default": "int8", "tables": "f16", "overrides": {"decoder.*.mlp.*.weight": "int4"}}.
Schemes: f32, f16, int8, int4 (groups of 64), int4-g32, int4-g128, with -sym behind: without zero points. No PyTorch is
needed. `anyon transcribe --recipe` does the same on the way, without a file of your own."""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("model")
@option("-o", "--out", panel="Options", required=True, type=click.Path(dir_okay=False), help="The bundle to write.")
@option("--recipe", panel="Options", default="int8", show_default=True, help="f16, int8, int4 or FILE.json.")
@option("--name", panel="Options", help="What the model is called.  [default: after MODEL]")
@option("-q", "--quiet", panel="Options", is_flag=True, help="Only the path, no table.")
def command(model: str, out: str, recipe: str, name: str | None, quiet: bool) -> None:
    """Make a bundle with smaller weights from MODEL (a name, hub id, folder or file)."""
    from anyon.progress_bar import Bar

    bar = Bar() if not quiet and sys.stderr.isatty() else None
    try:
        table = _quantize(model, Path(out), recipe, name, bar or (lambda _: None))
    finally:
        if bar is not None:
            bar.close()
    if quiet:
        click.echo(out)
    else:
        click.echo(f"{table}\n\n{out}: {Path(out).stat().st_size / 1e6:.1f} MB")


def _quantize(model: str, out: Path, recipe: str, name: str | None, tell: Report) -> str:
    from anyon.conversion import find_blueprint, open_checkpoint, quantized
    from anyon.recipes import recipe_spec
    from anyon.registry import BundleSource, resolve
    from anyon.sources import locate
    from anyon_export.bundle import BundleWriteError, make_bundle
    from anyon_export.layers import measure_layers

    spec = recipe_spec(recipe)
    candidate = resolve(model)[0]
    if isinstance(candidate, BundleSource):
        raise CheckpointError(f"{model}: is a bundle already (give the checkpoint it was made from)")
    path, found, origin = locate(candidate, tell)
    checkpoint = open_checkpoint(path)
    blueprint = quantized(find_blueprint(checkpoint)[0], spec)
    layers = [layer.to_json() for layer in measure_layers(blueprint, checkpoint.tensors)]
    blueprint = replace(blueprint, quantization={**blueprint.quantization, "layers": layers})
    try:
        make_bundle(
            blueprint,
            checkpoint,
            out,
            lambda done, total: tell(Progress("write", done, total, "bytes", found)),
            name=name or found,
            source_id=str(origin["id"]),
        )
    except BundleWriteError as error:
        raise ExportError(str(error)) from error
    return layer_table(layers)

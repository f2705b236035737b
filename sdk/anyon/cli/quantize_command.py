"""`anyon quantize`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from anyon.cli.layer_table import layer_table
from anyon.cli.panels import Command, option
from anyon.errors import CheckpointError, ExportError, OptionError
from anyon.progress import Progress, Report

_EPILOG = """\b
Examples:
  anyon quantize tiny.en -o tiny.en.int8.anyon
  anyon quantize tiny.en -o tiny.en.int4.anyon --recipe int4 --calibrate speech/
  anyon quantize tiny.en -o small.anyon --calibrate speech.tsv --budget wer+0.2
  anyon quantize tiny.en -o small.anyon --calibrate speech/ --max-size 30MB --html report.html
  anyon quantize ./my-whisper -o mine.anyon --recipe mine.json

--calibrate takes recordings, folders of them, and tables (.tsv) with columns `path`, `reference` and `language`. With
it weights are rounded so that the products on that speech stay as they are (GPTQ), and norms take over from matrices
what suits both (SmoothQuant, AWQ); ten minutes of speech do. --budget and --max-size then measure every layer in 16, 8
and 4 bits and give each the least that the budget stands. Without references the float model's text is the reference.

A recipe's file: {"name": "mine", "default": "int8", "tables": "f16", "overrides": {"decoder.*.mlp.*.weight": "int4"}}.
Schemes: f32, f16, int8, int4 (groups of 64), int4-g32, int4-g128, with -sym behind: without zero points. No PyTorch is
needed. `anyon transcribe --recipe` does the same on the way, without a file of your own."""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("model")
@option("-o", "--out", panel="Options", required=True, type=click.Path(dir_okay=False), help="The bundle to write.")
@option("--recipe", panel="Options", default="int8", show_default=True, help="f16, int8, int4 or FILE.json.")
@option("--calibrate", panel="Calibration", multiple=True, metavar="PATH", help="Speech to measure on; repeatable.")
@option("--budget", panel="Calibration", metavar="wer+X", help="Points of word error that may be lost: wer+0.2.")
@option("--max-size", panel="Calibration", metavar="SIZE", help="How large the bundle may be: 30MB.")
@option("--html", panel="Options", type=click.Path(dir_okay=False), help="Write the table with plots as a page, too.")
@option("--name", panel="Options", help="What the model is called.  [default: after MODEL]")
@option("-q", "--quiet", panel="Options", is_flag=True, help="Only the path, no table.")
def command(model: str, out: str, html: str | None, quiet: bool, **arguments: Any) -> None:
    """Make a bundle with smaller weights from MODEL (a name, hub id, folder or file)."""
    from anyon.progress_bar import Bar

    bar = Bar() if not quiet and sys.stderr.isatty() else None
    try:
        facts, layers = _quantize(model, Path(out), tell=bar or (lambda _: None), **arguments)
    finally:
        if bar is not None:
            bar.close()
    facts["file"] = f"{out}: {Path(out).stat().st_size / 1e6:.1f} MB"
    if html is not None:
        _write_page(Path(html), model, facts, layers)
    if quiet:
        click.echo(out)
    else:
        click.echo("\n".join([layer_table(layers), "", *facts.values()]))


def _quantize(
    model: str,
    out: Path,
    *,
    recipe: str,
    calibrate: tuple[str, ...],
    budget: str | None,
    max_size: str | None,
    name: str | None,
    tell: Report,
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What was found, by name, and the layers."""
    from anyon.conversion import find_blueprint, open_checkpoint
    from anyon.quantizer import parse_budget, parse_size, quantise
    from anyon.recipes import find_recipe, recipe_spec
    from anyon.recordings import find_recordings
    from anyon.registry import BundleSource, resolve
    from anyon.sources import locate
    from anyon_export.bundle import BundleWriteError, make_bundle
    from anyon_export.layers import measure_layers
    from anyon_quantization.matrix import QuantizationError

    chosen = find_recipe(recipe_spec(recipe))
    points = None if budget is None else parse_budget(budget)
    largest = None if max_size is None else parse_size(max_size)
    recordings = find_recordings([Path(path) for path in calibrate])
    candidate = resolve(model)[0]
    if isinstance(candidate, BundleSource):
        raise CheckpointError(f"{model}: is a bundle already (give the checkpoint it was made from)")
    path, found, origin = locate(candidate, tell)
    checkpoint = open_checkpoint(path)
    blueprint = find_blueprint(checkpoint)[0]
    try:
        made = quantise(
            blueprint, checkpoint, chosen, recordings=recordings, budget=points, max_size=largest, report=tell
        )
    except QuantizationError as error:
        raise OptionError(str(error)) from error
    layers = [layer.to_json() for layer in measure_layers(made.blueprint, made.checkpoint.tensors)]
    for layer in layers:
        measured = made.sensitivity.get(layer["name"], {})
        if layer["scheme"] in measured:
            layer["divergence"] = measured[layer["scheme"]]
    quantization = {**made.blueprint.quantization, "layers": layers, "recordings": len(recordings)}
    try:
        make_bundle(
            replace(made.blueprint, quantization=quantization),
            made.checkpoint,
            out,
            lambda done, total: tell(Progress("write", done, total, "bytes", found)),
            name=name or found,
            source_id=str(origin["id"]),
        )
    except BundleWriteError as error:
        raise ExportError(str(error)) from error
    facts = {"recipe": f"recipe: {made.blueprint.recipe}"}
    if recordings:
        facts["calibration"] = f"calibrated on {len(recordings)} recordings"
    if made.word_error is not None:
        exact, after = made.word_error
        facts["word error"] = f"word error on them: {after:.2f} %, in floats {exact:.2f} %"
    return facts, layers


def _write_page(path: Path, model: str, facts: dict[str, str], layers: list[dict[str, Any]]) -> None:
    from anyon.atomic import write_bytes
    from anyon.cli.layer_page import layer_page

    write_bytes(path, layer_page(f"{model}, quantised", facts, layers).encode())

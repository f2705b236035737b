"""`anyon models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from anyon.cache import cache_root
from anyon.cli.panels import Command, option
from anyon.registry import ALIASES, DEMO_DISTRIBUTION, DEMO_NAME, MODELS, demo_folder

_EPILOG = """\b
Examples:
  anyon models                    names, sizes, languages
  anyon models --json             the same for a program

A hub id (openai/whisper-base, Systran/faster-whisper-base, your/fine-tuned-whisper), a checkpoint's folder or file,
and a .anyon bundle are models too: give them to --model, or to anyon.load."""


@click.command(cls=Command, epilog=_EPILOG)
@option("--cache-dir", panel="Options", type=click.Path(), help="Where bundles are kept.  [default: $ANYON_CACHE]")
@option("--json", "as_json", panel="Options", is_flag=True, help="Print JSON.")
def command(cache_dir: str | None, as_json: bool) -> None:
    """List the models that have a name, and the bundles in the cache."""
    folder = cache_root(cache_dir) / "bundles"
    bundles = _bundles(folder)
    if as_json:
        rows = [{field: getattr(row, field) for field in row.__dataclass_fields__} for row in MODELS]
        click.echo(json.dumps({"models": rows, "aliases": ALIASES, "cache": str(folder), "bundles": bundles}, indent=1))
        return
    click.echo(f"{'name':<16}{'parameters':>11}  {'languages':<13}{'download':>9}  {'bundle':>8}  repository")
    for row in MODELS:
        languages = "99 or more" if row.multilingual else "English"
        sizes = f"{row.parameters:>9} M  {languages:<13}{row.download:>6} MB  {row.bundle:>5} MB"
        click.echo(f"{row.name:<16}{sizes}  {row.repo_id}")
    click.echo("other names: " + ", ".join(f"{alias} = {name}" for alias, name in ALIASES.items()))
    if demo_folder() is not None:
        click.echo(f"installed: {DEMO_NAME} comes from the package {DEMO_DISTRIBUTION}, nothing to download")
    click.echo(f"\ncache: {folder}" + ("" if bundles else " (empty)"))
    for bundle in bundles:
        click.echo(f"  {bundle['bytes'] / 1e6:8.1f} MB  {bundle['file']}")


def _bundles(folder: Path) -> list[dict[str, Any]]:
    try:
        files = sorted(folder.glob("*.anyon"))
        return [{"file": file.name, "bytes": file.stat().st_size} for file in files]
    except OSError:
        return []

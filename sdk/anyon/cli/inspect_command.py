"""`anyon inspect`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from anyon.cli.layer_table import layer_table
from anyon.cli.panels import Command, option
from anyon.registry import is_bundle

_EPILOG = """\b
Examples:
  anyon inspect tiny.en.anyon               programs, states, source, sizes
  anyon inspect tiny.en.anyon --tensors     every tensor too
  anyon inspect tiny.en.anyon --verify      read all data and check its sha256
  anyon inspect whisper-tiny/               a checkpoint: format, sizes, tokenizer"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("file", type=click.Path())
@option("--tensors", panel="Options", is_flag=True, help="List every tensor.")
@option("--verify", panel="Options", is_flag=True, help="Read all data of a bundle and compare it with its sha256.")
@option("--json", "as_json", panel="Options", is_flag=True, help="Print JSON.")
def command(file: str, tensors: bool, verify: bool, as_json: bool) -> None:
    """Show what a bundle, or a checkpoint's folder or file, holds."""
    path = Path(file)
    if not path.exists():
        raise click.UsageError(f"{file}: no such file or folder")
    if is_bundle(path):
        facts = _bundle_facts(path, tensors, verify)
    elif verify:
        raise click.UsageError("--verify: only bundles carry the sha256 of their data")
    else:
        facts = _checkpoint_facts(path, tensors)
    if as_json:
        click.echo(json.dumps(facts, indent=1, default=str))
    else:
        layers = facts.pop("layers", [])
        _print(facts)
        if layers:
            click.echo(f"\n{layer_table(layers)}")


def _bundle_facts(path: Path, tensors: bool, verify: bool) -> dict[str, Any]:
    from anyon.bundle import Bundle

    bundle = Bundle(path)
    manifest = bundle.manifest
    facts: dict[str, Any] = {
        "file": str(path),
        "kind": "bundle",
        "bytes": bundle.native.file_bytes,
        **{key: manifest.get(key) for key in ("anyon_format", "name", "family", "task", "recipe")},
        "source": manifest.get("source", {}),
        "programs": {name: _program_facts(program) for name, program in bundle.programs.items()},
        "onnx": sorted(manifest.get("onnx", {})),
        "frontend": manifest.get("frontend", {}),
    }
    layers = manifest.get("quantization", {}).get("layers", [])
    if layers:
        facts["layers"] = layers
    rows = [row for row in bundle.native.tensors() if not row[0].startswith("__pad__")]
    facts["tensor count"] = len(rows)
    facts["tensor bytes"] = sum(row[3] for row in rows)
    if tensors:
        facts["tensors"] = [f"{name}: {dtype} {list(shape)}, {size} bytes" for name, dtype, shape, size in rows]
    if verify:
        bundle.verify()
        facts["verified"] = f"data matches sha256 {manifest.get('data_sha256')}"
    return facts


def _program_facts(program: dict[str, Any]) -> dict[str, Any]:
    ops = Counter(op["op"] for op in program.get("ops", []))
    return {
        "ops": ", ".join(f"{count} {op}" for op, count in ops.most_common()),
        "inputs": [_value(value) for value in program.get("inputs", [])],
        "outputs": _shortened([_value(value) for value in program.get("outputs", [])]),
        "states": _shortened([f"{_value(state)}, {state.get('kind')}" for state in program.get("states", [])]),
    }


def _value(value: dict[str, Any]) -> str:
    return f"{value['name']}: {value['dtype']} ({', '.join(str(dim) for dim in value['shape'])})"


def _shortened(rows: list[str]) -> list[str]:
    return rows if len(rows) <= 6 else [*rows[:3], f"... {len(rows) - 4} more", rows[-1]]


def _checkpoint_facts(path: Path, tensors: bool) -> dict[str, Any]:
    from anyon.conversion import open_checkpoint

    checkpoint = open_checkpoint(path)
    facts: dict[str, Any] = {
        "file": str(path),
        "kind": "checkpoint",
        "format": checkpoint.source["format"],
        "licence": checkpoint.source["licence"] or "not stated",
        "sha256": checkpoint.source["sha256"],
        "config": checkpoint.config,
        "vocabulary": checkpoint.tokenizer.n_vocab,
        "tensor count": len(checkpoint.tensors),
        "tensor bytes": checkpoint.tensors.nbytes,
        "notes": checkpoint.notes,
    }
    if tensors:
        rows = checkpoint.tensors.entries.items()
        facts["tensors"] = [f"{name}: {row.dtype} {list(row.shape)}, {row.nbytes} bytes" for name, row in rows]
    return facts


def _print(value: Any, indent: int = 0, label: str = "") -> None:
    """A dictionary as an indented outline."""
    margin = "  " * indent
    if isinstance(value, dict):
        if label:
            click.echo(f"{margin[2:]}{label}")
        for key, item in value.items():
            _print(item, indent + (1 if isinstance(item, (dict, list)) and item else 0), str(key))
    elif isinstance(value, list):
        if value:
            click.echo(f"{margin[2:]}{label}")
        for item in value:
            click.echo(f"{margin}{item}")
    elif value not in (None, ""):
        shown = f"{value} ({value / 1e6:.1f} MB)" if label.endswith("bytes") and isinstance(value, int) else value
        click.echo(f"{margin}{label}: {shown}")

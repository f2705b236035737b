"""`anyon doctor`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from anyon._version import __version__
from anyon.cache import cache_error, cache_root, free_bytes
from anyon.cli.panels import Command, option
from anyon.machine import processor
from anyon.registry import DEMO_DISTRIBUTION, DEMO_NAME, demo_folder

_EPILOG = """\b
Examples:
  anyon doctor                  the machine, the backends, what to install
  anyon doctor --json           the same for a program, or for a bug report
  anyon doctor --measure base   time every backend that is here with a model, program by program, and remember it:
                                --backend auto then takes the best for each

Exit code 1 when nothing here can run a model."""

_PACKAGES = ("numpy", "av", "huggingface_hub", "click", "rich")
_EXPORT_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "safetensors")


@click.command(cls=Command, epilog=_EPILOG)
@option(
    "--measure",
    panel="Options",
    is_flag=False,
    flag_value=DEMO_NAME,
    metavar="[MODEL]",
    help=f"Time the backends with a model.  [default model: {DEMO_NAME}]",
)
@option("--recipe", panel="Options", help="Of the measured model, as in `anyon transcribe`.")
@option("--threads", panel="Options", type=int, help="Cores to measure with.  [default: all, at most 16]")
@option("--cache-dir", panel="Options", type=click.Path(), help="Where bundles are kept.  [default: $ANYON_CACHE]")
@option("--json", "as_json", panel="Options", is_flag=True, help="Print JSON.")
def command(measure: str | None, recipe: str | None, threads: int | None, cache_dir: str | None, as_json: bool) -> int:
    """Say what this machine can run, and why."""
    facts: dict[str, Any] = {
        "anyon": _anyon_facts(),
        "machine": _machine_facts(),
        "backends": _backend_facts(),
        "packages": {name: _version(name) or "missing" for name in _PACKAGES},
        "export": _export_facts(),
        "models": _model_facts(),
        "cache": _cache_facts(cache_root(cache_dir)),
    }
    if measure is not None:
        facts["measured"] = _measured(measure, recipe, threads, cache_root(cache_dir), quiet=as_json)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        for section, rows in facts.items():
            click.echo(section)
            printed = _TABLES.get(section, _print_rows)
            printed(rows)
    return 0 if any(row["available"] for row in facts["backends"].values()) else 1


def _measured(source: str, recipe: str | None, threads: int | None, cache: Path, quiet: bool) -> dict[str, Any]:
    """Times the backends with a model and keeps the result. {"model", "threads", "programs", "refused", "profile"}."""
    from anyon.backends.native_backend import selected_isa
    from anyon.engines import default_threads
    from anyon.machine import write_profile
    from anyon.measure import measure
    from anyon.progress import silent
    from anyon.progress_bar import progress_bar
    from anyon.recipes import default_recipe, recipe_spec
    from anyon.sources import open_bundle

    threads = threads or default_threads()
    with nullcontext(silent) if quiet else progress_bar() as report:
        bundle, _ = open_bundle(
            source,
            recipe=None if recipe is None else recipe_spec(recipe),
            default_recipe=default_recipe("auto", selected_isa(None)),
            cache_dir=cache,
            report=report,
        )
        found, refused = measure(bundle, threads, cache, report)
    try:
        profile = write_profile(cache, bundle, threads, found)
    except OSError as error:
        raise cache_error(cache, error) from error
    return {
        "model": f"{source} ({bundle.recipe}), {threads} threads",
        "programs": {program: {name: asdict(row) for name, row in rows.items()} for program, rows in found.items()},
        "refused": refused,
        "profile": str(profile),
    }


def _anyon_facts() -> dict[str, Any]:
    facts: dict[str, Any] = {"version": __version__, "python": f"{platform.python_version()} ({sys.executable})"}
    try:
        from anyon import _native
    except ImportError as error:
        facts["runtime"] = (
            f"cannot be loaded: {error} (pip install --force-reinstall anyon; from a checkout: pip install .)"
        )
        return facts
    info = _native.build_info()
    facts["runtime"] = (
        f"{info.get('version')}, bundle format {info.get('bundle_format')}, compiled by {info.get('compiler')}"
    )
    return facts


def _machine_facts() -> dict[str, Any]:
    facts: dict[str, Any] = {"system": f"{platform.system()} {platform.release()} {platform.machine()}"}
    if processor():
        facts["processor"] = processor()
    facts["cores"] = f"{os.cpu_count()} in the machine"
    try:
        from anyon import _native
        from anyon.engines import default_threads
        from anyon.errors import AnyonError, translated
    except ImportError:
        return facts
    facts["cores"] += f", {default_threads()} used unless threads= says otherwise"
    forced = os.environ.get("ANYON_ISA")
    try:
        with translated():
            reason = f"forced by ANYON_ISA={forced}" if forced else "the best here"
            facts["isa"] = f"{_native.isa()} ({reason}; supported: {', '.join(_native.supported_isas())})"
    except AnyonError as error:
        facts["isa"] = str(error)
    return facts


def _backend_facts() -> dict[str, dict[str, Any]]:
    from anyon.backends import KNOWN, get_backend
    from anyon.errors import AnyonError

    facts: dict[str, dict[str, Any]] = {}
    for name in KNOWN:
        try:
            capability = get_backend(name).probe()
        except (ImportError, AnyonError) as error:
            facts[name] = {"available": False, "version": "", "devices": [], "precisions": [], "isa": ""}
            facts[name] |= {"reason": str(error), "install": ""}
            continue
        facts[name] = {
            "available": capability.available,
            "version": capability.version,
            "devices": list(capability.devices),
            "precisions": list(capability.precisions),
            "isa": capability.isa,
            "reason": capability.reason,
            "install": capability.install,
        }
    return facts


def _export_facts() -> dict[str, str]:
    versions = {name: _version(name) for name in _EXPORT_PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return {"available": f"no: {', '.join(missing)} missing (pip install 'anyon[export]')"}
    return {"available": "yes: " + ", ".join(f"{name} {version}" for name, version in versions.items())}


def _model_facts() -> dict[str, str]:
    demo = "installed" if demo_folder() is not None else "not installed (pip install 'anyon[demo]')"
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    hub_cache = os.environ.get("HF_HUB_CACHE") or str(Path(os.environ.get("HF_HOME") or home) / "hub")
    return {
        "hub": os.environ.get("HF_ENDPOINT", "https://huggingface.co") + (" (offline mode is on)" if offline else ""),
        "hub cache": hub_cache,
        "token": "set"
        if os.environ.get("HF_TOKEN")
        else "HF_TOKEN not set (only gated and private repositories need one)",
        f"demo weights ({DEMO_DISTRIBUTION})": demo,
    }


def _cache_facts(root: Path) -> dict[str, str]:
    facts = {"folder": str(root)}
    try:
        existing = next(folder for folder in (root, *root.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
        facts["writable"] = f"yes, {free_bytes(root) / 1e9:.1f} GB free"
    except OSError as error:
        facts["writable"] = f"no: {error.strerror} (set ANYON_CACHE to a folder that is)"
    return facts


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _print_rows(rows: dict[str, Any]) -> None:
    width = max(len(name) for name in rows) + 2
    for name, value in rows.items():
        click.echo(f"  {name:<{width}}{value}")


def _print_backends(rows: dict[str, dict[str, Any]]) -> None:
    table = [["backend", "here", "version", "devices", "computes in", "isa", "note"]]
    for name, row in rows.items():
        install = f"; {row['install']}" if row["install"] else ""
        table.append(
            [
                name,
                "yes" if row["available"] else "no",
                row["version"] or "-",
                ", ".join(row["devices"]) or "-",
                ", ".join(row["precisions"]) or "-",
                row["isa"] or "-",
                row["reason"] + install,
            ]
        )
    _print_table(table)


def _print_measured(facts: dict[str, Any]) -> None:
    click.echo(f"  {facts['model']}")
    table = [["program", "backend", "ms", "CPU ms", "memory", "device"]]
    for program, rows in facts["programs"].items():
        for name, row in sorted(rows.items(), key=lambda item: item[1]["seconds"]):
            memory = f"{row['memory'] / 2**20:.0f} MiB"
            times = [f"{1e3 * row[key]:.3g}" for key in ("seconds", "cpu_seconds")]
            table.append([program, name, *times, memory, row["device"]])
    _print_table(table)
    for name, reason in facts["refused"].items():
        click.echo(f"  {name}: not measured: {reason}")
    click.echo(f"  kept in {facts['profile']}")


def _print_table(rows: list[list[str]]) -> None:
    """The last column is as wide as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  " + "  ".join([*cells, row[-1]]))


_TABLES: dict[str, Callable[[dict[str, Any]], None]] = {"backends": _print_backends, "measured": _print_measured}

"""`anyon doctor`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from anyon._version import __version__
from anyon.cache import cache_root, free_bytes
from anyon.cli.panels import Command, option
from anyon.registry import DEMO_DISTRIBUTION, demo_folder

_EPILOG = """\b
Examples:
  anyon doctor                the machine, the backends, what to install
  anyon doctor --json         the same for a program, or for a bug report

Exit code 1 when nothing here can run a model."""

_PACKAGES = ("numpy", "av", "huggingface_hub", "click", "rich")
_EXPORT_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "safetensors")


@click.command(cls=Command, epilog=_EPILOG)
@option("--cache-dir", panel="Options", type=click.Path(), help="Where bundles are kept.  [default: $ANYON_CACHE]")
@option("--json", "as_json", panel="Options", is_flag=True, help="Print JSON.")
def command(cache_dir: str | None, as_json: bool) -> int:
    """Say what this machine can run, and why."""
    facts = {
        "anyon": _anyon_facts(),
        "machine": _machine_facts(),
        "backends": _backend_facts(),
        "packages": {name: _version(name) or "missing" for name in _PACKAGES},
        "export": _export_facts(),
        "models": _model_facts(),
        "cache": _cache_facts(cache_root(cache_dir)),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        for section, rows in facts.items():
            click.echo(section)
            _print_rows(rows)
    return 0 if any(row["available"] for row in facts["backends"].values()) else 1


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
    processor = _processor()
    if processor:
        facts["processor"] = processor
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
    from anyon.backends import NAMES, get_backend
    from anyon.errors import AnyonError

    facts: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        try:
            capability = get_backend(name).probe()
        except (ImportError, AnyonError) as error:
            facts[name] = {"available": False, "reason": str(error), "install": ""}
            continue
        facts[name] = {
            "available": capability.available,
            "version": capability.version,
            "devices": list(capability.devices),
            "precisions": list(capability.precisions),
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


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _print_rows(rows: dict[str, Any]) -> None:
    width = max(len(name) for name in rows) + 2
    for name, value in rows.items():
        if isinstance(value, dict):
            state = "yes" if value["available"] else "no"
            version = f" {value['version']}" if value.get("version") else ""
            detail = (
                f": {', '.join(value['devices'])}; {', '.join(value['precisions'])}" if value.get("devices") else ""
            )
            install = f" ({value['install']})" if value["install"] else ""
            value = f"{state}{version}{detail}; {value['reason']}{install}"
        click.echo(f"  {name:<{width}}{value}")

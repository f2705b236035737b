"""A checkpoint becomes a bundle in the cache: numpy and a blueprint, no PyTorch. Once, however many ask for it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anyon import cache
from anyon.errors import AnyonError, CheckpointError, OptionError
from anyon.progress import Progress, Report
from anyon.recipes import find_recipe

if TYPE_CHECKING:
    from anyon_export.blueprint import Blueprint
    from anyon_export.checkpoints import Checkpoint

_MANIFEST = 256 << 10  # more than manifest, table of tensors and alignment take
BLUEPRINTS = Path(__file__).parent / "blueprints"


@dataclass(frozen=True, slots=True)
class Converted:
    """A bundle in the cache; `files` and `blueprint` make it stale when they change."""

    path: Path
    files: list[Path]
    """Of the checkpoint."""
    blueprint: Path
    reused: bool
    """It was there already: made from the same weights earlier, or by another process meanwhile."""


def open_checkpoint(path: Path) -> Checkpoint:
    """Opens a checkpoint of any format we read. Raises CheckpointError."""
    from anyon_export import checkpoints

    try:
        return checkpoints.load(path)
    except checkpoints.CheckpointError as error:
        raise CheckpointError(str(error)) from error


def convert(checkpoint: Path, *, name: str, origin: str, recipe: str, root: Path, report: Report) -> Converted:
    """Converts a checkpoint unless the cache has its bundle.

    Two processes that ask at once make it once: the other waits and uses the same file. Raises CheckpointError for
    weights that are damaged or of sizes without a blueprint, CacheError when the cache cannot hold the bundle; then
    nothing is left behind. OptionError for a recipe (a spec of anyon.recipes) that does not fit the model.
    """
    report(Progress("verify", 0, 0, "bytes", name))
    opened = open_checkpoint(checkpoint)
    blueprint, blueprint_path = find_blueprint(opened)
    blueprint = quantized(blueprint, recipe)
    folder = root / "bundles"
    cache.make_folder(folder)
    bundle = folder / f"{_slug(name)}-{_key(opened, blueprint_path, blueprint)}.anyon"

    def converted(reused: bool) -> Converted:
        return Converted(bundle, list(opened.source.files), blueprint_path, reused)

    if _usable(bundle):
        return converted(reused=True)
    waiting = Progress("wait", 0, 0, "bytes", f"{name}: another process is converting it")
    with cache.locked(bundle.with_suffix(".lock"), on_wait=lambda: report(waiting)):
        if _usable(bundle):
            return converted(reused=True)
        cache.remove_leftovers(bundle)
        _write(blueprint, opened, bundle, name, origin, report)
    return converted(reused=False)


def quantized(blueprint: Blueprint, recipe: str) -> Blueprint:
    """The blueprint with another recipe. Raises OptionError when the recipe does not fit it."""
    from anyon_export.quantize import quantize
    from anyon_quantization.matrix import QuantizationError

    try:
        return quantize(blueprint, find_recipe(recipe))
    except QuantizationError as error:
        raise OptionError(str(error)) from error


def find_blueprint(checkpoint: Checkpoint) -> tuple[Blueprint, Path]:
    """The f32 blueprint of the checkpoint's sizes. Raises CheckpointError, with the sizes, when there is none."""
    from anyon_export import blueprint

    names = []
    try:
        for path in sorted(BLUEPRINTS.glob(f"*{blueprint.SUFFIX}")):
            loaded = blueprint.load(path)
            if loaded.fits(checkpoint.config):
                return loaded, path
            names.append(loaded.name)
    except blueprint.BlueprintError as error:
        raise CheckpointError(str(error)) from error
    sizes = ", ".join(f"{key} {value}" for key, value in checkpoint.config.items())
    raise CheckpointError(
        f"{checkpoint.source['path']}: no blueprint for its sizes ({sizes}); there are {', '.join(names) or 'none'} "
        "(make a bundle once with: anyon export, where PyTorch is installed)"
    )


def _usable(bundle: Path) -> bool:
    """Whether the cache has this bundle and it opens; one that was cut or overwritten is made again."""
    from anyon.bundle import Bundle

    if not bundle.is_file():
        return False
    try:
        Bundle(bundle)
    except AnyonError:
        return False
    return True


def _write(blueprint: Blueprint, checkpoint: Checkpoint, bundle: Path, name: str, origin: str, report: Report) -> None:
    from anyon_export import checkpoints
    from anyon_export.bundle import BundleWriteError, make_bundle

    needed = bundle_size(blueprint, checkpoint)
    cache.require_room(bundle.parent, needed)
    try:
        make_bundle(
            blueprint,
            checkpoint,
            bundle,
            lambda done, total: report(Progress("convert", done, total, "bytes", name)),
            name=name,
            source_id=origin,
        )
    except checkpoints.CheckpointError as error:
        raise CheckpointError(str(error)) from error
    except BundleWriteError as error:
        if isinstance(error.__cause__, OSError):
            raise cache.cache_error(bundle.parent, error.__cause__, needed) from error
        raise CheckpointError(f"{checkpoint.source['path']}: cannot be converted: {error}") from error


def bundle_size(blueprint: Blueprint, checkpoint: Checkpoint) -> int:
    """Bytes of the bundle's file, a little more rather than less."""
    tokenizer = checkpoint.tokenizer
    merges = 0 if isinstance(tokenizer.merges, str) else tokenizer.merges.nbytes
    weights = sum(weight.expression.nbytes for weight in blueprint.weights.values())
    graphs = sum(len(program.graph) for program in blueprint.onnx.values())
    return weights + graphs + tokenizer.offsets.nbytes + tokenizer.data.nbytes + merges + _MANIFEST


def _key(checkpoint: Checkpoint, blueprint_path: Path, blueprint: Blueprint) -> str:
    from anyon_export import probe
    from anyon_export.bundle import FORMAT_VERSION
    from anyon_quantization.matrix import VERSION

    recipe = json.dumps(blueprint.quantization, sort_keys=True)
    blueprint_sha256 = hashlib.sha256(blueprint_path.read_bytes()).hexdigest()
    versions = f"{FORMAT_VERSION}.{VERSION}.{probe.VERSION}"
    return cache.digest_of(str(checkpoint.source["sha256"]), recipe, versions, blueprint_sha256)[:16]


def _slug(name: str) -> str:
    """The name as part of a file name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "model"

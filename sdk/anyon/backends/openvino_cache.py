"""Compiled OpenVINO models in anyon's cache, so that the next load only reads them.

<cache>/openvino/<key>.blob: a page with the CRC-32 and the length of what follows, then what `export_model` wrote. The
key names everything that decides what is compiled. A file that is not whole is made again; one that cannot be written
is done without. Files are mapped, so that weights which OpenVINO reads as they are take no memory of their own.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anyon import atomic, cache
from anyon.errors import CacheError
from anyon.logger import log

if TYPE_CHECKING:
    from anyon.bundle import Bundle

_HEADER = 4096  # a page: what is mapped behind it stays aligned
_FORMAT = 1


def compiled(
    core: Any,
    bundle: Bundle,
    program: str,
    *,
    device: str,
    full_name: str,
    properties: Mapping[str, Any],
    root: Path | None,
    build: Callable[[], Any],
) -> tuple[Any, Any]:
    """The compiled model of a program: from the cache, else of what `build` returns, which is then cached.

    Returns it, and what must live as long as it does. full_name: of the device; another processor's models are not
    taken. root: the cache's folder, None: the user's.
    """
    import openvino

    path = (root or cache.cache_root()) / "openvino" / f"{_key(bundle, program, full_name, properties)}.blob"
    blob = _read(path)
    if blob is not None:
        try:
            return core.import_model(openvino.Tensor(blob, shared_memory=True), device, dict(properties)), blob
        except RuntimeError as error:
            log.warning("%s: is compiled again: OpenVINO does not take it: %s", path, error)
    model = core.compile_model(build(), device, dict(properties))
    # Devices that cannot export their models (EXPORT_IMPORT is missing) are compiled for each time.
    if "EXPORT_IMPORT" in core.get_property(device, "OPTIMIZATION_CAPABILITIES"):
        _write(path, model.export_model().getbuffer())
    return model, None


def _key(bundle: Bundle, program: str, full_name: str, properties: Mapping[str, Any]) -> str:
    import openvino

    from anyon_export.openvino import MODEL_VERSION

    manifest = bundle.manifest
    parts = [manifest["onnx"][program], manifest["programs"][program].get("states", []), dict(properties)]
    texts = [json.dumps(part, sort_keys=True) for part in parts]
    versions = f"{_FORMAT}.{MODEL_VERSION} {openvino.get_version()}"
    return cache.digest_of(str(manifest.get("data_sha256")), program, full_name, versions, *texts)[:32]


def _read(path: Path) -> Any:
    """The mapped blob as an array of bytes; None when there is none that is whole."""
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER)
            if not file.read(1):
                return None
        # Copy on write: openvino wants memory that could be written, and must not write into the file.
        blob = np.memmap(path, np.uint8, "c", offset=_HEADER)
    except OSError:
        return None
    return blob if header == _header(blob.data) else None


def _write(path: Path, blob: bytes | memoryview) -> None:
    try:
        cache.make_folder(path.parent)
        cache.require_room(path.parent, len(blob))
        with atomic.atomic_path(path) as temporary, open(temporary, "xb") as file:
            file.write(_header(blob))
            file.write(blob)
    except (OSError, CacheError) as error:
        log.warning("%s: the compiled model is not kept: %s", path, error)


def _header(blob: bytes | memoryview) -> bytes:
    return f"{zlib.crc32(blob):08x} {len(blob):d}".encode().ljust(_HEADER)

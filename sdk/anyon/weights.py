"""Weights of a bundle as a graph's initializers, for backends that do not read our kernels' layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from anyon.errors import BackendError, BundleError, translated

if TYPE_CHECKING:
    from anyon.bundle import Bundle


def initializer(bundle: Bundle, program: str, name: str, row: Mapping[str, Any]) -> NDArray[Any]:
    """What a row of the manifest's onnx section stands for; a view of the mapped file where the layout allows.

    Raises BundleError when the row does not fit the tensor it names.
    """
    # The layouts belong to the exporter; this module of it needs numpy alone.
    from anyon_export.bundle import unpack_initializer

    try:
        with translated():
            stored = bundle.native.tensor(str(row["tensor"]))
        return unpack_initializer(stored, row)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{bundle.path}: onnx initializer {name!r} of program {program!r} does not fit its tensor: {error} "
            "(convert the checkpoint again)"
        ) from error


def graph_of(bundle: Bundle, program: str) -> bytes:
    """A program's ONNX graph, serialized, its initializers outside. Raises BackendError for a bundle without one."""
    section = bundle.manifest.get("onnx", {}).get(program)
    if not section:
        raise BackendError(
            f"{bundle.path}: carries no ONNX graph of program {program!r} "
            "(use backend='native', or convert the checkpoint again)"
        )
    try:
        with translated():
            return bundle.native.tensor(section["graph"]).tobytes()
    except KeyError:
        raise BundleError(f"{bundle.path}: onnx section of program {program!r} names no graph") from None

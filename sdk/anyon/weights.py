"""Weights of a bundle as a graph's initializers, for backends that do not read our kernels' layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from anyon.errors import BundleError, translated

if TYPE_CHECKING:
    from anyon.bundle import Bundle


def initializers(bundle: Bundle, program: str) -> dict[str, NDArray[Any]]:
    """Every initializer of a program's ONNX graph, by name; views of the mapped file where the layout allows.

    Raises BundleError when a row of the manifest does not fit the tensor it names.
    """
    # The layouts belong to the exporter; this module of it needs numpy alone.
    from anyon_export.bundle import unpack_initializer

    arrays = {}
    for name, row in bundle.manifest["onnx"][program].get("initializers", {}).items():
        try:
            with translated():
                stored = bundle.native.tensor(str(row["tensor"]))
            arrays[name] = unpack_initializer(stored, row)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{bundle.path}: onnx initializer {name!r} of program {program!r} does not fit its tensor: {error} "
                "(convert the checkpoint again)"
            ) from error
    return arrays

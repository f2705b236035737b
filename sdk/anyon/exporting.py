"""`export`: a PyTorch module of the caller's own becomes a bundle. Only forwards to the exporter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anyon.errors import ExportError

if TYPE_CHECKING:
    from anyon_export.graph.module import ModuleReport


def export(
    module: Any,
    example_inputs: Sequence[Any] | Mapping[str, Any],
    *,
    path: str | os.PathLike[str],
    dynamic_shapes: Any = None,
    output_names: Sequence[str] | None = None,
    name: str = "",
    opset: int = 23,
    strict: bool = False,
) -> ModuleReport:
    """Writes a `torch.nn.Module` as a bundle that `anyon.load(path)` runs without PyTorch.

    example_inputs: the arguments of one call of `forward` (a mapping: keyword arguments). dynamic_shapes: as
    torch.export takes them, `{"x": {0: torch.export.Dim("batch")}}`; every other dimension is fixed.
    output_names: default the keys of what `forward` returns, "output" for a single tensor.
    strict: an op that the native backend lacks, or a result that differs from PyTorch's, is an error that lists every
        such op and where in the source it stands; otherwise the model is placed on another backend and says so.

    Returns a report: inputs, outputs, the largest error against PyTorch. Needs the extra [export].
    Raises ExportError; then nothing is written.
    """
    try:
        from anyon_export.bundle import BundleWriteError
        from anyon_export.export import ExportError as NativeExportError
        from anyon_export.graph.module import export_module
    except ImportError as error:
        raise ExportError(f"export: {error.name} is not installed; pip install 'anyon[export]'") from error
    try:
        return export_module(
            module,
            example_inputs,
            path,
            dynamic_shapes=dynamic_shapes,
            output_names=output_names,
            name=name,
            opset=opset,
            strict=strict,
        )
    except (NativeExportError, BundleWriteError) as error:
        raise ExportError(str(error)) from error

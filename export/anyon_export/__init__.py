"""Turns checkpoints into bundles: readers and blueprints with numpy alone, exporting with PyTorch.

Importing this package imports neither torch nor onnx; only `export_checkpoint` needs them (extra [export]).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyon_export.checkpoints import Checkpoint
    from anyon_export.report import Report


def export_checkpoint(
    source: str | os.PathLike[str] | Checkpoint,
    out: str | os.PathLike[str],
    *,
    opset: int = 23,
    check_audio: str | os.PathLike[str] | None = None,
    name: str | None = None,
    source_id: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Exports a Whisper checkpoint (folder, file, or one already opened) through PyTorch and ONNX to a bundle at `out`.

    The ONNX graphs are checked and run beside PyTorch on `check_audio` (default: a short real recording where one is
    installed), the bundle natively too where the runtime is. The bundle equals the one that the blueprint path writes
    for the same checkpoint. progress is called with (stage, done, total).
    Raises CheckpointError, BundleWriteError, and ExportError when torch or onnx is missing or an engine disagrees with
    PyTorch; then `out` is left as it was.
    """
    from anyon_export.export import run

    return run(source, out, opset=opset, check_audio=check_audio, name=name, source_id=source_id, progress=progress)


__all__ = ["export_checkpoint"]

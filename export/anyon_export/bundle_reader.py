"""A finished bundle as the exporters for other engines read it: ONNX graphs, and their weights out of our layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyon_export.bundle import unpack_initializer
from anyon_export.expressions import Array


class BundleReader:
    """Needs the compiled runtime, which maps and validates the file."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError for a file that is damaged, of another version, or no bundle at all."""
        from anyon import _native

        self._path = path
        try:
            self._bundle = _native.Bundle(str(path))
        except _native.AnyonNativeError as error:
            raise ValueError(str(error)) from error
        self.manifest: dict[str, Any] = json.loads(self._bundle.manifest)
        self._sections: dict[str, Any] = self.manifest.get("onnx", {})

    def graphs(self) -> list[str]:
        """The programs that have a graph. Raises ValueError when none has."""
        if not self._sections:
            raise ValueError(f"{self._path}: carries no ONNX graphs (convert the checkpoint again)")
        return list(self._sections)

    def graph(self, program: str) -> bytes:
        """A serialized ModelProto whose initializers are outside."""
        return self._bundle.tensor(self._sections[program]["graph"]).tobytes()

    def rows(self, program: str) -> Mapping[str, Mapping[str, Any]]:
        """Where each initializer of the graph lies."""
        rows: Mapping[str, Mapping[str, Any]] = self._sections[program].get("initializers", {})
        return rows

    def states(self, program: str) -> list[dict[str, Any]]:
        states: list[dict[str, Any]] = self.manifest["programs"][program].get("states", [])
        return states

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """(dtype: f32, f16, u8, ...; shape) of each tensor."""
        return {name: (dtype, shape) for name, dtype, shape, _ in self._bundle.tensors()}

    def initializer(self, name: str, row: Mapping[str, Any]) -> Array:
        """ValueError when the row does not fit its tensor."""
        try:
            return unpack_initializer(self._bundle.tensor(str(row["tensor"])), row)
        except ValueError as error:
            raise ValueError(f"{self._path}: initializer {name!r}: {error}") from error

"""A finished bundle as the exporters for other engines read it: ONNX graphs, and their weights out of our layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyon_export.bundle import unpack_initializer
from anyon_export.expressions import Array


class BundleReader:
    """Needs the compiled runtime, which maps and validates the file. Raises its errors for a damaged one."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError for a bundle that carries no ONNX graphs."""
        from anyon.bundle import Bundle

        self._bundle = Bundle(path)
        self._sections: dict[str, Any] = self._bundle.manifest.get("onnx", {})
        if not self._sections:
            raise ValueError(f"{path}: carries no ONNX graphs (convert the checkpoint again)")

    @property
    def manifest(self) -> dict[str, Any]:
        return self._bundle.manifest

    @property
    def programs(self) -> list[str]:
        """Those that have a graph."""
        return list(self._sections)

    def graph(self, program: str) -> bytes:
        """A serialized ModelProto whose initializers are outside."""
        return self._bundle.native.tensor(self._sections[program]["graph"]).tobytes()

    def rows(self, program: str) -> Mapping[str, Mapping[str, Any]]:
        """Where each initializer of the graph lies."""
        rows: Mapping[str, Mapping[str, Any]] = self._sections[program].get("initializers", {})
        return rows

    def states(self, program: str) -> list[dict[str, Any]]:
        states: list[dict[str, Any]] = self._bundle.programs[program].get("states", [])
        return states

    def initializer(self, name: str, row: Mapping[str, Any]) -> Array:
        """ValueError when the row does not fit its tensor."""
        try:
            return unpack_initializer(self._bundle.native.tensor(str(row["tensor"])), row)
        except ValueError as error:
            raise ValueError(f"{self._bundle.path}: initializer {name!r}: {error}") from error

"""Blueprints: a bundle without weights, and for each weight the expression that makes it. numpy only.

A blueprint is gzipped JSON: programs, weights with their expressions, ONNX graphs, front end settings. It is generated
(see blueprints.py), never written by hand, and the same model always gives the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyon_export.expressions import Expression, from_json, to_json

VERSION = 1
SUFFIX = ".json.gz"
_MAX_BYTES = 64 << 20  # unpacked; the largest published model needs about 2 MiB


class BlueprintError(Exception):
    """A blueprint is missing, damaged or of another version; says which file and what to try."""


@dataclass(frozen=True)
class Weight:
    """A tensor of the bundle. layout: "plain", or "panel16" of a matrix (N, K); shape is that of the plain tensor."""

    expression: Expression
    layout: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OnnxProgram:
    """graph: serialized ModelProto with external initializers; initializers: name -> where in the bundle they are."""

    graph: bytes
    initializers: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Blueprint:
    """One architecture. config: the sizes of the model it fits. frontend: the manifest's section.

    Files hold f32; `quantize` makes the others from it and keeps the recipe it followed in `quantization`.
    """

    name: str
    family: str
    task: str
    recipe: str
    config: dict[str, int]
    frontend: dict[str, Any]
    programs: dict[str, dict[str, Any]]
    weights: dict[str, Weight]
    onnx: dict[str, OnnxProgram]
    quantization: dict[str, Any] = field(default_factory=dict)

    def fits(self, config: Mapping[str, int]) -> bool:
        return self.config == dict(config)

    def to_bytes(self) -> bytes:
        """The file's content; no time stamp, so equal blueprints are equal files."""
        data = {
            "blueprint": VERSION,
            "name": self.name,
            "family": self.family,
            "task": self.task,
            "recipe": self.recipe,
            "config": self.config,
            "frontend": self.frontend,
            "programs": self.programs,
            "weights": {
                name: {"layout": w.layout, "shape": list(w.shape), "expression": to_json(w.expression)}
                for name, w in self.weights.items()
            },
            "onnx": {
                name: {
                    "graph": base64.b64encode(zlib.compress(program.graph, 9)).decode(),
                    "initializers": program.initializers,
                }
                for name, program in self.onnx.items()
            },
        }
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def load(path: str | os.PathLike[str]) -> Blueprint:
    """Reads a blueprint file. Raises BlueprintError."""
    try:
        return from_bytes(Path(path).read_bytes())
    except OSError as error:
        raise BlueprintError(f"{os.fspath(path)}: {error.strerror or error} (is the package complete?)") from error
    except BlueprintError as error:
        raise BlueprintError(f"{os.fspath(path)}: {error}") from error


def from_bytes(content: bytes) -> Blueprint:
    """Inverse of `Blueprint.to_bytes`. Raises BlueprintError for anything else."""
    try:
        data = json.loads(_inflate(content, gzip_header=True))
        if data["blueprint"] != VERSION:
            raise BlueprintError(f"blueprint version {data['blueprint']}, this package reads {VERSION}")
        return Blueprint(
            name=data["name"],
            family=data["family"],
            task=data["task"],
            recipe=data["recipe"],
            config=data["config"],
            frontend=data["frontend"],
            programs=data["programs"],
            weights={
                name: Weight(from_json(row["expression"]), row["layout"], tuple(row["shape"]))
                for name, row in data["weights"].items()
            },
            onnx={
                name: OnnxProgram(_inflate(base64.b64decode(row["graph"])), row["initializers"])
                for name, row in data["onnx"].items()
            },
        )
    except (zlib.error, EOFError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BlueprintError(f"not a blueprint ({error!r}); reinstall the package") from error


def _inflate(content: bytes, gzip_header: bool = False) -> bytes:
    inflater = zlib.decompressobj(31 if gzip_header else 15)
    data = inflater.decompress(content, _MAX_BYTES)
    if inflater.unconsumed_tail or not inflater.eof:
        raise BlueprintError("blueprint: larger than any model needs, or cut off (reinstall the package)")
    return data

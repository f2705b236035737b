"""A model exported from any PyTorch module: arrays in, arrays out, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyon.engines import EngineRack, engine_maker
from anyon.errors import BundleError, OptionError, translated
from anyon.placement import Placement

if TYPE_CHECKING:
    from anyon.bundle import Bundle
    from anyon.selection import EngineOptions

PROGRAM = "main"
_KEPT_ENGINES = max(2, os.cpu_count() or 1)
_NUMPY = {
    "f32": np.float32,
    "f16": np.float16,
    "bf16": np.uint16,
    "f64": np.float64,
    "i8": np.int8,
    "u8": np.uint8,
    "i16": np.int16,
    "u16": np.uint16,
    "i32": np.int32,
    "u32": np.uint32,
    "i64": np.int64,
    "u64": np.uint64,
    "bool": np.bool_,
}


class GraphModel:
    """What `anyon.export` wrote, loaded by `anyon.load`: immutable, shared by any number of threads."""

    def __init__(
        self,
        bundle: Bundle,
        options: EngineOptions,
        *,
        origin: Mapping[str, Any],
    ) -> None:
        if PROGRAM not in bundle.programs:
            raise BundleError(f"{bundle.path}: has no program {PROGRAM!r} (export the module again)")
        self._bundle = bundle
        self._origin = dict(origin)
        self.threads = options.threads
        make, first, self._placement = engine_maker(bundle, options)
        self._inputs = first.sessions[PROGRAM].inputs
        self._outputs = first.sessions[PROGRAM].outputs
        self._rack = EngineRack(make, _KEPT_ENGINES)
        self._rack.give_back(first)

    @property
    def placement(self) -> list[Placement]:
        """Which backend, device, ISA and precision run the graph, and why."""
        return list(self._placement)

    @property
    def inputs(self) -> list[tuple[str, str, list[str]]]:
        """(name, dtype, dimensions) of every input; a dimension is a number or a name."""
        return list(self._inputs)

    @property
    def outputs(self) -> list[tuple[str, str, list[str]]]:
        """(name, dtype, dimensions) of every output; "?" is a dimension that only a run knows."""
        return list(self._outputs)

    @property
    def info(self) -> dict[str, Any]:
        """What was loaded: name, family, recipe, the bundle's path and size."""
        return {
            "name": self._bundle.manifest.get("name", ""),
            "family": self._bundle.family,
            "recipe": self._bundle.recipe,
            "origin": dict(self._origin),
            "bundle": str(self._bundle.path),
            "bytes": self._bundle.native.file_bytes,
            "threads": self.threads,
        }

    def run(self, *arrays: Any, **named: Any) -> dict[str, NDArray[Any]]:
        """Runs once. Arguments are arrays (or what numpy makes arrays of) in the order of `inputs`, or by name.

        Returns the outputs by name; bfloat16 values are their bits as uint16, going in and coming out.
        Raises OptionError for an array that is missing, unknown, or of another type, BackendError for what the engine
        refuses while it runs.
        """
        inputs = [
            self._array(row, value) for row, value in zip(self._inputs, self._ordered(arrays, named), strict=True)
        ]
        engine = self._rack.take()
        try:
            with translated():
                results = engine.sessions[PROGRAM].run(inputs)
        finally:
            self._rack.give_back(engine)
        return {row[0]: result for row, result in zip(self._outputs, results, strict=True)}

    __call__ = run

    def _ordered(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        names = [row[0] for row in self._inputs]
        if len(arrays) > len(names):
            raise OptionError(f"run: {len(arrays)} arrays given, the model takes {', '.join(names) or 'none'}")
        given = dict(zip(names, arrays, strict=False))
        for name, value in named.items():
            if name not in names or name in given:
                problem = "is given twice" if name in given else "is unknown"
                raise OptionError(f"run: input {name!r} {problem}; the model takes {', '.join(names)}")
            given[name] = value
        missing = [name for name in names if name not in given]
        if missing:
            raise OptionError(f"run: input {', '.join(missing)} is missing; the model takes {', '.join(names)}")
        return [given[name] for name in names]

    @staticmethod
    def _array(row: tuple[str, str, list[str]], value: Any) -> NDArray[Any]:
        name, dtype, _ = row
        array = np.asarray(value)
        if array.dtype != _NUMPY[dtype]:
            raise OptionError(
                f"run: input {name!r} is {array.dtype}, the model takes {dtype} "
                f"(convert it: array.astype(numpy.{np.dtype(_NUMPY[dtype]).name}))"
            )
        return np.array(array, order="C", copy=None)

    def __repr__(self) -> str:
        engines = ", ".join(f"{place.program} on {place.backend}" for place in self._placement)
        return f"<GraphModel {self._bundle.manifest.get('name', '')}: {engines}>"

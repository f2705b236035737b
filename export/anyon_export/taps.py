"""Programs that also give what their products read, for calibration."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from anyon_export.blueprint import Blueprint

_LONGEST = 1 << 20  # bound of a tap's length, which the program's own dimensions bound further


def tap(blueprint: Blueprint, weights: Collection[str]) -> tuple[Blueprint, dict[str, dict[str, list[str]]]]:
    """blueprint: of recipe f32. weights: matrices that `linear` reads.

    Returns a blueprint whose programs have each such input as one more output behind their own, and for each program
    the taps: name of the value -> the weights that read it."""
    programs: dict[str, dict[str, Any]] = {}
    taps: dict[str, dict[str, list[str]]] = {}
    for name, program in blueprint.programs.items():
        readers: dict[str, list[str]] = {}
        widths: dict[str, int] = {}
        for op in program["ops"]:
            if op["op"] == "linear" and op["inputs"][1] in weights:
                readers.setdefault(op["inputs"][0], []).append(op["inputs"][1])
                widths[op["inputs"][0]] = op["attrs"]["k"]
        given = {value["name"] for value in program["outputs"]}
        added = {value: f"tap{index}" for index, value in enumerate(readers) if value not in given}
        outputs = [
            {"name": value, "dtype": "f32", "shape": ["batch", dim, widths[value]]} for value, dim in added.items()
        ]
        dims = program["dims"] | {dim: [1, _LONGEST] for dim in added.values()}
        programs[name] = {**program, "dims": dims, "outputs": [*program["outputs"], *outputs]}
        taps[name] = readers
    return replace(blueprint, programs=programs, onnx={}), taps

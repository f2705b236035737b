"""Turns the space in which a table's rows lie before they are rounded: exact in float, far kinder to 4 bits.

A few columns of an output head hold weights many times as large as the rest, so one step fits no group of a row. With
an orthogonal V the table becomes W V: the product takes its inputs through Vᵀ first, a look-up its rows through V.
V holds the principal directions of W, most of it first, each block of them mixed evenly: the columns of a group are of
one size, and what is large has groups of its own. (Ashkboos et al. 2024, "QuaRot", rotates by Hadamard matrices alone;
on Whisper's heads the principal directions halve what is left of the error.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from anyon_export.blueprint import Blueprint, Weight
from anyon_export.equalise import matrix_of
from anyon_export.expressions import panel16, product, rotation, transpose

Op = dict[str, Any]
DOWN, UP = ".down", ".up"  # the matrices beside a table: Vᵀ for inputs of its product, V for rows that were looked up


def rotate(blueprint: Blueprint, tables: Sequence[str]) -> Blueprint:
    """An f32 blueprint whose tables (names of matrices that linear and embedding read) are rotated."""
    weights: dict[str, Weight] = {}
    for name, weight in blueprint.weights.items():
        weights[name] = weight
        if name in tables:
            matrix = matrix_of(weight)
            basis = rotation(matrix)
            weights[name] = _packed(product(matrix, basis))
            weights[name + DOWN], weights[name + UP] = _packed(transpose(basis, (1, 0))), _packed(basis)
    programs = {
        name: {**program, "ops": [made for op in program["ops"] for made in _rotated(op, tables)]}
        for name, program in blueprint.programs.items()
    }
    return replace(blueprint, weights=weights, programs=programs)


def _packed(matrix: Any) -> Weight:
    return Weight(panel16(matrix), "panel16", matrix.shape)


def _rotated(op: Op, tables: Sequence[str]) -> list[Op]:
    table = op["inputs"][1] if len(op["inputs"]) > 1 else ""
    if table not in tables:
        return [op]
    if op["op"] == "embedding":
        (output,), width = op["outputs"], op["attrs"]["width"]
        inner = f"{output}.rotated"
        return [{**op, "outputs": [inner]}, _linear(f"{op['name']}:up", inner, table + UP, output, width)]
    x = op["inputs"][0]
    inner = f"{op['outputs'][0]}.input"
    turned = {**op, "inputs": [inner, *op["inputs"][1:]]}
    return [_linear(f"{op['name']}:down", x, table + DOWN, inner, op["attrs"]["k"]), turned]


def _linear(name: str, x: str, weight: str, output: str, size: int) -> Op:
    attrs = {"k": size, "n": size, "activation": "none"}
    return {"op": "linear", "name": name, "inputs": [x, weight, "", ""], "outputs": [output], "attrs": attrs}

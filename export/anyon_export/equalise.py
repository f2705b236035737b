"""Evens out columns of matrices that read a layer norm, at the norm's expense: exact in float, kinder to 8 bits.

A row of int8 has one scale, so one large column makes all others coarse; so does a large activation in its token.
Columns are multiplied by s and what the norm gives by 1 / s; the product stays. With s from the weights alone this is
data-free (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction"); with s from
measured activations it is SmoothQuant (Xiao et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from anyon_export.blueprint import Blueprint, Weight
from anyon_export.expressions import (
    Expression,
    divided,
    equaliser,
    hypotenuse,
    panel16,
    root_mean_square,
    times_columns,
)

Op = dict[str, Any]
_SELECTING = "gather"  # passes rows on as they are


@dataclass(frozen=True)
class Site:
    """A layer norm and every matrix that reads what it gives; names of tensors."""

    scale: str
    bias: str
    matrices: tuple[str, ...]


def find_sites(blueprint: Blueprint) -> list[Site]:
    """Norms whose result nothing reads but linear, and whose matrices nothing else reads."""
    ops = [op for program in blueprint.programs.values() for op in program["ops"]]
    readers: dict[str, list[Op]] = {}
    for op in ops:
        for name in op["inputs"]:
            readers.setdefault(name, []).append(op)
    sites = []
    for program in blueprint.programs.values():
        outputs = {value["name"] for value in program["outputs"]}
        for op in program["ops"]:
            if op["op"] != "layer_norm" or op["outputs"][0] in outputs:
                continue
            matrices = _matrices(program["ops"], op["outputs"][0])
            if matrices and all(reader["op"] == "linear" for name in matrices for reader in readers[name]):
                sites.append(Site(op["inputs"][1], op["inputs"][2], tuple(matrices)))
    return sites


def _matrices(ops: list[Op], value: str) -> list[str]:
    """Weights of the linears that read the value; none when anything else reads it."""
    found: list[str] = []
    for op in ops:
        if value not in op["inputs"]:
            continue
        if op["op"] == _SELECTING and op["inputs"][0] == value:
            found += _matrices(ops, op["outputs"][0]) or [""]
        elif op["op"] == "linear" and op["inputs"][0] == value and op["inputs"][3] != value:
            found.append(op["inputs"][1])
        else:
            return []
    return [] if "" in found else list(dict.fromkeys(found))


def columns_of(
    blueprint: Blueprint, site: Site, powers: tuple[float, float], moments: Mapping[str, Expression]
) -> Expression:
    """s (K,), see expressions.equaliser. moments: of the inputs of each matrix that calibration measured; without them
    the norm's own weight and bias stand for the inputs' sizes."""
    if site.matrices[0] in moments:
        sizes = root_mean_square(moments[site.matrices[0]])
    else:
        sizes = hypotenuse(*(blueprint.weights[name].expression for name in (site.scale, site.bias)))
    return equaliser(sizes, [matrix_of(blueprint.weights[name]) for name in site.matrices], powers)


def matrix_of(weight: Weight) -> Expression:
    """What was packed into panels."""
    return weight.expression.of[0]


def equalise(blueprint: Blueprint, scales: Mapping[Site, Expression]) -> Blueprint:
    """An f32 blueprint with the columns of each site's matrices multiplied by its s (K,)."""
    weights = dict(blueprint.weights)
    for site, scale in scales.items():
        for name in (site.scale, site.bias):
            expression = divided(weights[name].expression, scale)
            weights[name] = Weight(expression, "plain", expression.shape)
        for name in site.matrices:
            matrix = times_columns(matrix_of(weights[name]), scale)
            weights[name] = Weight(panel16(matrix), "panel16", matrix.shape)
    return replace(blueprint, weights=weights)

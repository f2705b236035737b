"""Lowered programs and their ONNX graphs -> one blueprint: weights shared between programs, initializers located."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from anyon_export.blueprint import Blueprint, OnnxProgram, Weight
from anyon_export.expressions import Expression, param
from anyon_export.lowering import LoweredProgram


def assemble(
    *,
    name: str,
    family: str,
    task: str,
    recipe: str,
    config: Mapping[str, int],
    frontend: Mapping[str, Any],
    lowered: Mapping[str, LoweredProgram],
    graphs: Mapping[str, onnx.ModelProto],
) -> Blueprint:
    """lowered and graphs have the same program names. ValueError when two programs disagree about a weight's name."""
    weights: dict[str, Weight] = {}
    for program, result in lowered.items():
        for weight, expression in _in_order_of_use(result):
            known = weights.get(weight)
            if known is not None and known.expression != expression:
                raise ValueError(f"program {program!r}: weight {weight!r} differs from another program's")
            weights[weight] = _weight(expression)
    onnx_programs = {}
    for program, model in graphs.items():
        initializers = {}
        for tensor in model.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                initializers[tensor.name] = _locate(tensor.name, tuple(tensor.dims), weights)
        onnx_programs[program] = OnnxProgram(_stripped(model), initializers)
    return Blueprint(
        name=name,
        family=family,
        task=task,
        recipe=recipe,
        config=dict(config),
        frontend=dict(frontend),
        programs={program: result.program for program, result in lowered.items()},
        weights=weights,
        onnx=onnx_programs,
    )


def _in_order_of_use(result: LoweredProgram) -> list[tuple[str, Expression]]:
    names = dict.fromkeys(name for op in result.program["ops"] for name in op["inputs"] if name in result.weights)
    return [(name, result.weights[name]) for name in names]


def _weight(expression: Expression) -> Weight:
    if expression.op == "panel16":
        return Weight(expression, "panel16", expression.of[0].shape)
    return Weight(expression, "plain", expression.shape)


def _locate(name: str, shape: tuple[int, ...], weights: dict[str, Weight]) -> dict[str, Any]:
    """Where a parameter lies in the bundle; one that no native weight contains is added as it is."""
    wanted = param(name, shape)
    for stored, weight in weights.items():
        matrix = weight.expression.of[0] if weight.layout == "panel16" else weight.expression
        first = 0
        for part in matrix.of if matrix.op == "rows" else (matrix,):
            last = first + part.shape[0]
            row = {"tensor": stored, "layout": weight.layout, "rows": [first, last], "shape": list(shape)}
            if part == wanted:
                return row
            if part.op == "reshape" and part.of[0].op == "transpose" and part.of[0].of[0] == wanted:
                perm = part.of[0].attrs["perm"]
                inverse = sorted(range(len(perm)), key=perm.__getitem__)
                return {**row, "view": list(part.of[0].shape), "perm": inverse}
            first = last
    weights[name] = _weight(wanted)
    return {"tensor": name, "layout": "plain", "rows": [0, shape[0]], "shape": list(shape)}


def _stripped(model: onnx.ModelProto) -> bytes:
    """Serialized without shape annotations, which every engine infers again."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    content: bytes = copy.SerializeToString(deterministic=True)
    return content

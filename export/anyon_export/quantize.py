"""A blueprint of f32 weights becomes one of a recipe: programs read quantised tensors, expressions make them.

numpy only.

linear, conv1d and embedding get the op that reads their weight's scheme; a tied table serves its embedding and its
linear from the same tensors. The ONNX graphs get the same values through DequantizeLinear.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from anyon_export.attention_i8 import attention_i8
from anyon_export.blueprint import Blueprint, OnnxProgram, Weight
from anyon_export.equalise import Site, columns_of, equalise, find_sites, matrix_of
from anyon_export.expressions import (
    Expression,
    counting,
    half,
    inverse,
    param,
    product,
    quantised,
    rotation,
    times_columns,
    transpose,
)
from anyon_export.onnx_weights import quantise_graph
from anyon_export.rotate import DOWN, UP, rotate
from anyon_quantization.int4 import Int4
from anyon_quantization.matrix import QuantizationError
from anyon_quantization.recipes import TABLES, Recipe
from anyon_quantization.schemes import scheme

Op = dict[str, Any]
_ROWS, _FLOATS = ".rows", ".floats"  # behind a table's name: the numbers of its rows; what an op gives of them
MOMENTS = "moments:"  # before a weight's name: the tensor (K, K) that calibration measured for it

# (op, kind of scheme) -> the op that reads it, and the tensors it reads beside the matrix. f16 needs no op of its own.
_OPS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("linear", "int8"): ("linear_i8", ("scale", "sum")),
    ("conv1d", "int8"): ("conv1d_i8", ("scale", "sum")),
    ("embedding", "int8"): ("embedding_i8", ("scale",)),
    ("linear", "int4"): ("linear_i4", ("scale", "zero")),
    ("embedding", "int4"): ("embedding_i4", ("scale", "zero")),
}
_PRODUCTS = ("linear_i8", "linear_i4")  # what can round its inputs to 16 bits


@dataclass(frozen=True)
class _Choice:
    """What becomes of one weight: scheme by full name, and its kind (f32, f16, int8, int4)."""

    scheme: str
    table: bool
    shape: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        return self.scheme.partition("-")[0]


def quantize(blueprint: Blueprint, recipe: Recipe, calibrated: Collection[str] = ()) -> Blueprint:
    """blueprint: of recipe f32. calibrated: weights that GPTQ rounds; for each of them the tensors that the expressions
    read must hold MOMENTS + name, the mean of x xᵀ (K, K) over its inputs x in the f32 model.

    Raises QuantizationError when the recipe asks for what no op can read, or names no weight of this model with one of
    its patterns."""
    if blueprint.recipe != "f32":
        raise QuantizationError(f"{blueprint.name}: has recipe {blueprint.recipe!r} already; start from f32")
    if recipe.name == "f32":
        return blueprint
    choices = {name: _choose(name, weight, recipe) for name, weight in blueprint.weights.items()}
    unused = recipe.unused([name for name, choice in choices.items() if choice is not None])
    if unused:
        raise QuantizationError(f"recipe {recipe.name!r}: {unused[0]!r} matches no weight of {blueprint.name}")
    chosen = {name: choice for name, choice in choices.items() if choice is not None and choice.scheme != "f32"}
    moments = {name: param(MOMENTS + name, matrix_of(blueprint.weights[name]).shape[1:] * 2) for name in calibrated}
    # A table that is stored in floats loses nothing, so there is nothing to turn it for.
    rotated = [name for name, choice in chosen.items() if recipe.rotates(name) and choice.kind in ("int8", "int4")]
    moments |= {
        name: _rotated(moments[name], matrix_of(blueprint.weights[name])) for name in rotated if name in moments
    }
    blueprint = rotate(blueprint, rotated)
    # The squares beside a table lose less than the table does.
    squares = {name: "f16" if chosen[name].kind == "int8" else "int8" for name in rotated}
    chosen |= {name + end: _Choice(square, False) for name, square in squares.items() for end in (DOWN, UP)}
    scales = _equalisers(blueprint, chosen, recipe, moments)
    for site, columns in scales.items():
        moments |= {name: _divided(moments[name], columns) for name in site.matrices if name in moments}
    blueprint = equalise(blueprint, scales)
    programs = {
        name: _program(program, chosen, recipe, name in recipe.wide) for name, program in blueprint.programs.items()
    }
    read = {name for program in programs.values() for op in program["ops"] for name in op["inputs"]}
    weights: dict[str, Weight] = {}
    for name, weight in blueprint.weights.items():
        weights |= _weights(name, weight, chosen.get(name), moments.get(name))
        if name + _ROWS in read:
            weights[name + _ROWS] = Weight(counting(weight.shape[0]), "plain", weight.shape[:1])
    schemes = {name: choice.scheme for name, choice in chosen.items()}
    onnx = {
        name: OnnxProgram(*quantise_graph(program.graph, program.initializers, schemes, squares))
        for name, program in blueprint.onnx.items()
    }
    return replace(
        blueprint, recipe=recipe.name, quantization=recipe.to_json(), programs=programs, weights=weights, onnx=onnx
    )


def _rotated(moments: Expression, matrix: Expression) -> Expression:
    """Of the inputs Vᵀ x that a rotated matrix reads."""
    basis = rotation(matrix)
    return product(product(transpose(basis, (1, 0)), moments), basis)


def _divided(moments: Expression, columns: Expression) -> Expression:
    """Of the inputs x / s that an equalised matrix reads."""
    half_way = times_columns(moments, inverse(columns))
    return times_columns(transpose(half_way, (1, 0)), inverse(columns))


def _equalisers(
    blueprint: Blueprint, chosen: Mapping[str, _Choice], recipe: Recipe, moments: Mapping[str, Expression]
) -> dict[Site, Expression]:
    """Where the recipe says so and every matrix behind the norm is stored in integers."""
    integers = {name for name, choice in chosen.items() if choice.kind in ("int8", "int4")}
    scales = {}
    for site in find_sites(blueprint):
        powers = recipe.powers_of(site.scale)
        if any(powers) and integers.issuperset(site.matrices):
            scales[site] = columns_of(blueprint, site, powers, moments)
    return scales


def _choose(name: str, weight: Weight, recipe: Recipe) -> _Choice | None:
    """None for biases and norms, which stay f32."""
    if len(weight.shape) != 2:
        return None
    table = weight.layout == "plain"
    choice = _Choice(recipe.scheme_of(name, table), table, weight.shape)
    if table and choice.kind not in TABLES:
        raise QuantizationError(
            f"recipe {recipe.name!r}: {name} is a table, which is {' or '.join(TABLES)}, not {choice.scheme}"
        )
    return choice


def _weights(name: str, weight: Weight, choice: _Choice | None, moments: Expression | None) -> dict[str, Weight]:
    if choice is None:
        return {name: weight}
    if choice.table:
        return _table(name, weight, choice)
    integers = choice.kind in ("int8", "int4")
    tensors = quantised(matrix_of(weight), choice.scheme, moments if integers else None)
    layout = scheme(choice.scheme).layout
    made = {name: Weight(tensors[""], layout, weight.shape)}
    for role, expression in tensors.items():
        if role:
            made[f"{name}.{role}"] = Weight(expression, "plain", expression.shape)
    return made


def _table(name: str, weight: Weight, choice: _Choice) -> dict[str, Weight]:
    if choice.kind == "f16":
        return {name: Weight(half(weight.expression), "plain", weight.shape)}
    tensors = quantised(weight.expression, choice.scheme, None)
    return {
        name: Weight(tensors[""], scheme(choice.scheme).layout, weight.shape),
        f"{name}.scale": Weight(tensors["scale"], "plain", tensors["scale"].shape),
    }


def _program(program: Mapping[str, Any], chosen: Mapping[str, _Choice], recipe: Recipe, wide: bool) -> dict[str, Any]:
    ops = [made for op in program["ops"] for made in _reading_tables(_op(op, chosen, recipe), chosen)]
    if wide:
        ops = [{**op, "attrs": {**op["attrs"], "input_bits": 16}} if op["op"] in _PRODUCTS else op for op in ops]
    rewritten = {**program, "ops": ops}
    return attention_i8(rewritten) if recipe.attention == "i8" else rewritten


def _reading_tables(op: Op, chosen: Mapping[str, _Choice]) -> list[Op]:
    """The op, and before it a look-up of all rows of every table in integers that it adds as it is."""
    added = [name for name in op["inputs"][2:] if name in chosen and chosen[name].table and chosen[name].kind == "int8"]
    ops = []
    for name in added:
        rows, width = chosen[name].shape
        inputs = [name + _ROWS, name, f"{name}.scale"]
        attrs = {"rows": rows, "width": width}
        ops.append({"op": "embedding_i8", "name": name, "inputs": inputs, "outputs": [name + _FLOATS], "attrs": attrs})
    return [*ops, {**op, "inputs": [name + _FLOATS if name in added else name for name in op["inputs"]]}]


def _op(op: Op, chosen: Mapping[str, _Choice], recipe: Recipe) -> Op:
    choice = chosen.get(op["inputs"][1]) if len(op["inputs"]) > 1 else None
    if choice is None or choice.kind == "f16":
        return op
    if (op["op"], choice.kind) not in _OPS:
        raise QuantizationError(
            f"recipe {recipe.name!r}: {op['inputs'][1]}: {op['op']} cannot read {choice.scheme} (int8 or f16 fit)"
        )
    name, roles = _OPS[op["op"], choice.kind]
    weight = op["inputs"][1]
    inputs = [op["inputs"][0], weight, *(f"{weight}.{role}" for role in roles), *op["inputs"][2:]]
    return {**op, "op": name, "inputs": inputs, "attrs": _attributes(op["attrs"], choice)}


def _attributes(attrs: Mapping[str, Any], choice: _Choice) -> dict[str, Any]:
    """The layout is the scheme's own; int4 says its group."""
    kept = {key: value for key, value in attrs.items() if key != "layout"}
    chosen = scheme(choice.scheme)
    return {**kept, "group": chosen.group} if isinstance(chosen, Int4) else kept

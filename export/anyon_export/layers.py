"""What quantising does to each weight: its scheme, the bytes it takes, and how far rounding moved it. numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anyon_export.blueprint import Blueprint
from anyon_export.expressions import Array, Evaluator, Expression
from anyon_quantization.schemes import scheme


@dataclass(frozen=True)
class Layer:
    """A weight of more than one dimension. bytes: with its scales; sqnr: signal over rounding error in decibels, None
    where nothing was rounded; noise: of the relative errors (error over signal) of all layers, the share up to here, in
    order of use."""

    name: str
    scheme: str
    shape: tuple[int, ...]
    bytes: int
    sqnr: float | None
    noise: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_layers(blueprint: Blueprint, tensors: Mapping[str, Array]) -> list[Layer]:
    """blueprint: quantised or not; tensors: the checkpoint's. Reads and quantises every weight once."""
    evaluate = Evaluator(tensors)
    rows: list[tuple[str, str, tuple[int, ...], int, float, float]] = []
    for name, weight in blueprint.weights.items():
        if len(weight.shape) != 2:
            continue
        parts = [w.expression for other, w in blueprint.weights.items() if other.rpartition(".")[0] == name]
        quantised = [part for part in parts if part.op == "quantised" and part.of == weight.expression.of]
        size = weight.expression.nbytes + sum(part.nbytes for part in quantised)
        signal, error = _energies(evaluate, weight.expression)
        rows.append((name, _scheme_of(weight.expression), weight.shape, size, signal, error))
    total, so_far = sum(row[5] / row[4] for row in rows if row[4]) or 1.0, 0.0
    layers = []
    for name, chosen, shape, size, signal, error in rows:
        so_far += error / signal if signal else 0.0
        sqnr = round(10 * math.log10(signal / error), 2) if error and signal else None
        layers.append(Layer(name, chosen, shape, size, sqnr, round(so_far / total, 4)))
    return layers


def _scheme_of(expression: Expression) -> str:
    if expression.op == "quantised":
        return str(expression.attrs["scheme"])
    return "f16" if expression.dtype == "float16" else "f32"


def _energies(evaluate: Evaluator, expression: Expression) -> tuple[float, float]:
    """Squares of the weight and of its rounding error, summed."""
    if expression.op not in ("quantised", "half"):
        return 1.0, 0.0
    before = evaluate(expression.of[0])
    if expression.op == "half":
        after = evaluate(expression).astype(np.float32)
    else:
        chosen = scheme(str(expression.attrs["scheme"]))
        after = chosen.unpack(chosen.pack(before, *(evaluate(part) for part in expression.of[1:])), *before.shape)
    after -= before
    return float(np.vdot(before, before)), float(np.vdot(after, after))

"""Computes at export what does not depend on the input: ops over constants, transposes and reshapes of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from anyon_export.expressions import reshape, transpose
from anyon_export.lowering.graph import Graph, Node

Array = npt.NDArray[Any]

_LARGEST = 1 << 16  # elements; a folded constant is written out in the program


def _axes(inputs: list[Array]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in inputs[1])


_EVALUATE: dict[str, Callable[[Node, list[Array]], Array]] = {
    "Identity": lambda node, x: x[0],
    "CastLike": lambda node, x: x[0].astype(x[1].dtype),
    "Transpose": lambda node, x: x[0].transpose(node.attrs["perm"]),
    "Unsqueeze": lambda node, x: np.expand_dims(x[0], _axes(x)),
    "Squeeze": lambda node, x: np.squeeze(x[0], _axes(x) if len(x) > 1 else None),
    "Reshape": lambda node, x: x[0].reshape([int(size) for size in x[1]]),
    "Concat": lambda node, x: np.concatenate(x, axis=node.attrs["axis"]),
    "Add": lambda node, x: x[0] + x[1],
    "Sub": lambda node, x: x[0] - x[1],
    "Mul": lambda node, x: x[0] * x[1],
}


def fold_constants(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "Constant":
            value = node.attrs.get("value", node.attrs.get("value_ints", node.attrs.get("value_floats")))
            if value is not None:
                _become_constant(graph, node, np.asarray(value))
        elif node.inputs and node.inputs[0] in graph.weights:
            _fold_weight(graph, node)
        elif node.op in _EVALUATE and all(name in graph.constants for name in node.inputs):
            result = _EVALUATE[node.op](node, [graph.constants[name] for name in node.inputs])
            if result.size <= _LARGEST:
                _become_constant(graph, node, result)


def _fold_weight(graph: Graph, node: Node) -> None:
    weight = graph.weights[node.inputs[0]]
    if node.op == "Transpose":
        folded = transpose(weight, node.attrs["perm"])
    elif node.op == "Reshape" and node.inputs[1] in graph.constants:
        shape = graph.constants[node.inputs[1]]
        if (shape <= 0).any():
            return
        folded = reshape(weight, [int(size) for size in shape])
    else:
        return
    output = node.outputs[0]
    graph.remove(node)
    graph.redirect(output, graph.add_weight(folded, output))


def _become_constant(graph: Graph, node: Node, value: Array) -> None:
    graph.remove(node)
    graph.constants[node.outputs[0]] = np.ascontiguousarray(value)

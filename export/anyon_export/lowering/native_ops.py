"""Gives ops that stayed unfused but have a kernel of their own their native names."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node

_UNARY = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}


def native_ops(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "Add" and _is_float(graph, node):
            graph.replace(node, Node("add", node.inputs, node.outputs))
        elif node.op == "Gelu":
            name = "gelu_tanh" if node.attrs.get("approximate", "none") == "tanh" else "gelu"
            graph.replace(node, Node(name, node.inputs, node.outputs))
        elif node.op in _UNARY:
            graph.replace(node, Node(_UNARY[node.op], node.inputs, node.outputs))


def _is_float(graph: Graph, node: Node) -> bool:
    known = graph.types.get(node.outputs[0])
    return known is not None and known.dtype == "f32"

"""LayerNormalization over the last axis -> layer_norm."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node


def normalization(graph: Graph) -> None:
    for node in list(graph.nodes):
        shape = graph.shape(node.inputs[0]) if node.inputs else None
        if node.op != "LayerNormalization" or len(node.inputs) != 3 or len(node.outputs) != 1 or shape is None:
            continue
        if node.attrs.get("axis", -1) in (-1, len(shape) - 1):
            attrs = {"epsilon": node.attrs.get("epsilon", 1e-5)}
            graph.replace(node, Node("layer_norm", node.inputs, node.outputs, attrs))

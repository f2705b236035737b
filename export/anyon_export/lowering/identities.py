"""Removes ops that change nothing: Identity, Reshape to the same shape, Cast to the same type."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node


def identities(graph: Graph) -> None:
    for node in list(graph.nodes):
        if _changes_nothing(graph, node) and node.outputs[0] not in graph.outputs:
            graph.remove(node)
            graph.redirect(node.outputs[0], node.inputs[0])


def _changes_nothing(graph: Graph, node: Node) -> bool:
    if node.op == "Identity":
        return True
    if node.op == "Reshape":
        before, after = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
        target = graph.constants.get(node.inputs[1])
        if target is not None and target.tolist() == [-1] and before is not None and len(before) == 1:
            return True
        return before is not None and before == after
    if node.op in ("Cast", "CastLike"):
        source, result = graph.types.get(node.inputs[0]), graph.types.get(node.outputs[0])
        return source is not None and result is not None and source.dtype == result.dtype
    return False

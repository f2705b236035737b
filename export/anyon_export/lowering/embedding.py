"""Gather of rows of a weight by ids -> embedding; Gather of a value by a list of indices -> gather."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node


def embedding(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op != "Gather":
            continue
        table, index = node.inputs
        axis, ids = node.attrs.get("axis", 0), graph.shape(index)
        if table in graph.weights:
            rows, *width = graph.weights[table].shape
            if axis == 0 and len(width) == 1 and ids is not None and len(ids) == 2:
                attrs = {"rows": rows, "width": width[0], "layout": "rows"}
                graph.replace(node, Node("embedding", [index, table], node.outputs, attrs))
        elif ids is not None and len(ids) == 1:
            graph.replace(node, Node("gather", [table, index], node.outputs, {"axis": axis}))

"""MatMul(x, weight) [+ bias] -> linear, the weight as (n, k) rows. K-major weights are transposed back."""

from __future__ import annotations

from anyon_export.expressions import transpose
from anyon_export.lowering.graph import Graph, Node


def linear(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "MatMul" and node.inputs[1] in graph.weights and node.inputs[0] not in graph.weights:
            _convert(graph, node)


def _convert(graph: Graph, node: Node) -> None:
    weight = graph.weights[node.inputs[1]]
    if len(weight.shape) != 2:
        return
    k, n = weight.shape
    rows = transpose(weight, [1, 0])
    name = graph.add_weight(rows, rows.attrs["name"] if rows.op == "param" else node.inputs[1] + ".rows")
    fused = Node("linear", [node.inputs[0], name, "", ""], node.outputs, {"k": k, "n": n, "activation": "none"})
    graph.replace(node, fused)
    add = graph.only_user(fused.outputs[0])
    if add is None or add.op != "Add":
        return
    bias = add.inputs[1] if add.inputs[0] == fused.outputs[0] else add.inputs[0]
    if bias in graph.weights and graph.weights[bias].shape == (n,):
        graph.absorb(fused.outputs[0], add.outputs[0])
        graph.remove(fused)
        graph.replace(add, Node("linear", [node.inputs[0], name, bias, ""], add.outputs, dict(fused.attrs)))

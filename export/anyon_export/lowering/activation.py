"""Runs an activation in the epilogue of the linear or convolution before it, when nothing else reads its input."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node


def _activation(node: Node) -> str | None:
    if node.op == "Gelu":
        return "gelu_tanh" if node.attrs.get("approximate", "none") == "tanh" else "gelu"
    return {"Relu": "relu"}.get(node.op)


def activation(graph: Graph) -> None:
    for node in list(graph.nodes):
        kind = _activation(node)
        if kind is None:
            continue
        maker = graph.made_by(node.inputs[0], "linear", "Conv")
        if maker is None or graph.only_user(node.inputs[0]) is not node:
            continue
        if maker.attrs.get("activation", "none") != "none" or (maker.op == "linear" and maker.inputs[3]):
            continue
        graph.absorb(node.inputs[0], node.outputs[0])
        graph.remove(maker)
        graph.replace(node, Node(maker.op, maker.inputs, node.outputs, {**maker.attrs, "activation": kind}))

"""Removes transposes that undo each other, merges neighbours, and gives Transpose its native name."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node


def transposes(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "Transpose":
            graph.replace(node, Node("transpose", node.inputs, node.outputs, {"perm": list(node.attrs["perm"])}))
    for node in [node for node in graph.nodes if node.op == "transpose"]:
        _size_of_source(graph, node)
        _merge_with_producer(graph, node)


def _size_of_source(graph: Graph, node: Node) -> None:
    """Whoever asks for one dimension of the result asks the source instead, so that the result can vanish."""
    for user in graph.consumers(node.outputs[0]):
        start = user.attrs.get("start", 0)
        if user.op == "Shape" and start >= 0 and user.attrs.get("end") == start + 1:
            axis = node.attrs["perm"][start]
            graph.set_input(user, 0, node.inputs[0])
            user.attrs.update(start=axis, end=axis + 1)


def _merge_with_producer(graph: Graph, node: Node) -> None:
    before = graph.made_by(node.inputs[0], "transpose")
    if before is None:
        return
    perm = [before.attrs["perm"][axis] for axis in node.attrs["perm"]]
    source, output = before.inputs[0], node.outputs[0]
    if perm == list(range(len(perm))) and output not in graph.outputs:
        graph.remove(node)
        graph.redirect(output, source)
        if not graph.consumers(before.outputs[0]) and before.outputs[0] not in graph.outputs:
            graph.remove(before)
    else:
        graph.replace(node, Node("transpose", [source], [output], {"perm": perm}))

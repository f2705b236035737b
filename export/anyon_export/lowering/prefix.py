"""A learned or sinusoidal table cut to the length of the sequence it is added to: the kernel reads a prefix instead.

Slice(table, 0, time) added to a conv1d result (batch, time, cout) becomes the residual of the convolution, which may
have more rows than it needs.
"""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node


def prefix(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op != "Add":
            continue
        for value, other in (node.inputs, node.inputs[::-1]):
            conv, cut = graph.made_by(value, "conv1d"), graph.made_by(other, "Slice")
            if conv and cut and not conv.inputs[3] and graph.only_user(value) is node and _is_prefix(graph, cut, value):
                graph.absorb(value, node.outputs[0])
                graph.remove(conv)
                inputs = [*conv.inputs[:3], cut.inputs[0]]
                graph.replace(node, Node("conv1d", inputs, node.outputs, dict(conv.attrs)))
                break


def _is_prefix(graph: Graph, cut: Node, value: str) -> bool:
    """cut takes the first `time` rows of a weight (rows, cout), value being (batch, time, cout)."""
    table, shape, rows = graph.weights.get(cut.inputs[0]), graph.shape(value), graph.shape(cut.outputs[0])
    if table is None or len(table.shape) != 2 or shape is None or rows is None:
        return False
    starts, axes = graph.constants.get(cut.inputs[1]), graph.constants.get(cut.inputs[3])
    steps = graph.constants.get(cut.inputs[4]) if len(cut.inputs) > 4 else None
    return (
        starts is not None
        and starts.tolist() == [0]
        and axes is not None
        and axes.tolist() == [0]
        and (steps is None or steps.tolist() == [1])
        and rows == shape[1:]
    )

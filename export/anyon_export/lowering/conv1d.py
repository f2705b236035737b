"""Conv over (batch, channels, time) -> conv1d over (batch, time, channels) between two transposes.

Channels last is what every op around it uses and what makes a tap of the kernel one contiguous row; the `transposes`
pass then removes those that meet. The weight becomes a matrix (cout, kernel * cin), tap-major.
"""

from __future__ import annotations

from anyon_export.expressions import reshape, transpose
from anyon_export.lowering.graph import Graph, Node, Shape, ValueType


def conv1d(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "Conv" and node.inputs[1] in graph.weights and _supported(graph, node):
            _convert(graph, node)


def _supported(graph: Graph, node: Node) -> bool:
    attrs = node.attrs
    pads = attrs.get("pads", [0, 0])
    return (
        len(graph.weights[node.inputs[1]].shape) == 3
        and attrs.get("group", 1) == 1
        and attrs.get("dilations", [1]) == [1]
        and attrs.get("auto_pad", "NOTSET") == "NOTSET"
        and pads[0] == pads[1]
    )


def _convert(graph: Graph, node: Node) -> None:
    x, weight = node.inputs[0], graph.weights[node.inputs[1]]
    cout, cin, kernel = weight.shape
    matrix = reshape(transpose(weight, [0, 2, 1]), [cout, kernel * cin])
    name = graph.add_weight(matrix, f"{node.inputs[1]}.taps")
    y = node.outputs[0]
    before, after = graph.fresh(x), graph.fresh(y)
    for value, like in ((before, x), (after, y)):
        if like in graph.types:
            graph.types[value] = ValueType(graph.types[like].dtype, _swapped(graph.types[like].shape))
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    attrs = {
        "cin": cin,
        "cout": cout,
        "kernel": kernel,
        "stride": node.attrs.get("strides", [1])[0],
        "padding": node.attrs.get("pads", [0, 0])[0],
        "activation": node.attrs.get("activation", "none"),
    }
    graph.insert_before(node, Node("transpose", [x], [before], {"perm": [0, 2, 1]}))
    graph.insert_before(node, Node("conv1d", [before, name, bias, ""], [after], attrs))
    graph.replace(node, Node("transpose", [after], [y], {"perm": [0, 2, 1]}))


def _swapped(shape: Shape) -> Shape:
    return (shape[0], shape[2], shape[1])

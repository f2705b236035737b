"""Query, key and value of one attention computed from one input by one linear of stacked rows."""

from __future__ import annotations

from anyon_export.expressions import rows, zeros
from anyon_export.lowering.graph import Graph, Node, ValueType


def qkv(graph: Graph) -> None:
    for node in [node for node in graph.nodes if node.op == "attention"]:
        _fuse(graph, node)


def _fuse(graph: Graph, node: Node) -> None:
    parts = [graph.made_by(name, "linear") for name in node.inputs[:3]]
    linears = [part for part in parts if part is not None]
    if len(linears) != 3 or len(set(node.inputs[:3])) != 3:
        return
    first = linears[0]
    for part in linears:
        plain = part.attrs["activation"] == "none" and not part.inputs[3]
        if not plain or part.inputs[0] != first.inputs[0] or graph.only_user(part.outputs[0]) is not node:
            return
    position = min(linears, key=graph.nodes.index)
    sizes = [part.attrs["n"] for part in linears]
    weight = graph.add_weight(
        rows([graph.weights[part.inputs[1]] for part in linears]), joined([part.inputs[1] for part in linears])
    )
    bias = ""
    if any(part.inputs[2] for part in linears):
        biases = [graph.weights[p.inputs[2]] if p.inputs[2] else zeros([p.attrs["n"]]) for p in linears]
        bias = graph.add_weight(rows(biases), weight.removesuffix(".weight") + ".bias")
    output = graph.fresh(first.outputs[0])
    if output in graph.types:
        known = graph.types[output]
        graph.types[output] = ValueType(known.dtype, (*known.shape[:-1], sum(sizes)))
    attrs = {"k": first.attrs["k"], "n": sum(sizes), "activation": "none"}
    graph.insert_before(position, Node("linear", [first.inputs[0], weight, bias, ""], [output], attrs))
    offset = 0
    for index, (role, size) in enumerate(zip("qkv", sizes, strict=True)):
        graph.set_input(node, index, output)
        node.attrs[f"{role}_offset"] = offset
        offset += size
    for part in linears:
        graph.absorb(part.outputs[0], output)
        graph.remove(part)


def joined(names: list[str]) -> str:
    """a.query.weight, a.key.weight, a.value.weight -> a.query_key_value.weight."""
    split = [name.split(".") for name in names]
    if len({len(parts) for parts in split}) != 1:
        return "_".join(names)
    columns = [list(dict.fromkeys(column)) for column in zip(*split, strict=True)]
    return ".".join("_".join(column) for column in columns)

"""Names every op after the place in the model where its weights live, and values x0, x1 ... in order."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, Node


def names(graph: Graph) -> None:
    kept = {*graph.inputs, *graph.outputs, *graph.weights, *graph.constants, *(state.name for state in graph.states)}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        node.name = _place(graph, node)
        for output in node.outputs:
            if output not in kept:
                renamed[output] = f"x{len(renamed)}"
    graph.rename(renamed)


def _place(graph: Graph, node: Node) -> str:
    """Module path: of the op's own weights, else of what computes its input, with the op's name behind."""
    own = [name for name in node.inputs if name in graph.weights]
    if own:
        return own[0].removesuffix(".weight").removesuffix(".bias")
    for name in node.inputs:
        maker = graph.producer(name)
        if maker is not None and maker.name:
            return f"{maker.name}:{node.op}"
    return node.op

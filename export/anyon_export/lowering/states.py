"""Concat(state, new) that is both kept and attended -> the attention appends to the state in place."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph, LoweringError, Node, State
from anyon_export.lowering.heads import match_split


def states(graph: Graph) -> None:
    for index, attribute in ((1, "key_state"), (2, "value_state")):
        for node in [node for node in graph.nodes if node.op == "attention"]:
            _alias(graph, node, index, attribute)
    left = [state.name for state in graph.states if state.output in graph.outputs]
    if left:
        raise LoweringError(f"program {graph.name!r}: no op can keep the states {', '.join(left)} in place")


def _alias(graph: Graph, node: Node, index: int, attribute: str) -> None:
    grown = graph.made_by(node.inputs[index], "Concat")
    state = next((state for state in graph.states if grown and state.output == grown.outputs[0]), None)
    if grown is None or state is None or not _appends(grown, state) or _others(graph, grown, node):
        return
    split = match_split(graph, grown.inputs[1])
    if split is None or split.regrouped or (split.heads, split.head_dim) != _heads(node):
        return
    graph.set_input(node, index, split.source)
    node.attrs[attribute] = state.name
    graph.outputs.remove(state.output)


def _appends(grown: Node, state: State) -> bool:
    """Concat along the axis that grows, old state first. Attention grows along axis 2 of (batch, heads, time, d)."""
    return len(grown.inputs) == 2 and grown.inputs[0] == state.name and grown.attrs["axis"] == state.axis == 2


def _others(graph: Graph, grown: Node, node: Node) -> bool:
    """Somebody else still needs the grown tensor as a value."""
    return any(user is not node and user.op != "Shape" for user in graph.consumers(grown.outputs[0]))


def _heads(node: Node) -> tuple[int, int]:
    return node.attrs["heads"], node.attrs["head_dim"]

"""Removes nodes whose results nobody reads, and weights and constants that no node reads."""

from __future__ import annotations

from anyon_export.lowering.graph import Graph


def dead_code(graph: Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if not any(graph.consumers(name) or name in graph.outputs for name in node.outputs):
            graph.remove(node)
    live = graph.live_names()
    graph.weights = {name: weight for name, weight in graph.weights.items() if name in live}
    graph.constants = {name: array for name, array in graph.constants.items() if name in live}

"""Stores weights as the kernels read them: matrices of linear and conv1d in panels of 16 rows.

A table that is both embedding and output head is stored once, in panels.
"""

from __future__ import annotations

from anyon_export.expressions import Expression, panel16
from anyon_export.lowering.graph import Graph

SUFFIXES = (".taps", ".rows")  # working names of earlier passes; a packed weight has its parameter's name


def pack(graph: Graph) -> None:
    packed: dict[str, str] = {}
    for node in graph.nodes:
        if node.op in ("linear", "conv1d"):
            packed.setdefault(node.inputs[1], "")
    for name in packed:
        others = [node for node in graph.consumers(name) if node.op not in ("linear", "conv1d", "embedding")]
        packed[name] = f"{name}.panel16" if others else _parameter_name(name)
    expressions: dict[str, Expression] = {packed[name]: panel16(graph.weights[name]) for name in packed}
    for node in graph.nodes:
        if node.op in ("linear", "conv1d", "embedding") and node.inputs[1] in packed:
            graph.set_input(node, 1, packed[node.inputs[1]])
            if node.op == "embedding":
                node.attrs["layout"] = "panel16"
    live = graph.live_names()
    graph.weights = {name: weight for name, weight in graph.weights.items() if name in live} | expressions


def _parameter_name(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name

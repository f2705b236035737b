"""Reshape to (batch, time, heads, head_dim) and swap of time and heads: recognised for attention, named split_heads."""

from __future__ import annotations

from dataclasses import dataclass

from anyon_export.lowering.graph import Graph, Node, Shape

SWAP = [0, 2, 1, 3]


@dataclass(frozen=True)
class Split:
    """`source` (batch, time, heads * head_dim) seen as (rows, heads, length, head_dim); all in row-major order."""

    source: str
    source_shape: Shape
    rows: int | str
    heads: int
    head_dim: int

    @property
    def regrouped(self) -> bool:
        """True when batch and time were cut differently than in `source`."""
        return self.rows != self.source_shape[0]


def match_split(graph: Graph, name: str) -> Split | None:
    """Recognises transpose(reshape(x)) that splits the last axis of x (batch, time, width) into heads."""
    swap = graph.made_by(name, "transpose")
    view = graph.made_by(swap.inputs[0], "Reshape") if swap is not None and swap.attrs["perm"] == SWAP else None
    if view is None:
        return None
    source, shape = graph.shape(view.inputs[0]), graph.shape(view.outputs[0])
    if source is None or shape is None or len(source) != 3 or len(shape) != 4:
        return None
    rows, _, heads, head_dim = shape
    if not isinstance(heads, int) or not isinstance(head_dim, int) or source[2] != heads * head_dim:
        return None
    return Split(view.inputs[0], source, rows, heads, head_dim)


def match_merge(graph: Graph, name: str) -> Node | None:
    """The Reshape that ends reshape(transpose(name)) to (batch, time, width), when nothing else reads its parts."""
    swap = graph.only_user(name)
    if swap is None or swap.op != "transpose" or swap.attrs["perm"] != SWAP:
        return None
    view = graph.only_user(swap.outputs[0])
    return view if view is not None and view.op == "Reshape" else None


def split_heads(graph: Graph) -> None:
    """What attention did not take (keys and values that leave the program) becomes the op split_heads."""
    for node in list(graph.nodes):
        split = match_split(graph, node.outputs[0]) if node.op == "transpose" else None
        if split is not None and not split.regrouped:
            graph.replace(node, Node("split_heads", [split.source], node.outputs, {"heads": split.heads}))

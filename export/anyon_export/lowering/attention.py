"""Attention with its head splitting and merging -> attention over (batch, time, width).

Cross attention lets several rows of the batch share one row of keys: the model lays the queries of those rows behind
each other, which the op expresses by a batch that is a multiple of the keys' batch.
"""

from __future__ import annotations

from anyon_export.lowering.causal import is_causal
from anyon_export.lowering.graph import Graph, Node
from anyon_export.lowering.heads import Split, match_merge, match_split


def attention(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "Attention":
            _convert(graph, node)


def _convert(graph: Graph, node: Node) -> None:
    query_name, key_name, value_name, mask = [*node.inputs, ""][:4]
    if any(node.inputs[4:]) or len(node.outputs) != 1 or node.attrs.get("softcap", 0.0):
        return
    query, merge = match_split(graph, query_name), match_merge(graph, node.outputs[0])
    if query is None or merge is None or graph.shape(merge.outputs[0]) != query.source_shape:
        return
    key, value = _operand(graph, key_name, query), _operand(graph, value_name, query)
    queries, keys = graph.shape(query_name), graph.shape(key_name)
    if key is None or value is None or queries is None or keys is None or keys[0] != query.rows:
        return
    causal = bool(mask)
    if mask and (query.regrouped or not is_causal(graph, mask, queries[2], keys[2])):
        return
    if node.attrs.get("is_causal", 0):
        if mask or queries[2] != keys[2]:
            return
        causal = True
    attrs = {
        "heads": query.heads,
        "head_dim": query.head_dim,
        "scale": node.attrs.get("scale", query.head_dim**-0.5),
        "causal": causal,
        "q_offset": 0,
        "k_offset": 0,
        "v_offset": 0,
        "key_state": "",
        "value_state": "",
    }
    graph.replace(merge, Node("attention", [query.source, key, value], merge.outputs, attrs))


def _operand(graph: Graph, name: str, query: Split) -> str | None:
    """Keys or values as (batch, time, width) if they were split just for this, else (batch, heads, time, head_dim)."""
    split = match_split(graph, name)
    if split is not None and not split.regrouped and (split.heads, split.head_dim) == (query.heads, query.head_dim):
        return split.source
    shape = graph.shape(name)
    if shape is not None and len(shape) == 4 and (shape[1], shape[3]) == (query.heads, query.head_dim):
        return name
    return None

"""Recognises a mask that lets query i of a chunk see the keys 0 .. past + i and no others."""

from __future__ import annotations

from collections import Counter

from anyon_export.lowering.graph import Dim, Graph
from anyon_export.lowering.sizes import Form, form, scalar


def is_causal(graph: Graph, mask: str, query_length: Dim, key_length: Dim) -> bool:
    """arange(keys) <= arange(keys - queries, keys)[:, None], for a mask (queries, keys)."""
    compare = graph.made_by(mask, "LessOrEqual", "GreaterOrEqual")
    if compare is None:
        return False
    keys_name, queries_name = compare.inputs if compare.op == "LessOrEqual" else compare.inputs[::-1]
    column = graph.made_by(queries_name, "Unsqueeze")
    if column is None or graph.shape(queries_name) != (query_length, 1):
        return False
    keys, queries = _range(graph, keys_name), _range(graph, column.inputs[0])
    if keys is None or queries is None or graph.shape(keys_name) != (key_length,):
        return False
    length, zero = form(key_length), Counter[str]()
    first = Counter(queries[0])
    return keys == (zero, length) and queries[1] == length and first + form(query_length) == length


def _range(graph: Graph, name: str) -> tuple[Form, Form] | None:
    """(start, limit) of Range(start, limit, 1)."""
    node = graph.made_by(name, "Range")
    if node is None:
        return None
    start, limit, step = (scalar(graph, value) for value in node.inputs)
    if start is None or limit is None or step != Counter({"": 1}):
        return None
    return start, limit

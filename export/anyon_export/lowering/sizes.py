"""Reads integer values that are computed from dimensions as linear forms over the dimension names."""

from __future__ import annotations

import re
from collections import Counter

from anyon_export.lowering.graph import Dim, Graph

Form = Counter[str]  # {"past": 1, "time": 1} is past + time; the key "" holds the constant


def form(dim: Dim) -> Form:
    """A dimension as a sum; what is no plain sum of names and numbers is one opaque term."""
    result: Form = Counter()
    terms = str(dim).replace(" ", "").split("+")
    if not all(re.fullmatch(r"\w+", term) for term in terms):
        return Counter({str(dim): 1})
    for term in terms:
        if term.isdigit():
            result[""] += int(term)
        else:
            result[term] += 1
    return _normal(result)


def scalar(graph: Graph, name: str) -> Form | None:
    """The value of an integer scalar or one-element tensor, when it depends on dimensions and constants alone."""
    if name in graph.constants:
        constant = graph.constants[name]
        return _normal(Counter({"": int(constant.ravel()[0])})) if constant.size == 1 else None
    node = graph.producer(name)
    if node is None:
        return None
    if node.op == "Shape":
        shape = graph.shape(node.inputs[0])
        start, end = node.attrs.get("start", 0), node.attrs.get("end")
        return form(shape[start]) if shape is not None and end == start + 1 else None
    if node.op in ("Squeeze", "Unsqueeze", "Identity") or (node.op == "Reshape" and graph.shape(name) in ((), (1,))):
        return scalar(graph, node.inputs[0])
    if node.op == "Add":
        left, right = scalar(graph, node.inputs[0]), scalar(graph, node.inputs[1])
        return None if left is None or right is None else _normal(Counter(left) + Counter(right))
    return None


def _normal(value: Form) -> Form:
    return Counter({term: count for term, count in value.items() if count})

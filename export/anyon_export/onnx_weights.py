"""Gives an ONNX graph quantised weights: each becomes DequantizeLinear of initializers (f16: Cast; equalised: and Mul).

The initializers stay outside the graph: rows of the manifest say where in the bundle their values lie, and
`unpack_initializer` reads them from the kernels' layouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anyon_export.protobuf import fields, integer, message
from anyon_quantization.equalised import Equalised
from anyon_quantization.int4 import Int4
from anyon_quantization.schemes import integer_scheme, scheme

Row = dict[str, Any]

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TYPE = 1, 3, 20
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 2, 8, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_TYPE_INT, _EXTERNAL = 2, 1
FLOAT, INT8, FLOAT16, UINT4 = 1, 3, 10, 21


@dataclass(frozen=True)
class _Weight:
    """A parameter of the graph: its row in the manifest, its scheme, and the two forms in which nodes want it."""

    row: Row
    scheme: str
    plain: list[str]  # what the weight is called there
    turned: list[str]  # what the transpose is called
    unscale: str  # the tensor (K,) that rows looked up are multiplied by; "" where there is none


def quantise_graph(
    graph: bytes, initializers: Mapping[str, Row], schemes: Mapping[str, str], unscaled: Mapping[str, str]
) -> tuple[bytes, dict[str, Row]]:
    """graph: a serialized ModelProto; initializers: its rows in the manifest; schemes: bundle tensor -> scheme;
    unscaled: table -> the tensor that undoes its columns after a look-up.

    Returns the graph and the rows after. Weights whose tensor has no scheme stay as they are. The transpose of a weight
    is dequantised from transposed values, which is what engines can fuse into a product of quantised weights; a tied
    table has both forms. Raises ValueError when the graph cannot be read.
    """
    weights = {
        name: _Weight(row, schemes[row["tensor"]], [], [], unscaled.get(row["tensor"], ""))
        for name, row in initializers.items()
        if row["tensor"] in schemes
    }
    model = b""
    added: dict[str, Row] = {}
    for number, _, value, whole in fields(graph):
        if number == _MODEL_GRAPH:
            content, added = _graph(value, weights)
            whole = message(number, content)
        model += whole
    return model, {name: row for name, row in initializers.items() if name not in weights} | added


def _graph(graph: bytes, weights: dict[str, _Weight]) -> tuple[bytes, dict[str, Row]]:
    """The new nodes go first: nothing but initializers comes before them."""
    kept = b""
    for number, _, value, whole in fields(graph):
        if number == _GRAPH_INITIALIZER and _text(value, _TENSOR_NAME) in weights:
            continue
        if number == _GRAPH_NODE:
            inputs = [name.decode() for field, _, name, _ in fields(value) if field == _NODE_INPUT]
            if _text(value, _NODE_OP) == "Transpose" and inputs[0] in weights:
                weights[inputs[0]].turned.append(_text(value, _NODE_OUTPUT))
                continue
            for name in set(inputs) & set(weights):
                weights[name].plain[:] = [name]
                if weights[name].unscale and _text(value, _NODE_OP) == "Gather":
                    whole = _unscaled(value, weights[name].unscale)
        kept += whole
    nodes, tensors = b"", b""
    rows: dict[str, Row] = {}
    for weight in weights.values():
        if weight.unscale and weight.plain:
            shape = [weight.row["shape"][1]]
            rows[weight.unscale] = {"tensor": weight.unscale, "layout": "plain", "rows": [0, *shape], "shape": shape}
            tensors += message(_GRAPH_INITIALIZER, _tensor(weight.unscale, FLOAT, shape))
    for name, weight in weights.items():
        forms = [(output, False) for output in weight.plain] + [(output, True) for output in weight.turned]
        for output, turned in forms:
            form = f"{name}.turned" if turned else name
            equalised = isinstance(scheme(weight.scheme), Equalised)
            node, parts = _dequantised(form, f"{output}.equalised" if equalised else output, weight, turned)
            nodes += message(_GRAPH_NODE, node)
            if equalised:
                row = _column_row(weight.row, turned)
                nodes += message(_GRAPH_NODE, _node("Mul", [f"{output}.equalised", f"{form}.column"], output))
                parts = {**parts, f"{form}.column": (FLOAT, row)}
            for part, (kind, row) in parts.items():
                if part not in rows:
                    tensors += message(_GRAPH_INITIALIZER, _tensor(part, kind, row["shape"]))
            rows |= {part: row for part, (_, row) in parts.items()}
    return nodes + kept + tensors, rows


def _unscaled(gather: bytes, factor: str) -> bytes:
    """Fields of a graph: the look-up under another name, and its rows times the factor."""
    output = _text(gather, _NODE_OUTPUT)
    renamed = b"".join(whole for number, _, _, whole in fields(gather) if number != _NODE_OUTPUT)
    renamed += message(_NODE_OUTPUT, f"{output}.scaled")
    return message(_GRAPH_NODE, renamed) + message(_GRAPH_NODE, _node("Mul", [f"{output}.scaled", factor], output))


def _text(data: bytes, number: int) -> str:
    return next((value.decode() for field, _, value, _ in fields(data) if field == number), "")


def _dequantised(name: str, output: str, weight: _Weight, turned: bool) -> tuple[bytes, dict[str, tuple[int, Row]]]:
    """The node that makes the weight, and its initializers: name -> (ONNX type, row)."""
    chosen, row = integer_scheme(weight.scheme), weight.row
    tensor, rows = row["tensor"], row["rows"]
    n = rows[1] - rows[0]
    stored = {**row, "layout": chosen.layout} if row["layout"] == "panel16" else dict(row)
    scale = {"tensor": f"{tensor}.scale", "rows": rows}
    if weight.scheme == "f16":
        parts = {f"{name}.f16": (FLOAT16, _turned(stored, turned))}
        return _node("Cast", list(parts), output, to=FLOAT), parts
    if isinstance(chosen, Int4):
        groups = {"layout": "groups16", "shape": [n, -(-row["shape"][1] // chosen.group)]}
        zero = {**scale, **groups, "tensor": f"{tensor}.zero", "dtype": "uint4"}
        parts = {
            f"{name}.q": (UINT4, _turned({**stored, "dtype": "uint4"}, turned)),
            f"{name}.scale": (FLOAT, _turned({**scale, **groups}, turned)),
            f"{name}.zero": (UINT4, _turned(zero, turned)),
        }
        return _node("DequantizeLinear", list(parts), output, axis=0 if turned else 1, block_size=chosen.group), parts
    parts = {
        f"{name}.q": (INT8, _turned(stored, turned)),
        f"{name}.scale": (FLOAT, {**scale, "layout": "plain", "shape": [n]}),
    }
    return _node("DequantizeLinear", list(parts), output, axis=1 if turned else 0), parts


def _column_row(row: Row, turned: bool) -> Row:
    """What each column of an equalised matrix, or each row of its transpose, is multiplied by."""
    k = row["shape"][1]
    column = {"tensor": f"{row['tensor']}.column", "layout": "plain", "rows": [0, k], "shape": [k]}
    return {**column, "view": [k, 1], "shape": [k, 1]} if turned else column


def _turned(row: Row, turned: bool) -> Row:
    """The row of a matrix, or of its transpose."""
    return {**row, "view": row["shape"], "perm": [1, 0], "shape": row["shape"][::-1]} if turned else row


def _node(op: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    data = b"".join(message(_NODE_INPUT, name) for name in inputs) + message(_NODE_OUTPUT, output)
    data += message(_NODE_NAME, f"{output}:{op}") + message(_NODE_OP, op)
    for name, value in attributes.items():
        attribute = message(_ATTRIBUTE_NAME, name) + integer(_ATTRIBUTE_INT, value)
        data += message(_NODE_ATTRIBUTE, attribute + integer(_ATTRIBUTE_TYPE, _TYPE_INT))
    return data


def _tensor(name: str, kind: int, shape: list[int]) -> bytes:
    """An initializer whose data is elsewhere."""
    data = b"".join(integer(_TENSOR_DIMS, size) for size in shape) + integer(_TENSOR_TYPE, kind)
    data += message(_TENSOR_NAME, name)
    data += message(_TENSOR_EXTERNAL, message(_ENTRY_KEY, "location") + message(_ENTRY_VALUE, "weights"))
    return data + integer(_TENSOR_LOCATION, _EXTERNAL)

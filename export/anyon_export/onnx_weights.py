"""Gives an ONNX graph quantised weights: each becomes DequantizeLinear of initializers (f16: Cast), and rotated tables
the products that turn what goes in and comes out.

The initializers stay outside the graph: rows of the manifest say where in the bundle their values lie, and
`unpack_initializer` reads them from the kernels' layouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anyon_export.onnx_nodes import Node, Tensor
from anyon_export.protobuf import fields, integer, message
from anyon_export.rotate import DOWN, UP
from anyon_quantization.int4 import Int4
from anyon_quantization.schemes import scheme

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


def quantise_graph(
    graph: bytes, initializers: Mapping[str, Row], schemes: Mapping[str, str], rotated: Mapping[str, str]
) -> tuple[bytes, dict[str, Row]]:
    """graph: a serialized ModelProto; initializers: its rows in the manifest; schemes: bundle tensor -> scheme;
    rotated: the tensors that `rotate` has turned -> the scheme of the squares beside them.

    Returns the graph and the rows after. Weights whose tensor has no scheme stay as they are. The transpose of a weight
    is dequantised from transposed values, which is what engines can fuse into a product of quantised weights; a tied
    table has both forms. Raises ValueError when the graph cannot be read.
    """
    weights = {
        name: _Weight(row, schemes[row["tensor"]], [], [])
        for name, row in initializers.items()
        if row["tensor"] in schemes
    }
    model = b""
    added: dict[str, Row] = {}
    for number, _, value, whole in fields(graph):
        if number == _MODEL_GRAPH:
            content, added = _graph(value, weights, rotated)
            whole = message(number, content)
        model += whole
    return model, {name: row for name, row in initializers.items() if name not in weights} | added


def dequantises(node: Node, weights: Mapping[str, Tensor], rows: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a node makes a weight as `quantise_graph` says it: of external initializers, with a scale for each row or
    each group of one. Other graphs may dequantise in other ways."""
    if not set(node.inputs) <= set(weights):
        return False
    stored = weights[node.inputs[0]]
    if node.op == "Cast":
        return stored.type == FLOAT16 and node.attributes.get("to") == FLOAT
    if node.op != "DequantizeLinear" or len(node.inputs) < 2:
        return False
    turned, axis = rows[node.inputs[0]].get("perm") == [1, 0], node.attributes.get("axis", 1)
    if node.attributes.get("block_size", 0):
        return stored.type == UINT4 and len(stored.shape) == 2 and axis == (0 if turned else 1)
    of_each_row = (stored.shape[axis],) if axis in (0, 1) and axis < len(stored.shape) else None
    plain = stored.type == INT8 and len(node.inputs) == 2 and weights[node.inputs[1]].shape == of_each_row
    return plain and axis == (1 if turned else 0)


def _graph(graph: bytes, weights: dict[str, _Weight], rotated: Mapping[str, str]) -> tuple[bytes, dict[str, Row]]:
    """The new nodes go first: nothing but initializers comes before them."""
    kept = b""
    squares: dict[str, _Weight] = {}
    for number, _, value, whole in fields(graph):
        if number == _GRAPH_INITIALIZER and _text(value, _TENSOR_NAME) in weights:
            continue
        if number == _GRAPH_NODE:
            inputs = [name.decode() for field, _, name, _ in fields(value) if field == _NODE_INPUT]
            op = _text(value, _NODE_OP)
            if op == "Transpose" and inputs[0] in weights:
                weights[inputs[0]].turned.append(_text(value, _NODE_OUTPUT))
                continue
            for name in set(inputs) & set(weights):
                weights[name].plain[:] = [name]
            table = next((weight for weight in weights.values() if {*weight.turned, *weight.plain} & set(inputs)), None)
            if table is not None and table.row["tensor"] in rotated:
                if op not in ("Gather", "MatMul"):
                    raise ValueError(f"{op} reads {table.row['tensor']}, which is rotated")
                rewrite, end = (_looked_up, UP) if op == "Gather" else (_multiplied, DOWN)
                square = _square(table, end, rotated[table.row["tensor"]])
                squares[square.row["tensor"]] = square
                whole = rewrite(value, square.turned[0])
        kept += whole
    nodes, tensors = b"", b""
    rows: dict[str, Row] = {}
    for name, weight in (weights | squares).items():
        forms = [(output, False) for output in weight.plain] + [(output, True) for output in weight.turned]
        for output, turned in forms:
            node, parts = _dequantised(f"{name}.turned" if turned else name, output, weight, turned)
            nodes += message(_GRAPH_NODE, node)
            for part, (kind, row) in parts.items():
                if part not in rows:
                    tensors += message(_GRAPH_INITIALIZER, _tensor(part, kind, row["shape"]))
            rows |= {part: row for part, (_, row) in parts.items()}
    return nodes + kept + tensors, rows


def _looked_up(gather: bytes, square: str) -> bytes:
    """Fields of a graph: the look-up under another name, and the product that turns its rows back."""
    output = _text(gather, _NODE_OUTPUT)
    inner = f"{output}.rotated"
    renamed = b"".join(whole for number, _, _, whole in fields(gather) if number != _NODE_OUTPUT)
    node = _node("MatMul", [inner, square], output)
    return message(_GRAPH_NODE, renamed + message(_NODE_OUTPUT, inner)) + message(_GRAPH_NODE, node)


def _multiplied(matmul: bytes, square: str) -> bytes:
    """Fields of a graph: the product that turns the inputs, and the product with the table of what it gives."""
    x, weight = (value.decode() for number, _, value, _ in fields(matmul) if number == _NODE_INPUT)
    inner = f"{_text(matmul, _NODE_OUTPUT)}.input"
    others = b"".join(whole for number, _, _, whole in fields(matmul) if number != _NODE_INPUT)
    inputs = message(_NODE_INPUT, inner) + message(_NODE_INPUT, weight)
    node = _node("MatMul", [x, square], inner)
    return message(_GRAPH_NODE, node) + message(_GRAPH_NODE, inputs + others)


def _square(table: _Weight, end: str, scheme: str) -> _Weight:
    """The matrix that stands beside a rotated table; MatMul multiplies with its transpose."""
    tensor, width = table.row["tensor"] + end, table.row["shape"][1]
    row = {"tensor": tensor, "layout": "panel16", "rows": [0, width], "shape": [width, width]}
    return _Weight(row, scheme, [], [f"{tensor}.transposed"])


def _text(data: bytes, number: int) -> str:
    return next((value.decode() for field, _, value, _ in fields(data) if field == number), "")


def _dequantised(name: str, output: str, weight: _Weight, turned: bool) -> tuple[bytes, dict[str, tuple[int, Row]]]:
    """The node that makes the weight, and its initializers: name -> (ONNX type, row)."""
    chosen, row = scheme(weight.scheme), weight.row
    tensor, rows = row["tensor"], row["rows"]
    n = rows[1] - rows[0]
    # A table is plain, but in integers it has the layout of a matrix.
    packed = row["layout"] == "panel16" or weight.scheme not in ("f32", "f16")
    stored = {**row, "layout": chosen.layout} if packed else dict(row)
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

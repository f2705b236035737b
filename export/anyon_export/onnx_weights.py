"""Gives an ONNX graph quantised weights: each becomes DequantizeLinear of initializers (f16: Cast), and rotated tables
the products that turn what goes in and comes out.

The initializers stay outside the graph: rows of the manifest say where in the bundle their values lie, and
`unpack_initializer` reads them from the kernels' layouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from anyon_export.onnx_nodes import FLOAT, FLOAT16, INT8, UINT4, Node, Tensor, read_graph
from anyon_export.rotate import DOWN, UP
from anyon_quantization.int4 import Int4
from anyon_quantization.schemes import scheme

Row = dict[str, Any]


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
    opened = read_graph(graph)
    kept, squares = _rewritten(opened.nodes, weights, rotated)
    nodes: list[Node] = []
    added: dict[str, Row] = {}
    tensors: dict[str, Tensor] = {}
    for name, weight in (weights | squares).items():
        for output, turned in [(o, False) for o in weight.plain] + [(o, True) for o in weight.turned]:
            node, parts = _dequantised(f"{name}.turned" if turned else name, output, weight, turned)
            nodes.append(node)
            for part, (kind, row) in parts.items():
                tensors[part] = Tensor(kind, tuple(row["shape"]))
                added[part] = row
    opened.nodes = [*nodes, *kept]  # nothing but initializers comes before the new ones
    opened.weights = {name: tensor for name, tensor in opened.weights.items() if name not in weights} | tensors
    return opened.serialized(), {name: row for name, row in initializers.items() if name not in weights} | added


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


def _rewritten(
    nodes: list[Node], weights: Mapping[str, _Weight], rotated: Mapping[str, str]
) -> tuple[list[Node], dict[str, _Weight]]:
    """The nodes that stay, those of rotated tables as products; the squares of these, by name. The weights learn in
    which forms they are read."""
    kept: list[Node] = []
    squares: dict[str, _Weight] = {}
    for node in nodes:
        if node.op == "Transpose" and node.inputs[0] in weights:
            weights[node.inputs[0]].turned.extend(node.outputs)
            continue
        read = set(node.inputs)
        for name in read & set(weights):
            weights[name].plain[:] = [name]
        table = next((weight for weight in weights.values() if {*weight.turned, *weight.plain} & read), None)
        if table is None or table.row["tensor"] not in rotated:
            kept.append(node)
            continue
        if node.op not in ("Gather", "MatMul"):
            raise ValueError(f"{node.op} reads {table.row['tensor']}, which is rotated")
        rewrite, end = (_looked_up, UP) if node.op == "Gather" else (_multiplied, DOWN)
        square = _square(table, end, rotated[table.row["tensor"]])
        squares[square.row["tensor"]] = square
        kept += rewrite(node, square.turned[0])
    return kept, squares


def _looked_up(gather: Node, square: str) -> list[Node]:
    """The look-up under another name, and the product that turns its rows back."""
    (output,) = gather.outputs
    inner = f"{output}.rotated"
    return [replace(gather, outputs=[inner]), _node("MatMul", [inner, square], output)]


def _multiplied(matmul: Node, square: str) -> list[Node]:
    """The product that turns the inputs, and the product with the table of what it gives."""
    x, weight = matmul.inputs
    inner = f"{matmul.outputs[0]}.input"
    return [_node("MatMul", [x, square], inner), replace(matmul, inputs=[inner, weight])]


def _square(table: _Weight, end: str, scheme: str) -> _Weight:
    """The matrix that stands beside a rotated table; MatMul multiplies with its transpose."""
    tensor, width = table.row["tensor"] + end, table.row["shape"][1]
    row = {"tensor": tensor, "layout": "panel16", "rows": [0, width], "shape": [width, width]}
    return _Weight(row, scheme, [], [f"{tensor}.transposed"])


def _dequantised(name: str, output: str, weight: _Weight, turned: bool) -> tuple[Node, dict[str, tuple[int, Row]]]:
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


def _node(op: str, inputs: list[str], output: str, **attributes: int) -> Node:
    return Node(op, inputs, [output], attributes, name=f"{output}:{op}")

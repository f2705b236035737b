"""A bundle's ONNX graph as ONNX Runtime's CPU kernels run it fastest: a quantised product or look-up is one node.

The bundle says them in standard ONNX, DequantizeLinear before MatMul or Gather. ONNX Runtime fuses few of these pairs,
and writes the whole matrix out at every run for the others. Needs numpy alone; the SDK's backend uses it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyon_export.bundle import upright
from anyon_export.expressions import Array
from anyon_export.onnx_nodes import FLOAT, UINT8, Graph, Node, Tensor, read_graph
from anyon_export.onnx_weights import dequantises

Row = Mapping[str, Any]
Read = Callable[[str, Row], Array]

_DOMAIN = "com.microsoft"
# Inputs of a product are rounded to 8 bits in blocks of as many; larger ones are a little faster. 128 gives an encoder
# of 31.4 dB (32: 31.8), the native kernels 27.8.
_LARGEST_BLOCK, _SMALLEST_BLOCK = 128, 16


@dataclass(frozen=True)
class Weight:
    """An initializer: its array, and ONNX's number of its element type, which numpy may lack."""

    array: Array
    type: int


def fused_graph(graph: bytes, rows: Mapping[str, Row], read: Read) -> tuple[bytes, dict[str, Weight]]:
    """The graph to run and all of its external initializers.

    graph: as the bundle has it; rows: the manifest's entry of each initializer; read: the array for a row.
    Raises ValueError when the graph is damaged.
    """

    opened = read_graph(graph)
    fusing = _Fusing(opened, rows, read)
    opened.nodes = [made for node in opened.nodes for made in fusing.replaced(node)]
    unused = _drop_unused(opened, fusing.dequantised)
    found = dict(fusing.made)
    found |= {n: Weight(read(n, rows[n]), tensor.type) for n, tensor in opened.weights.items() if n not in unused}
    opened.weights = {name: Tensor(weight.type, weight.array.shape) for name, weight in found.items()}
    if any(node.domain == _DOMAIN for node in opened.nodes):
        opened.domains[_DOMAIN] = 1
    return opened.serialized(), found


def _drop_unused(graph: Graph, dequantised: Mapping[str, Node]) -> set[str]:
    """Removes nodes that dequantised what nothing reads any more. Returns the weights that only they read."""
    read = {name for node in graph.nodes for name in node.inputs}
    dropped = [node for name, node in dequantised.items() if name not in read]
    graph.nodes = [node for node in graph.nodes if node not in dropped]
    read = {name for node in graph.nodes for name in node.inputs}
    return {name for node in dropped for name in node.inputs if name not in read}


class _Fusing:
    def __init__(self, graph: Graph, rows: Mapping[str, Row], read: Read) -> None:
        self._rows = rows
        self._read = read
        # A branch or a loop may read what this would take away.
        nested = any(node.op in ("If", "Loop", "Scan") for node in graph.nodes)
        self.dequantised = {
            node.outputs[0]: node
            for node in graph.nodes
            if not nested and node.op == "DequantizeLinear" and dequantises(node, graph.weights, rows)
        }
        self.made: dict[str, Weight] = {}

    def replaced(self, node: Node) -> list[Node]:
        """What stands in the node's place: itself where nothing can be gained."""
        table = self.dequantised.get(node.inputs[0]) if node.op == "Gather" else None
        if table is not None and node.attributes.get("axis", 0) == 0:
            return self._looked_up(node, table)
        matrix = self.dequantised.get(node.inputs[1]) if node.op == "MatMul" else None
        if matrix is not None and self._rows[matrix.inputs[0]].get("perm") == [1, 0]:
            return self._multiplied(node, matrix)
        return [node]

    def _multiplied(self, node: Node, matrix: Node) -> list[Node]:

        first, *rest = [upright(self._rows[name]) for name in matrix.inputs]
        outputs, inputs = first["shape"]
        block = matrix.attributes.get("block_size", 0)
        bits = 4 if block else 8
        block = block or _block_of(inputs)
        if not block or inputs % block:
            return [node]
        name, per_row = f"{matrix.inputs[0]}.blocks", inputs // block
        stored, scale = self._read(matrix.inputs[0], first), self._read(matrix.inputs[1], rest[0])
        parts = {name: Weight(_bytes_of(stored, bits).reshape(outputs, per_row, -1), UINT8)}
        scales = scale.reshape(-1) if bits == 4 else np.repeat(scale.reshape(-1), per_row)
        parts[f"{name}.scale"] = Weight(scales, FLOAT)
        if len(rest) > 1:
            zeros = _nibbles(self._read(matrix.inputs[2], rest[1]))
            parts[f"{name}.zero"] = Weight(_packed_rows(zeros).reshape(-1), UINT8)
        self.made |= parts
        sizes = {"K": inputs, "N": outputs, "bits": bits, "block_size": block}
        # Level 4: inputs in 8 bits, as our kernels have them; the others are slower, 80 times with 8-bit weights.
        sizes["accuracy_level"] = 4
        return [Node("MatMulNBits", [node.inputs[0], *parts], node.outputs, sizes, _DOMAIN, node.name)]

    def _looked_up(self, node: Node, table: Node) -> list[Node]:

        block, indices, output = table.attributes.get("block_size", 0), node.inputs[1], node.outputs[0]
        if block:
            inputs = [table.inputs[0], indices, *table.inputs[1:]]
            sizes = {"bits": 4, "block_size": block, "gather_axis": 0, "quantize_axis": 1}
            return [Node("GatherBlockQuantized", inputs, node.outputs, sizes, _DOMAIN, node.name)]
        # One scale for each row: rows and scales are looked up, then multiplied.
        scales = f"{table.inputs[1]}.column"
        self.made[scales] = Weight(self._read(table.inputs[1], self._rows[table.inputs[1]]).reshape(-1, 1), FLOAT)
        rows, floats, factors = (f"{output}.{part}" for part in ("rows", "floats", "factors"))
        return [
            Node("Gather", [table.inputs[0], indices], [rows], name=rows),
            Node("Cast", [rows], [floats], {"to": FLOAT}, name=floats),
            Node("Gather", [scales, indices], [factors], name=factors),
            Node("Mul", [floats, factors], node.outputs, name=node.name),
        ]


def _block_of(inputs: int) -> int:
    """The largest block that fills rows of `inputs` values; 0: none does."""
    block = _LARGEST_BLOCK
    while inputs % block:
        block //= 2
    return block if block >= _SMALLEST_BLOCK else 0


def _bytes_of(stored: Array, bits: int) -> Array:
    """Two values in each byte as they are packed, or 8-bit values with 128 as their zero."""
    if bits == 4:
        return stored.reshape(-1)[: stored.size // 2]
    shifted: Array = stored.view(np.uint8) ^ np.uint8(128)
    return shifted


def _nibbles(packed: Array) -> Array:
    """The values of an array whose first bytes hold two each, the first of them in the low half."""
    pairs = packed.reshape(-1)[: -(-packed.size // 2)]
    return np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)[: packed.size].reshape(packed.shape)


def _packed_rows(values: Array) -> Array:
    """Two values in each byte, every row on its own."""
    even = np.pad(values, ((0, 0), (0, values.shape[1] % 2)))
    packed: Array = even[:, 0::2] | even[:, 1::2] << 4
    return packed

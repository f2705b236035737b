"""Nodes and initializers of a serialized ONNX graph, for rewriting one where the package `onnx` is not installed."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyon_export.protobuf import fields, integer, message, number, numbers

# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_OPSET = 7, 8
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT = 1, 5, 11
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TYPE, _TYPE_INT = 1, 3, 20, 2
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 2, 8, 9, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2, 1, 1, 2
_SHAPE_DIM, _DIM_VALUE = 1, 1
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_EXTERNAL = 1
# Numbers of element types.
FLOAT, UINT8, INT8, FLOAT16, UINT4 = 1, 2, 3, 10, 21


@dataclass
class Node:
    """attributes: those that are integers; others: the rest, serialized, kept as they are."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, int] = field(default_factory=dict)
    domain: str = ""
    name: str = ""
    others: bytes = b""

    def serialized(self) -> bytes:
        data = b"".join(message(_NODE_INPUT, name) for name in self.inputs)
        data += b"".join(message(_NODE_OUTPUT, name) for name in self.outputs)
        data += message(_NODE_NAME, self.name) + message(_NODE_OP, self.op)
        for name, value in self.attributes.items():
            attribute = message(_ATTRIBUTE_NAME, name) + integer(_ATTRIBUTE_INT, value % (1 << 64))
            data += message(_NODE_ATTRIBUTE, attribute + integer(_ATTRIBUTE_TYPE, _TYPE_INT))
        return data + self.others + (message(_NODE_DOMAIN, self.domain) if self.domain else b"")


@dataclass(frozen=True)
class Tensor:
    """An initializer. type: ONNX's number of its element type.

    Its data is `raw`, or lies at `place` (file beside the model, first byte, bytes); with neither it is the business of
    whoever runs the graph.
    """

    type: int
    shape: tuple[int, ...]
    raw: bytes | None = None
    place: tuple[str, int, int] | None = None


@dataclass
class Graph:
    """A model's nodes and external initializers; everything else is kept serialized."""

    nodes: list[Node]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor] = field(default_factory=dict)
    """Of fixed shape, to be added before those that are there."""
    domains: dict[str, int] = field(default_factory=dict)
    """Opsets to be added."""
    _model: bytes = b""
    _graph: bytes = b""

    def serialized(self) -> bytes:
        content = b"".join(message(_GRAPH_NODE, node.serialized()) for node in self.nodes)
        content += b"".join(message(_GRAPH_INITIALIZER, _initializer(n, t)) for n, t in self.weights.items())
        content += b"".join(message(_GRAPH_INPUT, _input(n, t)) for n, t in self.inputs.items())
        opsets = b""
        for domain, version in self.domains.items():
            opsets += message(_MODEL_OPSET, message(_OPSET_DOMAIN, domain) + integer(_OPSET_VERSION, version))
        return self._model + message(_MODEL_GRAPH, content + self._graph) + opsets


def read_graph(model: bytes) -> Graph:
    """From a serialized ModelProto. Raises ValueError when it is damaged."""
    graph = Graph([], {})
    for outer, _, content, whole in fields(model):
        if outer != _MODEL_GRAPH:
            graph._model += whole
            continue
        for inner, _, value, part in fields(content):
            if inner == _GRAPH_NODE:
                graph.nodes.append(_read_node(value))
            elif inner == _GRAPH_INITIALIZER and _is_external(value):
                name, tensor = _read_initializer(value)
                graph.weights[name] = tensor
            else:
                graph._graph += part
    return graph


def _read_node(data: bytes) -> Node:
    node = Node("", [], [])
    for index, _, value, whole in fields(data):
        if index == _NODE_INPUT:
            node.inputs.append(value.decode())
        elif index == _NODE_OUTPUT:
            node.outputs.append(value.decode())
        elif index == _NODE_NAME:
            node.name = value.decode()
        elif index == _NODE_OP:
            node.op = value.decode()
        elif index == _NODE_DOMAIN:
            node.domain = value.decode()
        elif index == _NODE_ATTRIBUTE and _is_integer(value):
            parts = {key: content for key, _, content, _ in fields(value)}
            node.attributes[parts[_ATTRIBUTE_NAME].decode()] = number(parts.get(_ATTRIBUTE_INT, b"\0"))
        else:
            node.others += whole
    return node


def _is_integer(attribute: bytes) -> bool:
    return any(key == _ATTRIBUTE_TYPE and number(value) == _TYPE_INT for key, _, value, _ in fields(attribute))


def _is_external(tensor: bytes) -> bool:
    return any(key == _TENSOR_LOCATION and number(value) == _EXTERNAL for key, _, value, _ in fields(tensor))


def _read_initializer(data: bytes) -> tuple[str, Tensor]:
    name, kind, shape = "", 0, []
    for index, wire, value, _ in fields(data):
        if index == _TENSOR_NAME:
            name = value.decode()
        elif index == _TENSOR_TYPE:
            kind = number(value)
        elif index == _TENSOR_DIMS:
            shape += numbers(wire, value)
    return name, Tensor(kind, tuple(shape))


def _initializer(name: str, tensor: Tensor) -> bytes:
    data = b"".join(integer(_TENSOR_DIMS, size) for size in tensor.shape) + integer(_TENSOR_TYPE, tensor.type)
    data += message(_TENSOR_NAME, name)
    if tensor.raw is not None:
        return data + message(_TENSOR_RAW, tensor.raw)
    file, first, size = tensor.place or ("weights", None, None)
    for key, value in (("location", file), ("offset", first), ("length", size)):
        if value is not None:
            data += message(_TENSOR_EXTERNAL, message(_ENTRY_KEY, key) + message(_ENTRY_VALUE, str(value)))
    return data + integer(_TENSOR_LOCATION, _EXTERNAL)


def _input(name: str, tensor: Tensor) -> bytes:
    shape = b"".join(message(_SHAPE_DIM, integer(_DIM_VALUE, size)) for size in tensor.shape)
    kind = message(_TYPE_TENSOR, integer(_TENSOR_ELEMENT, tensor.type) + message(_TENSOR_SHAPE, shape))
    return message(_VALUE_NAME, name) + message(_VALUE_TYPE, kind)

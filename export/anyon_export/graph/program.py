"""ONNX model -> the program section of a manifest, and the tensors it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from anyon_export.graph.functions import MAIN_DOMAIN, walk
from anyon_export.value_types import Array, storage, stored, value_name

NEWEST_OPSET = 28
_MOST = 1 << 40  # a dimension without bounds
_ANY = "?"  # the dimension of an output that nothing is known about

# Attributes that hold an element type as a number.
_TYPE_ATTRIBUTES = {
    ("Cast", "to"),
    ("BitCast", "to"),
    ("EyeLike", "dtype"),
    ("QuantizeLinear", "output_dtype"),
    ("DequantizeLinear", "output_dtype"),
    ("MelWeightMatrix", "output_datatype"),
    ("RandomNormal", "dtype"),
    ("RandomNormalLike", "dtype"),
    ("RandomUniform", "dtype"),
    ("RandomUniformLike", "dtype"),
}


class GraphError(Exception):
    """An ONNX model that no graph program can say; names what and where."""


@dataclass
class GraphProgram:
    """section: the manifest's; tensors: constants and initializers, by name."""

    section: dict[str, Any]
    tensors: dict[str, Array] = field(default_factory=dict)


def to_program(
    model: onnx.ModelProto,
    *,
    dims: Mapping[str, tuple[int, int]] | None = None,
    external: Mapping[str, str] | None = None,
    places: Mapping[str, str] | None = None,
) -> GraphProgram:
    """The graph of a model whose functions are expanded, node for node.

    dims: bounds of named dimensions; the others are free. external: initializers whose data the caller writes, with the
    name of the bundle's tensor. places: what to call a node in messages, by its first output.
    Raises GraphError for values that are no tensors and types the runtime has no tensors of.
    """
    return _Writer(model, dict(dims or {}), dict(external or {}), dict(places or {})).write()


class _Writer:
    def __init__(
        self,
        model: onnx.ModelProto,
        dims: dict[str, tuple[int, int]],
        external: dict[str, str],
        places: dict[str, str],
    ) -> None:
        self._model = model
        self._dims = {name: list(bounds) for name, bounds in dims.items()}
        self._external = external
        self._places = places
        self._tensors: dict[str, Array] = {}
        self._types: dict[str, int] = {}
        for info in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
            self._types[info.name] = info.type.tensor_type.elem_type
        # Names of values that nodes make: a tensor of that name would be read in their place.
        made = {name for node in walk(model.graph) if node.op_type != "Constant" for name in node.output}
        outputs = {info.name for info in model.graph.output}
        inputs = {info.name for info in model.graph.input} - {tensor.name for tensor in model.graph.initializer}
        self._taken = made | inputs | outputs | set(self._external.values())

    def write(self) -> GraphProgram:
        graph = self._model.graph
        opset = next((row.version for row in self._model.opset_import if row.domain in MAIN_DOMAIN), 1)
        if opset > NEWEST_OPSET:
            raise GraphError(f"opset {opset} is newer than {NEWEST_OPSET} (export with an older one)")
        initializers = {tensor.name for tensor in graph.initializer}
        names = self._initializers(graph, {})
        inputs = [self._port(info, True) for info in graph.input if info.name not in initializers]
        ops = self._nodes(graph, names)
        outputs = [self._output(info, names, ops) for info in graph.output]
        section = {
            "kind": "graph",
            "dims": self._dims,
            "opset": opset,
            "inputs": inputs,
            "outputs": outputs,
            "states": [],
            "ops": ops,
        }
        return GraphProgram(section, self._tensors)

    def _output(self, info: ValueInfoProto, names: Mapping[str, str], ops: list[dict[str, Any]]) -> dict[str, Any]:
        """An output that is an initializer keeps its own name through an op."""
        port = self._port(info, False)
        if info.name in names:
            ops.append(_op("Identity", "", [names[info.name]], [info.name], {}))
        return port

    def _port(self, info: ValueInfoProto, is_input: bool) -> dict[str, Any]:
        kind = info.type.WhichOneof("value")
        if kind != "tensor_type":
            raise GraphError(f"{info.name!r} is a {(kind or 'value without a type').removesuffix('_type')}, no tensor")
        tensor = info.type.tensor_type
        if is_input and not tensor.HasField("shape"):
            raise GraphError(f"input {info.name!r} does not state how many dimensions it has")
        shape: list[int | str] = []
        for axis, dim in enumerate(tensor.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value >= 0:
                shape.append(dim.dim_value)
            elif dim.dim_param and (is_input or dim.dim_param in self._dims):
                shape.append(self._symbol(dim.dim_param))
            else:
                shape.append(self._symbol(f"{info.name}.{axis}" if is_input else _ANY))
        return {"name": info.name, "dtype": self._storage(tensor.elem_type, info.name), "shape": shape}

    def _symbol(self, name: str) -> str:
        self._dims.setdefault(name, [0, _MOST])
        return name

    @staticmethod
    def _storage(elem_type: int, name: str) -> str:
        known = storage(elem_type)
        if known is None:
            raise GraphError(f"{name!r} is of type {TensorProto.DataType.Name(elem_type)}, which has no tensors here")
        return known

    def _initializers(self, graph: GraphProto, outer: Mapping[str, str]) -> dict[str, str]:
        """Names in this graph -> the bundle's tensor, those of the graphs around it included."""
        if graph.sparse_initializer:
            raise GraphError(f"graph {graph.name!r} has sparse initializers")
        names = dict(outer)
        for tensor in graph.initializer:
            if tensor.name in self._external:
                names[tensor.name] = self._external[tensor.name]
            else:
                names[tensor.name] = self._add(tensor.name, tensor)
            self._types.setdefault(tensor.name, tensor.data_type)
        return names

    def _add(self, name: str, tensor: TensorProto) -> str:
        self._storage(tensor.data_type, name)
        return self._add_array(name, stored(numpy_helper.to_array(tensor), tensor.data_type))

    def _add_array(self, name: str, array: Array) -> str:
        unique, number = name, 1
        while unique in self._taken:
            number += 1
            unique = f"{name}.{number}"
        self._tensors[unique] = array
        self._taken.add(unique)
        return unique

    def _nodes(self, graph: GraphProto, names: dict[str, str]) -> list[dict[str, Any]]:
        ops: list[dict[str, Any]] = []
        for node in graph.node:
            if node.op_type == "Constant" and node.domain in MAIN_DOMAIN:
                names[node.output[0]] = self._constant(node)
                continue
            # A value of this graph hides a tensor of the same name around it.
            inputs = [names.get(name, name) for name in node.input]
            for name in node.output:
                names.pop(name, None)
            op, attributes = self._type(node), self._attributes(node, names)
            if op == "CastLike" and self._types.get(node.input[1]):
                # Which of the narrow types is meant, only the importer can see.
                op, inputs, attributes["to"] = "Cast", inputs[:1], value_name(self._types[node.input[1]])
            ops.append(_op(op, self._place(node), inputs, list(node.output), attributes))
        return ops

    @staticmethod
    def _type(node: NodeProto) -> str:
        return node.op_type if node.domain in MAIN_DOMAIN else f"{node.domain}.{node.op_type}"

    def _place(self, node: NodeProto) -> str:
        place = next((self._places[name] for name in node.output if name in self._places), node.name)
        return place[-400:]

    def _constant(self, node: NodeProto) -> str:
        attribute = node.attribute[0]
        value = helper.get_attribute_value(attribute)
        if attribute.name == "value":
            self._types[node.output[0]] = value.data_type
            return self._add(node.output[0], value)
        if attribute.name not in ("value_float", "value_floats", "value_int", "value_ints"):
            raise GraphError(f"Constant {node.output[0]!r} holds {attribute.name!r}, no numbers")
        dtype = np.float32 if "float" in attribute.name else np.int64
        self._types[node.output[0]] = TensorProto.FLOAT if "float" in attribute.name else TensorProto.INT64
        return self._add_array(node.output[0], np.asarray(value, dtype))

    def _attributes(self, node: NodeProto, names: dict[str, str]) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            attributes[attribute.name] = self._attribute(node, attribute, names)
        if node.op_type == "QuantizeLinear" and "output_dtype" not in attributes and len(node.input) > 2:
            known = self._types.get(node.input[2])
            if known:
                attributes["output_dtype"] = value_name(known)
        return attributes

    def _attribute(self, node: NodeProto, attribute: AttributeProto, names: dict[str, str]) -> Any:
        value = helper.get_attribute_value(attribute)
        if attribute.type == AttributeProto.GRAPH:
            return self._graph(value, names)
        if attribute.type == AttributeProto.TENSOR:
            return {"tensor": self._add(f"{node.output[0]}.{attribute.name}", value)}
        if (node.op_type, attribute.name) in _TYPE_ATTRIBUTES:
            return value_name(value)
        if attribute.type == AttributeProto.FLOAT:
            return _number(float(np.float32(value)))
        if attribute.type == AttributeProto.FLOATS:
            return [_number(float(np.float32(each))) for each in value]
        if attribute.type == AttributeProto.STRING:
            return value.decode()
        if attribute.type == AttributeProto.STRINGS:
            return [each.decode() for each in value]
        if attribute.type in (AttributeProto.INT, AttributeProto.INTS):
            return value if isinstance(value, int) else list(value)
        raise GraphError(
            f"attribute {attribute.name!r} of {node.op_type} {node.name!r} is of a kind without a meaning here"
        )

    def _graph(self, graph: GraphProto, outer: dict[str, str]) -> dict[str, Any]:
        for info in [*graph.value_info, *graph.input, *graph.output]:
            self._types.setdefault(info.name, info.type.tensor_type.elem_type)
        names = self._initializers(graph, outer)
        for info in graph.input:
            names.pop(info.name, None)
        ops = self._nodes(graph, names)
        return {
            "inputs": [info.name for info in graph.input],
            "outputs": [names.get(info.name, info.name) for info in graph.output],
            "ops": ops,
        }


def _op(op: str, name: str, inputs: list[str], outputs: list[str], attrs: dict[str, Any]) -> dict[str, Any]:
    return {"op": op, "name": name, "inputs": inputs, "outputs": outputs, "attrs": attrs}


def _number(value: float) -> Any:
    """JSON has no infinities."""
    if math.isfinite(value):
        return value
    return {"number": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}

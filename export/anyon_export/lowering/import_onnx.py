"""ONNX graph -> Graph, node for node: parameters become weight expressions, small initializers constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from anyon_export.expressions import param
from anyon_export.lowering.graph import Dim, Graph, LoweringError, Node, State, ValueType
from anyon_export.onnx_export import ProgramSpec
from anyon_export.value_types import STORED


def import_onnx(model: onnx.ModelProto, spec: ProgramSpec) -> Graph:
    """External initializers are the model's parameters; states are taken out of the inputs and outputs."""
    graph = Graph(spec.name)
    graph.states = [State(state.input, state.output, state.axis, state.capacity) for state in spec.states]
    state_inputs = {state.name for state in graph.states}
    for info in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        graph.types[info.name] = _value_type(info)
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            if tensor.data_type != TensorProto.FLOAT:
                raise LoweringError(f"program {spec.name!r}: parameter {tensor.name!r} is not float32")
            graph.weights[tensor.name] = param(tensor.name, tensor.dims)
        else:
            graph.constants[tensor.name] = np.array(numpy_helper.to_array(tensor))
    graph.inputs = [info.name for info in model.graph.input if info.name not in state_inputs]
    graph.outputs = [info.name for info in model.graph.output]
    for proto in model.graph.node:
        if proto.domain not in ("", "ai.onnx"):
            raise LoweringError(f"program {spec.name!r}: {proto.op_type} is of the foreign domain {proto.domain!r}")
        attrs = {attribute.name: _attribute(attribute) for attribute in proto.attribute}
        graph.append(Node(proto.op_type, list(proto.input), list(proto.output), attrs, proto.name))
    return graph


def _value_type(info: onnx.ValueInfoProto) -> ValueType:
    """A dimension that the exporter left open gets a name that equals no other."""
    tensor = info.type.tensor_type
    dims: list[Dim] = []
    for axis, dim in enumerate(tensor.shape.dim):
        known = dim.WhichOneof("value")
        dims.append(f"?{info.name}.{axis}" if known is None else getattr(dim, known))
    return ValueType(STORED[tensor.elem_type], tuple(dims))


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return np.array(numpy_helper.to_array(value))
    if attribute.type == onnx.AttributeProto.FLOAT:
        return float(np.float32(value))
    return list(value) if attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS) else value

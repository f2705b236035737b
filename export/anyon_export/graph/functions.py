"""Ops that ONNX defines through other ops: their definition takes their place where the runtime has no function."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto, defs, inliner, shape_inference

MAIN_DOMAIN = ("", "ai.onnx")
_WRITTEN_OUT = "anyon.definitions"  # the domain of definitions on their way into the graph
_ROUNDS = 8  # a definition may use ops that have definitions


def walk(graph: GraphProto) -> Iterator[NodeProto]:
    """Every node of a graph and of the graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from walk(attribute.g)


def expand_functions(model: onnx.ModelProto, native: Collection[str]) -> onnx.ModelProto:
    """The model with its own functions, and ONNX's for ops outside `native`, written out. `model` stays as it is."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    for _ in range(_ROUNDS):
        expanded = _expand_once(model, native)
        if expanded is None:
            break
        model = expanded
    return model


def _expand_once(model: onnx.ModelProto, native: Collection[str]) -> onnx.ModelProto | None:
    """One level of definitions; None when there is nothing to do."""
    versions = {row.domain: row.version for row in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 1))
    if not any(_schema(node, versions, native) for node in walk(model.graph)):
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    types = _value_types(model)
    for node in walk(copy.graph):
        schema = _schema(node, versions, native)
        if schema is None:
            continue
        for name, attribute in schema.attributes.items():
            if attribute.default_value.name and all(given.name != name for given in node.attribute):
                node.attribute.append(attribute.default_value)
        function = _definition(node, schema, versions.get(node.domain, opset), types)
        if function is None:
            continue
        function.domain, function.name = _WRITTEN_OUT, f"{node.op_type}_{len(copy.functions)}"
        for row in function.opset_import:
            row.version = opset if row.domain in MAIN_DOMAIN else row.version
        node.domain, node.op_type = function.domain, function.name
        copy.functions.append(function)
    if not copy.functions:
        return None
    copy.opset_import.append(onnx.helper.make_opsetid(_WRITTEN_OUT, 1))
    if not any(row.domain in MAIN_DOMAIN for row in copy.opset_import):
        copy.opset_import.append(onnx.helper.make_opsetid("", _main_opset(copy.functions)))
    return inliner.inline_local_functions(copy)


def _main_opset(functions: Collection[FunctionProto]) -> int:
    """For a model that itself uses other domains only."""
    return max(int(row.version) for function in functions for row in function.opset_import if row.domain in MAIN_DOMAIN)


def _schema(node: NodeProto, versions: dict[str, int], native: Collection[str]) -> Any:
    """The schema (onnx's stubs lack what is asked of it) of an op that has to be written out and can be, or None."""
    if node.domain in MAIN_DOMAIN and node.op_type in native:
        return None
    try:
        schema: Any = defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
    except defs.SchemaError:
        return None
    return schema if schema.has_function or schema.has_context_dependent_function else None


def _definition(node: NodeProto, schema: Any, opset: int, types: dict[str, TypeProto]) -> FunctionProto | None:
    """The body for this node: some depend on its attributes, on inputs left out, or on element types."""
    function = FunctionProto()
    plain = [version for version in schema.function_opset_versions if version <= opset]
    dependent = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
    if plain:
        function.ParseFromString(schema.get_function_with_opset_version(max(plain)))
    elif dependent:
        given = [types.get(name, TypeProto()).SerializeToString() for name in node.input]
        content = schema.get_context_dependent_function_with_opset_version(
            max(dependent), node.SerializeToString(), given
        )
        function.ParseFromString(content)
    else:
        return None
    return function


def _value_types(model: onnx.ModelProto) -> dict[str, TypeProto]:
    graph = shape_inference.infer_shapes(model).graph
    types = {info.name: info.type for info in [*graph.value_info, *graph.input, *graph.output]}
    for tensor in graph.initializer:
        types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    return types

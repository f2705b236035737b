"""OpenVINO models of a bundle's programs: caches are variables, quantised weights stay compressed.

Needs numpy and openvino; the SDK's backend uses it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anyon_export.bundle import upright
from anyon_export.bundle_reader import BundleReader
from anyon_export.draft import drafted
from anyon_export.expressions import Array
from anyon_export.onnx_nodes import FLOAT, Graph, Node, Tensor, read_graph
from anyon_export.onnx_weights import dequantises
from anyon_export.target import Artefact

Row = Mapping[str, Any]
# The row's name and the row -> the array that it stands for (see bundle.unpack_initializer).
Read = Callable[[str, Row], Array]

BEAMS = "beam_idx"
# By ONNX's numbers.
_REFUSED = {11: "f64", 16: "bf16"}
# Changes with what build_model makes of the same graph, so that nothing compiled from an older one is used.
MODEL_VERSION = 1


def variable_of(state: Mapping[str, Any]) -> str:
    """The name of the variable that a state (the manifest's) becomes."""
    return str(state["onnx_input"]) + str(state["onnx_output"])


def build_model(graph: bytes, rows: Mapping[str, Row], read: Read, states: Sequence[Mapping[str, Any]]) -> Any:
    """An openvino.Model of one program.

    graph: a serialized ModelProto whose initializers are outside; rows: the manifest's entry of each; states: the
    manifest's. With states the model has a further input `beam_idx` (rows), int32: row b of every state is what row
    beam_idx[b] was. `reset_state` of the infer request empties them.

    Raises ValueError for a damaged graph, and RuntimeError for one that OpenVINO cannot convert.
    """
    import openvino

    opened = read_graph(graph)
    dequantised = _take_out(opened, rows)
    model = openvino.Core().read_model(opened.serialized())
    made: dict[str, Any] = {}
    for parameter in model.get_parameters():
        name = parameter.get_friendly_name()
        if name in opened.inputs:
            node = dequantised.get(name)
            value = _constant(name, rows[name], read) if node is None else _dequantised(node, rows, read, made)
            for target in parameter.output(0).get_target_inputs():
                target.replace_source_output(value.output(0))
            model.remove_parameter(parameter)
    _spell_out_attention(model)
    if states:
        _keep_states(model, states)
    model.validate_nodes_and_infer_types()
    return model


def _take_out(graph: Graph, rows: Mapping[str, Row]) -> dict[str, Node]:
    """Makes inputs of the graph's weights. Returns the nodes that dequantised them, by what they gave."""
    wrong = next((name for name, tensor in graph.weights.items() if tensor.type in _REFUSED), None)
    if wrong is not None:
        raise ValueError(f"{wrong}: weights of {_REFUSED[graph.weights[wrong].type]} would be computed in f32")
    taken = {node.outputs[0]: node for node in graph.nodes if dequantises(node, graph.weights, rows)}
    parts = {name for node in taken.values() for name in node.inputs}
    graph.nodes = [node for node in graph.nodes if node.outputs[0] not in taken]
    read = {name for node in graph.nodes for name in node.inputs}
    # What no node reads may be read inside a branch or a loop.
    graph.inputs = {name: tensor for name, tensor in graph.weights.items() if name in read or name not in parts}
    for name, node in taken.items():
        graph.inputs[name] = Tensor(FLOAT, graph.weights[node.inputs[0]].shape)
    graph.weights = {}
    return taken


def _dequantised(node: Node, rows: Mapping[str, Row], read: Read, made: dict[str, Any]) -> Any:
    """What the node computes, in the pattern that OpenVINO keeps compressed: constant, converted, less zero, by scale.

    A transpose that the bundle's row asks for becomes a node of its own, which OpenVINO takes into the product. Both
    forms of a tied table share their constants through `made`.
    """
    from openvino import opset13 as ops

    names, parts = node.inputs, [upright(rows[name]) for name in node.inputs]
    shape, turned = list(parts[0]["shape"]), parts[0] is not rows[names[0]]
    key = str(parts[0])
    if key not in made:
        block = node.attributes.get("block_size", 0)
        if block and shape[1] % block:
            raise ValueError(f"{names[0]}: rows of {shape[1]} are not whole groups of {block}")
        blocks = [shape[0], shape[1] // block, block] if block else shape
        # A scale for each row or block. Axis 1 of a transpose is axis 0 of what it is the transpose of.
        each = [*blocks[:-1], 1] if block else [shape[0]] + [1] * (len(shape) - 1)
        constants = [_constant(names[0], parts[0], read, blocks)]
        constants += [_constant(name, row, read, each) for name, row in zip(names[1:], parts[1:], strict=True)]
        value = ops.convert(constants[0], "f32")
        if len(constants) == 3:
            value = ops.subtract(value, ops.convert(constants[2], "f32"))
        if len(constants) > 1:
            value = ops.multiply(value, constants[1])
        made[key] = ops.reshape(value, np.array(shape), False) if block else value
    return ops.transpose(made[key], np.array([1, 0])) if turned else made[key]


def _constant(name: str, row: Row, read: Read, shape: list[int] | None = None) -> Any:
    """In memory of OpenVINO's own, so that nothing has to outlive the model. shape: another one with as many values."""
    import openvino

    array = read(name, row).reshape(shape or row["shape"])
    if row.get("dtype") == "uint4":
        tensor = openvino.Tensor(openvino.Type.u4, openvino.Shape(array.shape))
        tensor.data.reshape(-1)[:] = array.reshape(-1)[: tensor.data.size]
    else:
        tensor = openvino.Tensor(openvino.Type(array.dtype), openvino.Shape(array.shape))
        tensor.data[...] = array
    constant = openvino.op.Constant(tensor)
    constant.set_friendly_name(name)
    return constant


def _spell_out_attention(model: Any) -> None:
    """Attention over keys that are inputs becomes products and a softmax.

    OpenVINO's own way of taking such a node apart turns and scales the keys at every run, which costs as much as the
    rest of a decoder step.
    """
    from openvino import opset13 as ops

    for node in model.get_ops():
        if node.get_type_name() != "ScaledDotProductAttention":
            continue
        query, key, value = (node.input_value(index) for index in range(3))
        width = query.get_partial_shape()[3]
        held = key.get_node().get_type_name() == "Parameter"
        if not held or width.is_dynamic or node.get_attributes()["causal"] or not _has_no_mask(node):
            continue
        scaled = ops.multiply(query, np.float32(width.get_length() ** -0.5))
        weights = ops.softmax(ops.matmul(scaled, key, False, True), -1)
        attended = ops.matmul(weights, value, False, False)
        for target in node.output(0).get_target_inputs():
            target.replace_source_output(attended.output(0))


def _has_no_mask(attention: Any) -> bool:
    """Whether it has neither a mask (a single zero stands for none) nor a scale of its own."""
    if attention.get_input_size() == 4:
        mask = attention.input_value(3).get_node()
        inner = mask.input_value(0).get_node() if mask.get_type_name() == "ConvertLike" else mask
        return bool(inner.get_type_name() == "Constant" and inner.data.size == 1 and not inner.data.any())
    return bool(attention.get_input_size() == 3)


def _keep_states(model: Any, states: Sequence[Mapping[str, Any]]) -> None:
    """Pairs of inputs and outputs become variables, whose rows are chosen anew at each run."""
    from openvino import opset13 as ops
    from openvino._offline_transformations import apply_make_stateful_transformation

    parameters = {parameter.get_friendly_name(): parameter for parameter in model.get_parameters()}
    beams = ops.parameter([-1], np.int32, name=BEAMS)
    beams.output(0).set_names({BEAMS})
    for spec in states:
        parameter = parameters[spec["onnx_input"]]
        targets = parameter.output(0).get_target_inputs()
        chosen = ops.gather(parameter, beams, np.int64(0))
        for target in targets:
            target.replace_source_output(chosen.output(0))
    model.add_parameters([beams])
    model.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(model, {spec["onnx_input"]: spec["onnx_output"] for spec in states})
    # An empty state has as many rows as the run that fills it; left alone it would have none.
    shapes = {variable_of(spec): spec["shape"] for spec in states}
    batch = ops.shape_of(beams, "i64")
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            shape = shapes[node.get_attributes()["variable_id"]]
            sizes = [batch if dim == "batch" else _vector(0 if isinstance(dim, str) else int(dim)) for dim in shape]
            node.set_arguments([ops.broadcast(np.float32(0), ops.concat(sizes, 0))])


def _vector(value: int) -> Any:
    from openvino import opset13 as ops

    return ops.constant(np.array([value], np.int64))


def write(bundle: Path, folder: Path) -> Artefact:
    """Writes `<program>.xml` and `<program>.bin` for every program of a bundle; the same bundle gives the same bytes.

    Raises ValueError for a bundle without ONNX graphs, RuntimeError for one that OpenVINO cannot convert, OSError when
    the files cannot be written.
    """
    import openvino

    reader = BundleReader(bundle)
    stateful = 0
    with drafted(folder) as draft:
        for program in reader.graphs():
            states = reader.states(program)
            model = build_model(reader.graph(program), reader.rows(program), reader.initializer, states)
            _name_by_order(model)
            openvino.save_model(model, draft / f"{program}.xml", compress_to_fp16=False)
            stateful += len(states)
        names = sorted(path.name for path in draft.iterdir())
    return Artefact(
        "openvino",
        tuple(folder / name for name in names),
        f"{stateful}, variables in place" if stateful else "none",
        f"reset_state() empties the variables, {BEAMS} says which row each row goes on from; f32 hints are exact",
    )


def _name_by_order(model: Any) -> None:
    """Nodes that OpenVINO named itself, by a counter that goes on from model to model, are named by their place."""
    for index, node in enumerate(model.get_ordered_ops()):
        kind, _, number = node.get_friendly_name().rpartition("_")
        if number.isdigit() and kind == node.get_type_name():
            node.set_friendly_name(f"{kind}_{index}")

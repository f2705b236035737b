"""From a PyTorch program to an ONNX graph without weights: torch.export, the ONNX exporter, tidy names, the checker.

The graph never depends on the values of the weights (they are fake tensors while tracing), so the graph a blueprint
carries is the graph that an export of real weights makes, and the largest model needs no memory for its weights.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
import onnx_ir
import torch
from onnxscript.optimizer import optimize_ir
from torch import nn

EXTERNAL_LOCATION = "weights"  # a name only: whoever runs the graph hands the arrays over by initializer name
MINIMUM_OPSET = 23  # the first one with Attention


@dataclass(frozen=True)
class StateSpec:
    """A state of a program: an input and the output that replaces it; it grows by `time` along `axis`."""

    input: str
    output: str
    axis: int
    capacity: int


@dataclass(frozen=True)
class ProgramSpec:
    """Everything about a program that its PyTorch module does not say.

    dims: bounds of each named dimension. broadcast: inputs whose batch may divide the batch.
    example: arguments of module.forward; dynamic_shapes: the same structure, {axis: dimension} for each tensor.
    """

    name: str
    module: nn.Module
    example: tuple[Any, ...]
    dynamic_shapes: tuple[Any, ...]
    input_names: Sequence[str]
    output_names: Sequence[str]
    dims: Mapping[str, tuple[int, int]]
    states: Sequence[StateSpec] = ()
    broadcast: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def fake_weights() -> Iterator[None]:
    """Modules built inside have parameters of the right shape and no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        yield


@contextlib.contextmanager
def _quiet_and_size_oblivious() -> Iterator[None]:
    """Sizes that happen to be 0 or 1 are treated as any other, and reshapes are not proved by slow symbolic division.

    Without it those proofs make tracing a 12-layer decoder eight times slower, and more with every layer.
    """
    from torch.fx.experimental import _config

    patch = _config.patch  # type: ignore[attr-defined]  # added to the module at run time
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")  # speaks of torchvision's absence
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), patch(backed_size_oblivious=True):
            warnings.simplefilter("ignore")
            yield
    finally:
        registration.setLevel(level)


def export_onnx(spec: ProgramSpec, opset: int = MINIMUM_OPSET) -> onnx.ModelProto:
    """Exports one program; initializers are external, keep the model's parameter names, and hold no data.

    The graph has the names and dimensions of `spec` and shape information for every value. Raises ValueError for an
    opset without Attention, and whatever torch.export or the ONNX checker raise.
    """
    if opset < MINIMUM_OPSET:
        raise ValueError(f"export: opset {opset} has no Attention operator; use {MINIMUM_OPSET} or newer")
    with _quiet_and_size_oblivious():
        exported = torch.export.export(
            spec.module.eval(),
            spec.example,
            dynamic_shapes=spec.dynamic_shapes,
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        program = torch.onnx.export(
            exported,
            dynamo=True,
            opset_version=opset,
            input_names=list(spec.input_names),
            output_names=list(spec.output_names),
            optimize=False,
            verbose=False,
        )
    assert program is not None
    model = program.model
    parameters = _weights_to_inputs(model)
    optimize_ir(model)
    _inputs_to_weights(model, parameters)
    proto = onnx_ir.serde.serialize_model(model)
    _rename_dimensions(proto, spec)
    _strip_provenance(proto)
    onnx.checker.check_model(_without_external_data(proto), full_check=True)
    return proto


def _weights_to_inputs(model: onnx_ir.Model) -> dict[str, onnx_ir.Value]:
    """Turns every parameter into an input of the graph, so that no optimisation looks for its data or folds it."""
    parameters = dict(model.graph.initializers)
    for name, value in parameters.items():
        del model.graph.initializers[name]
        value.const_value = None
        model.graph.inputs.append(value)
    return parameters


def _inputs_to_weights(model: onnx_ir.Model, parameters: dict[str, onnx_ir.Value]) -> None:
    """Undoes `_weights_to_inputs`: parameters become external initializers; those that nothing reads are dropped."""
    for name, value in parameters.items():
        model.graph.inputs.remove(value)
        if not value.uses():
            continue
        shape, dtype = value.shape, value.dtype
        assert shape is not None, name
        assert dtype is not None, name
        nbytes = math.prod(shape.numpy()) * dtype.itemsize
        value.const_value = onnx_ir.ExternalTensor(EXTERNAL_LOCATION, None, int(nbytes), dtype, shape=shape, name=name)
        model.graph.register_initializer(value)


def _rename_dimensions(proto: onnx.ModelProto, spec: ProgramSpec) -> None:
    """Gives torch's symbols (s26, s18 ...) the names of the spec, in inputs, outputs and every intermediate shape."""
    names: dict[str, str] = {}
    for info, dims in zip(proto.graph.input, _flatten(spec.dynamic_shapes), strict=True):
        for axis, dim in (dims or {}).items():
            symbols = re.findall(r"\bs\d+\b", info.type.tensor_type.shape.dim[axis].dim_param)
            if len(symbols) == 1:  # "s7", or "2*s7" of a dimension derived from another
                names[symbols[0]] = getattr(dim, "root", dim).__name__
    pattern = re.compile(r"\bs\d+\b")
    for info in [*proto.graph.input, *proto.graph.output, *proto.graph.value_info]:
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = pattern.sub(lambda m: names.get(m.group(), m.group()), dim.dim_param).replace(" ", "")


def _flatten(shapes: Any) -> list[Any]:
    """Leaves ({axis: dim} or None) of nested dynamic shapes, in order."""
    if isinstance(shapes, (tuple, list)):
        return [leaf for item in shapes for leaf in _flatten(item)]
    return [shapes]


def _strip_provenance(proto: onnx.ModelProto) -> None:
    """Removes stack traces, file names and tool versions: the same model must give the same bytes anywhere."""
    proto.producer_name, proto.producer_version, proto.doc_string = "anyon", "", ""
    del proto.metadata_props[:]
    graph = proto.graph
    graph.name, graph.doc_string = "main_graph", ""
    del graph.metadata_props[:]
    for item in [*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        item.doc_string = ""
        del item.metadata_props[:]


def _without_external_data(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose external initializers are inputs, because the checker insists on opening external files."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    kept = [tensor for tensor in copy.graph.initializer if tensor.data_location != onnx.TensorProto.EXTERNAL]
    for tensor in copy.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            copy.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    return copy

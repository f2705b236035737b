"""Graph -> the program section of a manifest (plain JSON data)."""

from __future__ import annotations

from typing import Any

import numpy as np

from anyon_export.expressions import constant
from anyon_export.lowering.graph import Dim, Graph, LoweringError
from anyon_export.onnx_export import ProgramSpec


def emit(graph: Graph, spec: ProgramSpec) -> dict[str, Any]:
    """Constants that ops still read become weights of the graph, so call this before collecting the weights."""
    for name, array in graph.constants.items():
        graph.weights[name] = constant(np.asarray(array))
    graph.constants = {}
    dims = {name: list(bounds) for name, bounds in spec.dims.items()}
    inputs = [_value(graph, name, spec, dims) for name in graph.inputs]
    return {
        "dims": dims,
        "inputs": inputs,
        "outputs": [_value(graph, name, spec, dims) for name in graph.outputs],
        "states": [
            {
                **_value(graph, state.name, spec, dims),
                "kind": "append",
                "axis": state.axis,
                "capacity": state.capacity,
                "onnx_input": state.name,
                "onnx_output": state.output,
            }
            for state in graph.states
        ],
        "ops": [
            {
                "op": node.op,
                "name": node.name,
                "inputs": list(node.inputs),
                "outputs": list(node.outputs),
                "attrs": node.attrs,
            }
            for node in graph.nodes
        ],
    }


def _value(graph: Graph, name: str, spec: ProgramSpec, dims: dict[str, list[int]]) -> dict[str, Any]:
    known = graph.types[name]
    value: dict[str, Any] = {
        "name": name,
        "dtype": known.dtype,
        "shape": [_dim(dim, spec, dims) for dim in known.shape],
    }
    if any(dim in spec.broadcast for dim in known.shape):
        value["broadcast"] = True
    return value


def _dim(dim: Dim, spec: ProgramSpec, dims: dict[str, list[int]]) -> Dim:
    """A number or a name: audio rows are a broadcast batch, twice the frames are a dimension of their own."""
    if isinstance(dim, int) or dim in spec.dims:
        return dim
    if dim in spec.broadcast:
        return spec.broadcast[dim]
    factor, _, name = dim.partition("*")
    if factor.isdigit() and name in spec.dims:
        dims[f"{name}{factor}"] = [int(factor) * bound for bound in spec.dims[name]]
        return f"{name}{factor}"
    raise LoweringError(f"program {spec.name!r}: dimension {dim!r} of an input or output has no name")

"""A traced module: its ONNX graph without weights, the weights, its dimensions, and places in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir
import torch
from onnxscript.optimizer import optimize_ir
from torch import nn
from torch.utils import _pytree as pytree

from anyon_export.engines import plain_arithmetic
from anyon_export.export import ExportError
from anyon_export.onnx_export import (
    _inputs_to_weights,
    _quiet_and_size_oblivious,
    _strip_provenance,
    _weights_to_inputs,
    _without_external_data,
)
from anyon_export.value_types import Array

_SCOPES = "pkg.torch.onnx.name_scopes"
_STACK = "pkg.torch.onnx.stack_trace"
_SYMBOL = re.compile(r"\b[su]\d+\b")
_MOST = 1 << 40


class TracedModule:
    """model: initializers are external and hold no data; weights: by initializer name; bounds: of named dimensions;
    places: module path of the node that makes a value."""

    def __init__(
        self,
        model: onnx.ModelProto,
        weights: dict[str, Array],
        bounds: dict[str, tuple[int, int]],
        notes: dict[str, tuple[str, str]],
        arguments: list[torch.Tensor],
        results: list[torch.Tensor],
    ) -> None:
        self.model = model
        self.weights = weights
        self.bounds = bounds
        self._notes = notes
        self._arguments = arguments
        self._results = results

    @property
    def places(self) -> dict[str, str]:
        return {value: path for value, (path, _) in self._notes.items() if path}

    def where(self, node: onnx.NodeProto) -> str:
        """Module path and line of the source; "" when the trace does not know the node."""
        for name in node.output:
            path, line = self._notes.get(name, ("", ""))
            if path or line:
                return f"{path or 'forward'} ({line})" if line else path
        return ""

    def serialized(self) -> Array:
        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        del copy.graph.value_info[:]
        return np.frombuffer(copy.SerializeToString(deterministic=True), dtype=np.uint8)

    def arguments(self) -> list[Array]:
        return [_array(tensor) for tensor in self._arguments]

    def results(self) -> list[Array]:
        return [_array(tensor) for tensor in self._results]

    def difference(self, result: Array, expected: Array) -> tuple[float, float]:
        """(largest error, largest magnitude); infinities and NaN must stand in the same places."""
        if expected.dtype == np.uint16:
            result, expected = _widened(result), _widened(expected)
        finite = np.isfinite(expected)
        if not np.array_equal(np.where(finite, 0, expected), np.where(finite, 0, result), equal_nan=True):
            return float("inf"), 0.0
        if not finite.any():
            return 0.0, 0.0
        a, b = result[finite].astype(np.float64), expected[finite].astype(np.float64)
        return float(np.abs(a - b).max()), float(np.abs(b).max())


def trace(
    module: nn.Module,
    example_inputs: Sequence[Any] | Mapping[str, Any],
    dynamic_shapes: Any,
    output_names: Sequence[str] | None,
    opset: int,
) -> TracedModule:
    """Runs and exports the module. Raises ExportError when PyTorch cannot export it."""
    arguments = () if isinstance(example_inputs, Mapping) else tuple(example_inputs)
    keywords = dict(example_inputs) if isinstance(example_inputs, Mapping) else {}
    module = module.eval()
    before = _buffer_versions(module)
    with plain_arithmetic():
        returned = module(*arguments, **keywords)
    changed = [name for name, version in _buffer_versions(module).items() if before.get(name) != version]
    if changed:
        # torch.onnx drops such a change without a word: the first run would agree with PyTorch, later ones would not.
        raise ExportError(
            f"export: {type(module).__name__} changes its buffers {', '.join(changed[:5])} while it runs, "
            "which a graph cannot keep (take them as arguments of forward and return them)"
        )
    try:
        with _quiet_and_size_oblivious(), torch.no_grad():
            exported = torch.export.export(
                module,
                arguments,
                keywords,
                dynamic_shapes=dynamic_shapes,
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            program = torch.onnx.export(exported, dynamo=True, opset_version=opset, optimize=False, verbose=False)
    except Exception as error:  # torch's own family, and whatever the module raises while traced
        raise ExportError(
            f"export: PyTorch cannot export {type(module).__name__}: {type(error).__name__}: "
            + re.sub(r"\x1b\[\d+m", "", str(error))[:2000]
        ) from error
    assert program is not None
    model = program.model
    weights = {name: _numpy(value.const_value) for name, value in model.graph.initializers.items()}
    notes = dict(_notes(model.graph))
    parameters = _weights_to_inputs(model)
    optimize_ir(model)
    _inputs_to_weights(model, parameters)
    kept = {name: weights[name] for name in model.graph.initializers if name in weights}
    leaves = [(path, leaf) for path, leaf in _with_paths(returned) if _is_tensor(leaf)]
    proto = onnx_ir.serde.serialize_model(model)
    inputs = _input_tensors(proto, arguments, keywords)
    if len(inputs) != len(proto.graph.input) or len(leaves) != len(proto.graph.output):
        raise ExportError(
            f"export: {type(module).__name__} takes {len(inputs)} tensors and gives {len(leaves)}, but its graph has "
            f"{len(proto.graph.input)} and {len(proto.graph.output)} (wrap it in a module of tensors alone)"
        )
    names = _output_names([path for path, _ in leaves], output_names)
    notes = {**notes, **_rename_outputs(proto, names, notes)}
    bounds = _name_dimensions(proto, exported, _shape_leaves(proto, dynamic_shapes))
    _strip_provenance(proto)
    onnx.checker.check_model(_without_external_data(proto), full_check=True)
    return TracedModule(proto, kept, bounds, notes, inputs, [leaf for _, leaf in leaves])


def _buffer_versions(module: nn.Module) -> dict[str, tuple[int, int]]:
    """What differs after a buffer was replaced or written to."""
    return {name: (id(buffer), buffer._version) for name, buffer in module.named_buffers()}


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor)


def _with_paths(returned: Any) -> list[tuple[Any, Any]]:
    """Leaves of what forward returned; some libraries register their outputs without key paths, but as mappings."""
    try:
        return list(pytree.tree_flatten_with_path(returned)[0])
    except ValueError:
        plain = dict(returned) if isinstance(returned, Mapping) else pytree.tree_leaves(returned)
        return list(pytree.tree_flatten_with_path(plain)[0])


def _array(tensor: torch.Tensor) -> Array:
    """As the runtime takes it: bfloat16 as its bits."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy()
    return tensor.numpy()


def _widened(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _numpy(value: Any) -> Array:
    return np.asarray(value.numpy())


def _notes(graph: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    """Value -> (module path, last line of the source outside libraries)."""
    for node in graph:
        path, line = "", ""
        if _SCOPES in node.metadata_props:
            scopes = ast.literal_eval(node.metadata_props[_SCOPES])
            path = scopes[-2] if len(scopes) > 1 else ""
        if _STACK in node.metadata_props:
            frames = re.findall(r'File "([^"]+)", line (\d+)', node.metadata_props[_STACK])
            own = [frame for frame in frames if "/torch/" not in frame[0]] or frames
            line = f"{own[-1][0]}:{own[-1][1]}" if own else ""
        for output in node.outputs:
            yield output.name, (path, line)


def _output_names(paths: list[Any], given: Sequence[str] | None) -> list[str]:
    """Keys of what forward returns: "logits", "past_0_1"; "output" when it is one tensor."""
    if given is not None:
        if len(given) != len(paths) or len(set(given)) != len(given):
            raise ExportError(f"export: {len(given)} output names for {len(paths)} outputs (each needs its own)")
        return list(given)
    names = []
    for path in paths:
        parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", "")))) for key in path]
        text = "_".join(part for part in parts if part)
        names.append(f"output_{text}" if text[:1].isdigit() else text or "output")
    return names


def _rename_outputs(
    proto: onnx.ModelProto, names: list[str], notes: dict[str, tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """Gives outputs these names; one that is an input, a weight or given twice goes through an Identity."""
    graph = proto.graph
    made = {name: node for node in graph.node for name in node.output}
    taken = set(made) | {info.name for info in graph.input} | {tensor.name for tensor in graph.initializer}
    fresh: dict[str, tuple[str, str]] = {}
    for info, name in zip(graph.output, names, strict=True):
        unique = name
        while unique in taken and unique != info.name:
            unique += "_out"
        taken.add(unique)
        fresh[unique] = notes.get(info.name, ("", ""))
        if unique != info.name:
            graph.node.append(onnx.helper.make_node("Identity", [info.name], [unique]))
            info.name = unique
    return fresh


def _input_tensors(proto: onnx.ModelProto, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> list[torch.Tensor]:
    """The example's tensors in the order of the graph's inputs."""
    names = [info.name for info in proto.graph.input]
    if not arguments and all(isinstance(keywords.get(name), torch.Tensor) for name in names):
        return [keywords[name] for name in names]
    return [leaf for leaf in pytree.tree_leaves((arguments, keywords)) if _is_tensor(leaf)]


def _shape_leaves(proto: onnx.ModelProto, shapes: Any) -> list[Any]:
    """One {axis: dim} for each input of the graph; a list of another length when the structure is not understood."""
    if shapes is None:
        return []
    if isinstance(shapes, Mapping):
        names = [info.name for info in proto.graph.input]
        if all(name in shapes for name in names):
            shapes = [shapes[name] for name in names]

    def leaves(item: Any) -> Iterator[Any]:
        if item is None or (isinstance(item, Mapping) and all(isinstance(axis, int) for axis in item)):
            yield item or {}
        elif isinstance(item, Mapping):
            for value in item.values():
                yield from leaves(value)
        elif isinstance(item, (list, tuple)):
            if item and not any(isinstance(each, (Mapping, list, tuple)) for each in item) and any(item):
                yield dict(enumerate(item))
            else:
                for each in item:
                    yield from leaves(each)

    return list(leaves(shapes))


def _name_dimensions(proto: onnx.ModelProto, exported: Any, shapes: list[Any]) -> dict[str, tuple[int, int]]:
    """Gives torch's symbols the names of the caller's dimensions, and returns the bounds of each."""
    names: dict[str, str] = {}
    if len(shapes) == len(proto.graph.input):
        for info, dims in zip(proto.graph.input, shapes, strict=True):
            for axis, dim in dims.items():
                symbols = _SYMBOL.findall(info.type.tensor_type.shape.dim[axis].dim_param)
                name = getattr(getattr(dim, "root", dim), "__name__", dim if isinstance(dim, str) else "")
                if len(symbols) == 1 and name:
                    names.setdefault(symbols[0], name)
    bounds: dict[str, tuple[int, int]] = {}
    for symbol, interval in exported.range_constraints.items():
        text = str(symbol)
        low = _bound(interval.lower, 0)
        # Sizes of 0 and 1 were traced like any other, whatever torch writes down as the smallest.
        bounds[names.get(text, text)] = (0 if low <= 2 else low, _bound(interval.upper, _MOST))
    for info in [*proto.graph.input, *proto.graph.output, *proto.graph.value_info]:
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = _SYMBOL.sub(lambda m: names.get(m.group(), m.group()), dim.dim_param).replace(" ", "")
    return bounds


def _bound(value: Any, otherwise: int) -> int:
    """sympy's number, or `otherwise` for an infinity."""
    return min(int(value), _MOST) if value.is_Integer else otherwise

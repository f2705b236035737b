"""Small graphs for the tests of lowering passes, and what they compute: ONNX's reference evaluator and plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from anyon_export.expressions import Evaluator, param
from anyon_export.interpreter import Interpreter
from anyon_export.lowering.graph import Graph, Node, Shape, State, ValueType
from anyon_quantization.float32 import pack_panel16

Array = npt.NDArray[Any]
OPSET = 23

# (op, inputs, output, attributes, shape of the output)
Step = tuple[str, list[str], str, dict[str, Any], Shape]


def graph_of(
    inputs: Mapping[str, Shape],
    params: Mapping[str, Sequence[int]],
    steps: Sequence[Step],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
    dtypes: Mapping[str, str] | None = None,
    states: Sequence[State] = (),
) -> Graph:
    graph = Graph("test")
    dtypes = dtypes or {}
    for name, shape in inputs.items():
        graph.types[name] = ValueType(dtypes.get(name, "f32"), shape)
    graph.states = list(states)
    graph.inputs = [name for name in inputs if name not in {state.name for state in states}]
    graph.outputs = list(outputs)
    graph.weights = {name: param(name, shape) for name, shape in params.items()}
    graph.constants = {name: np.asarray(value) for name, value in (constants or {}).items()}
    for op, names, output, attrs, shape in steps:
        graph.types[output] = ValueType(dtypes.get(output, "f32"), shape)
        graph.append(Node(op, list(names), [output], dict(attrs), f"node_{output}"))
    return graph


def random_params(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """A checkpoint for the graph's parameters."""
    from anyon_export.expressions import parameters

    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {}

    def walk(expression: Any) -> None:
        if expression.op == "param":
            shapes[expression.attrs["name"]] = expression.shape
        for part in expression.of:
            walk(part)

    for weight in graph.weights.values():
        walk(weight)
        assert set(parameters(weight)) <= set(shapes)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def run_graph(graph: Graph, feeds: Mapping[str, Array], params: Mapping[str, Array]) -> dict[str, Array]:
    """Evaluates a graph in any stage of lowering. feeds holds inputs, and states where they are still inputs."""
    values: dict[str, Array] = dict(feeds)
    values.update(graph.constants)
    evaluate = Evaluator(params)
    values.update({name: evaluate(weight) for name, weight in graph.weights.items()})
    native = Interpreter({"inputs": [], "outputs": [], "ops": []}, {})
    native.states = {state.name: values[state.name] for state in graph.states if state.name in values}
    for node in graph.nodes:
        arguments = [values[name] if name else None for name in node.inputs]
        if node.op[0].islower():
            if node.op in ("linear", "conv1d") and arguments[1].ndim == 2:
                arguments[1] = pack_panel16(arguments[1])
            function: Callable[..., Array] = getattr(native, "_" + node.op)
            values[node.outputs[0]] = function(*arguments, **node.attrs)
        else:
            values[node.outputs[0]] = _onnx(node, arguments)
    results = {name: values[name] for name in graph.outputs}
    return results | {f"state {name}": array for name, array in native.states.items()}


def _onnx(node: Node, arguments: list[Array | None]) -> Array:
    """One ONNX op by onnx's own reference implementation."""
    names = [f"in{index}" if array is not None else "" for index, array in enumerate(arguments)]
    proto = onnx.helper.make_node(node.op, names, ["out"], **node.attrs)
    infos = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, arguments, strict=True)
        if array is not None
    ]
    graph = onnx.helper.make_graph([proto], "one", infos, [onnx.ValueInfoProto(name="out")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    feeds = {name: array for name, array in zip(names, arguments, strict=True) if array is not None}
    return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])


def assert_unchanged(
    make: Callable[[], Graph],
    passes: Sequence[Callable[[Graph], None]],
    feeds: Mapping[str, Array],
    tolerance: float = 1e-5,
) -> Graph:
    """Runs the passes on one copy and checks that it computes what another, untouched copy computes; returns it."""
    before, after = make(), make()
    for lowering_pass in passes:
        lowering_pass(after)
        after.sort()
    params = random_params(before)
    expected, found = run_graph(before, feeds, params), run_graph(after, feeds, params)
    for name in after.outputs:
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, atol=tolerance, err_msg=name)
    return after


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def noise(*shape: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

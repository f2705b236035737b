"""ONNX models of any origin: hostile ones are refused by name, before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="importing needs onnx: pip install 'anyon[export]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from anyon import _native  # noqa: E402
from anyon_export.bundle import bundle_bytes  # noqa: E402
from anyon_export.graph import GraphError, to_program  # noqa: E402
from anyon_export.graph.functions import expand_functions  # noqa: E402

NATIVE = {name for name, _, _ in _native.graph_ops()}


def model(nodes: list[Any], initializers: list[Any] = (), opset: int = 23, x: str = "rows") -> Any:  # type: ignore[assignment]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [x, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def run(proto: Any, *inputs: Any) -> list[Any]:
    program = to_program(expand_functions(proto, NATIVE))
    bundle = _native.Bundle.from_bytes(bundle_bytes({"programs": {"main": program.section}}, program.tensors), "m")
    return bundle.session("main", _native.ThreadPool(1)).run(list(inputs))


def test_a_constant_and_an_initializer_of_one_name_in_two_graphs_stay_apart() -> None:
    """Names are local to a graph: a branch's `c` is not the outer one."""
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    inner = numpy_helper.from_array(np.float32([5]), "c")
    then = helper.make_graph([helper.make_node("Mul", ["x", "c"], ["out"])], "then", [], [value], [inner])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["out"])], "else", [], [value])
    nodes = [
        helper.make_node("If", ["flag"], ["a"], then_branch=then, else_branch=other),
        helper.make_node("Add", ["a", "c"], ["y"]),
    ]
    outer = [numpy_helper.from_array(np.float32([100]), "c"), numpy_helper.from_array(np.array(True), "flag")]
    x = np.float32([[1, 2, 3]])
    np.testing.assert_array_equal(run(model(nodes, outer), x)[0], 5 * x + 100)


def test_an_output_that_is_an_initializer() -> None:
    value = numpy_helper.from_array(np.float32([[7]]), "y")
    nodes = [helper.make_node("Neg", ["x"], ["unused"])]
    np.testing.assert_array_equal(run(model(nodes, [value]), np.zeros((1, 3), np.float32))[0], [[7]])


def test_infinities_and_nan_survive_json() -> None:
    nodes = [helper.make_node("ThresholdedRelu", ["x"], ["y"], alpha=float("-inf"))]
    x = np.float32([[-1, 0, 1]])
    np.testing.assert_array_equal(run(model(nodes), x)[0], x)


def test_groups_of_no_channels_give_nothing() -> None:
    nothing = [numpy_helper.from_array(np.zeros(0, np.float32), name) for name in ("scale", "bias")]
    nodes = [
        helper.make_node("Constant", [], ["zero"], value_ints=[0]),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("Slice", ["x", "zero", "zero", "axis"], ["none"]),
        helper.make_node("GroupNormalization", ["none", "scale", "bias"], ["y"], num_groups=2),
    ]
    assert run(model(nodes, nothing), np.zeros((2, 3), np.float32))[0].shape == (2, 0)


def test_definitions_of_onnx_replace_ops_that_have_no_function() -> None:
    proto = model([helper.make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[1])])
    assert "MeanVarianceNormalization" not in NATIVE
    x = np.float32([[1, 2, 6]])
    np.testing.assert_allclose(run(proto, x)[0], (x - 3) / np.std(x), atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Add", ["x", "y"], ["y"])], "neither a tensor nor made by a node before this one"),
        ([helper.make_node("Add", ["x", "nobody"], ["y"])], "'nobody' is neither a tensor"),
        ([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["x"], ["y"])], "'y' is defined twice"),
        ([helper.make_node("Relu", ["x"], ["y"], strength=3)], "attribute 'strength' of Relu"),
        ([helper.make_node("Concat", ["x", "x"], ["y"], axis=-9)], "axis -9 is outside a value of rank 2"),
        ([helper.make_node("Tile", ["x", "x"], ["y"])], "the result is too large|another number of repeats"),
    ],
)
def test_a_hostile_graph_is_refused_by_name(nodes: list[Any], message: str) -> None:
    with pytest.raises(_native.AnyonNativeError, match=message):
        run(model(nodes), np.full((2, 3), 1e18, np.float32))


def test_what_is_no_tensor_is_refused_by_name() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])])
    proto.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(proto.graph.input[0].type))
    with pytest.raises(GraphError, match="'x' is a sequence, no tensor"):
        to_program(proto)
    proto = model([helper.make_node("Relu", ["x"], ["y"])], opset=99)
    with pytest.raises(GraphError, match="opset 99 is newer than 28"):
        to_program(proto)


def test_a_garbled_program_never_crashes() -> None:
    """Bytes of the manifest are changed one after another: it loads and runs, or it is an error."""
    program = to_program(
        model([helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["x", "t"], ["y"])])
    )
    content = bundle_bytes({"programs": {"main": program.section}}, program.tensors)
    start = content.index(b"programs")
    random = np.random.default_rng(0)
    x = np.ones((2, 3), np.float32)
    refused = 0
    for _ in range(300):
        garbled = bytearray(content)
        garbled[start + int(random.integers(len(content) - start))] = int(random.integers(256))
        try:
            _native.Bundle.from_bytes(bytes(garbled), "m").session("main", _native.ThreadPool(1)).run([x])
        except _native.AnyonNativeError:
            refused += 1
    assert refused > 100
    for size in range(0, len(content), 97):
        with pytest.raises(_native.AnyonNativeError):
            _native.Bundle.from_bytes(content[:size], "m").session("main", _native.ThreadPool(1))

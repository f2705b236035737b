"""ONNX graphs read and rewritten without the package onnx: what was there stays; ONNX Runtime gets fused nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anyon_export.onnx_nodes import FLOAT, INT8, UINT4, Graph, Node, Tensor, read_graph
from anyon_export.onnxruntime_graph import fused_graph

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")


def model(nodes: list[Any], weights: dict[str, Tensor]) -> bytes:
    """x (2, 64) f32 and rows (3) i64 -> y, with these weights outside."""
    helper, proto = onnx.helper, onnx.TensorProto
    x, rows = (
        helper.make_tensor_value_info("x", FLOAT, [2, 64]),
        helper.make_tensor_value_info("rows", proto.INT64, [3]),
    )
    y = helper.make_tensor_value_info("y", FLOAT, None)
    made = helper.make_model(helper.make_graph(nodes, "g", [x, rows], [y]), opset_imports=[helper.make_opsetid("", 23)])
    graph = read_graph(made.SerializeToString())
    graph.weights = weights
    return graph.serialized()


def test_what_is_read_and_written_is_the_same_model() -> None:
    node = onnx.helper.make_node
    nodes = [
        node("Unsqueeze", ["x", "axes"], ["u"], name="u"),
        node("Softmax", ["u"], ["s"], axis=-1),
        node("Gelu", ["s"], ["y"], approximate="tanh", domain="somewhere"),
    ]
    content = model(nodes, {"axes": Tensor(onnx.TensorProto.INT64, (1,))})
    graph = read_graph(content)
    assert graph.nodes[1] == Node("Softmax", ["u"], ["s"], {"axis": -1})
    assert graph.weights == {"axes": Tensor(onnx.TensorProto.INT64, (1,))}
    found = onnx.load_model_from_string(graph.serialized())
    assert found == onnx.load_model_from_string(content)
    assert onnx.helper.get_node_attr_value(found.graph.node[2], "approximate") == b"tanh"
    assert found.graph.node[2].domain == "somewhere"


def test_weights_inside_and_beside_the_model_are_found_by_onnx() -> None:
    inside = Tensor(FLOAT, (2,), raw=np.array([1, 2], "<f4").tobytes())
    graph = Graph([], {"a": inside, "b": Tensor(FLOAT, (2,), place=("weights.bin", 4096, 8))})
    a, b = onnx.load_model_from_string(graph.serialized()).graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(a), [1, 2])
    entries = {entry.key: entry.value for entry in b.external_data}
    assert entries == {"location": "weights.bin", "offset": "4096", "length": "8"}


def test_a_damaged_graph_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="protobuf: "):
        read_graph(b"\x3a\xff\x01\x00")


def fused_and_plain(content: bytes, rows: dict[str, Any], arrays: dict[str, Any]) -> tuple[set[str], Any, Any]:
    """The ops of the fused graph, and what both compute on the same input."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="not installed: pip install 'anyon[onnxruntime]'")

    def read(name: str, row: Any) -> Any:
        array = arrays[row["tensor"]]
        if row.get("perm") == [1, 0]:
            array = array.T
        return pack(array) if row.get("dtype") == "uint4" else np.asarray(array, order="C")

    def pack(array: Any) -> Any:
        pairs = np.ascontiguousarray(array).reshape(-1, 2)
        packed = np.zeros(array.size, np.uint8)
        packed[: len(pairs)] = pairs[:, 0] | pairs[:, 1] << 4
        return packed.reshape(array.shape)

    def run(graph: bytes, weights: dict[str, tuple[Any, int]], optimise: bool) -> Any:
        options = onnxruntime.SessionOptions()
        if not optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        make = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
        values = [make(array, kind) for array, kind in weights.values()]
        options.add_external_initializers(list(weights), values)
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        x = np.random.default_rng(1).standard_normal((2, 64)).astype(np.float32)
        return session.run(None, {"x": x, "rows": np.array([4, 0, 2])})[0]

    fused, weights = fused_graph(content, rows, read)
    types = {name: tensor.type for name, tensor in read_graph(content).weights.items()}
    plain = run(content, {name: (read(name, rows[name]), kind) for name, kind in types.items()}, False)
    found = run(fused, {name: (weight.array, weight.type) for name, weight in weights.items()}, True)
    return {node.op for node in read_graph(fused).nodes}, found, plain


@pytest.mark.parametrize("kind", ["int4", "int8"])
@pytest.mark.parametrize("use", ["multiplied", "looked up"])
def test_quantised_products_and_look_ups_become_single_nodes(kind: str, use: str) -> None:
    random, turned = np.random.default_rng(0), use == "multiplied"
    sizes = {"q": (5, 64), "s": (5, 2) if kind == "int4" else (5,), "z": (5, 2)}
    arrays = {
        "q": random.integers(0, 16, sizes["q"]).astype(np.uint8)
        if kind == "int4"
        else random.integers(-127, 128, sizes["q"]).astype(np.int8),
        "s": random.uniform(0.01, 0.02, sizes["s"]).astype(np.float32),
        "z": random.integers(0, 16, sizes["z"]).astype(np.uint8),
    }
    rows: dict[str, Any] = {}
    weights: dict[str, Tensor] = {}
    for name in ("q", "s", "z") if kind == "int4" else ("q", "s"):
        shape, four = list(sizes[name]), kind == "int4" and name != "s"
        rows[name] = {"tensor": name, "shape": shape, **({"dtype": "uint4"} if four else {})}
        if turned and len(shape) == 2:
            rows[name] |= {"view": shape, "perm": [1, 0], "shape": shape[::-1]}
        weights[name] = Tensor(UINT4 if four else INT8 if name == "q" else FLOAT, tuple(rows[name]["shape"]))
    node = onnx.helper.make_node
    block = {"block_size": 32} if kind == "int4" else {}
    axis = (0 if turned else 1) if kind == "int4" else (1 if turned else 0)
    used = node("MatMul", ["x", "w"], ["y"]) if turned else node("Gather", ["w", "rows"], ["y"])
    content = model([node("DequantizeLinear", list(weights), ["w"], axis=axis, **block), used], weights)
    ops, found, plain = fused_and_plain(content, rows, arrays)
    assert "DequantizeLinear" not in ops
    expected = {"MatMulNBits"} if turned else {"GatherBlockQuantized"} if kind == "int4" else {"Gather", "Cast", "Mul"}
    assert ops == expected
    # A product's inputs are rounded to 8 bits, which leaves about 1 % of the largest result; a look-up is exact.
    tolerance = 0.02 * np.abs(plain).max() if turned else 1e-6
    np.testing.assert_allclose(found, plain, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("attributes", "scale"), [({"axis": 0}, ()), ({"axis": 1}, (64,)), ({"axis": 0, "zero": True}, (64,))]
)
def test_other_ways_to_dequantise_are_left_as_they_are(attributes: dict[str, Any], scale: tuple[int, ...]) -> None:
    """A graph that somebody else quantised: one scale in all, one for each column, or a zero point."""
    weights = {"q": Tensor(INT8, (64, 64)), "s": Tensor(FLOAT, scale)}
    arrays = {"q": np.arange(-2048, 2048).astype(np.int8).reshape(64, 64), "s": np.full(scale, 0.5, np.float32)}
    if attributes.pop("zero", False):
        weights["z"], arrays["z"] = Tensor(INT8, (64,)), np.ones(64, np.int8)
    node = onnx.helper.make_node
    nodes = [node("DequantizeLinear", list(weights), ["w"], **attributes), node("Gather", ["w", "rows"], ["y"])]
    rows = {name: {"tensor": name, "shape": list(tensor.shape)} for name, tensor in weights.items()}
    ops, found, plain = fused_and_plain(model(nodes, weights), rows, arrays)
    assert ops == {"DequantizeLinear", "Gather"}
    np.testing.assert_array_equal(found, plain)


def test_a_weight_that_only_a_branch_reads_stays() -> None:
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    branch = onnx.helper.make_graph([node("Gather", ["w", "rows"], ["g"])], "b", [], [info("g", FLOAT, None)])
    weights = {"q": Tensor(INT8, (64, 64)), "s": Tensor(FLOAT, (64,)), "c": Tensor(onnx.TensorProto.BOOL, ())}
    arrays = {"q": np.eye(64, dtype=np.int8), "s": np.full(64, 0.5, np.float32), "c": np.array(True)}
    chosen = node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    content = model([node("DequantizeLinear", ["q", "s"], ["w"], axis=0), chosen], weights)
    rows = {name: {"tensor": name, "shape": list(tensor.shape)} for name, tensor in weights.items()}
    ops, found, _ = fused_and_plain(content, rows, arrays)
    assert ops == {"DequantizeLinear", "If"}
    np.testing.assert_array_equal(found, 0.5 * np.eye(64)[[4, 0, 2]])


def test_odd_numbers_of_groups_keep_the_zeros_of_each_row_apart() -> None:
    from anyon_export.onnxruntime_graph import _nibbles, _packed_rows

    zeros = np.arange(15, dtype=np.uint8).reshape(5, 3)
    np.testing.assert_array_equal(_packed_rows(zeros)[1], [3 | 4 << 4, 5])
    packed = np.zeros(15, np.uint8)
    packed[:8] = [a | b << 4 for a, b in zip(range(0, 15, 2), [*range(1, 15, 2), 0], strict=True)]
    np.testing.assert_array_equal(_nibbles(packed.reshape(5, 3)), zeros)

"""activation: an activation moves into the linear or convolution before it, when it is its only reader."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")

from lowering_graphs import Step, assert_unchanged, graph_of, noise, ops

from anyon_export.lowering.activation import activation
from anyon_export.lowering.graph import Graph
from anyon_export.lowering.linear import linear
from anyon_export.lowering.residual import residual

SHAPE = ("batch", "time", 5)
MATMUL: Step = ("MatMul", ["x", "w"], "m", {}, SHAPE)


def make_with(*steps: Step, outputs: tuple[str, ...] = ("y",)) -> Graph:
    inputs = {"x": ("batch", "time", 8), "r": SHAPE}
    return graph_of(inputs, {"w": (8, 5)}, [MATMUL, *steps], outputs)


FEEDS = {"x": noise(2, 3, 8), "r": noise(2, 3, 5)}


def test_exact_gelu_is_fused() -> None:
    graph = assert_unchanged(
        lambda: make_with(("Gelu", ["m"], "y", {"approximate": "none"}, SHAPE)), [linear, activation], FEEDS
    )
    assert ops(graph) == ["linear"]
    assert graph.nodes[0].attrs["activation"] == "gelu"


def test_the_tanh_form_keeps_its_name() -> None:
    graph = make_with(("Gelu", ["m"], "y", {"approximate": "tanh"}, SHAPE))
    linear(graph)
    activation(graph)
    assert graph.nodes[0].attrs["activation"] == "gelu_tanh"


def test_relu_after_a_convolution_is_fused() -> None:
    steps: list[Step] = [
        ("Conv", ["x", "w"], "c", {"kernel_shape": [3]}, ("batch", 4, "time")),
        ("Relu", ["c"], "y", {}, ("batch", 4, "time")),
    ]
    graph = graph_of({"x": ("batch", 2, "time")}, {"w": (4, 2, 3)}, steps, ["y"])
    activation(graph)
    assert [(node.op, node.attrs["activation"]) for node in graph.nodes] == [("Conv", "relu")]
    assert graph.nodes[0].outputs == ["y"]


def test_a_value_that_others_read_is_left_alone() -> None:
    graph = assert_unchanged(
        lambda: make_with(("Gelu", ["m"], "y", {}, SHAPE), ("Add", ["m", "r"], "z", {}, SHAPE), outputs=("y", "z")),
        [linear, activation],
        FEEDS,
    )
    assert ops(graph) == ["linear", "Gelu", "Add"]


def test_an_activation_behind_a_residual_is_left_alone() -> None:
    """linear adds its residual after its activation, not before."""
    graph = assert_unchanged(
        lambda: make_with(("Add", ["m", "r"], "s", {}, SHAPE), ("Gelu", ["s"], "y", {}, SHAPE)),
        [linear, residual, activation],
        FEEDS,
    )
    assert ops(graph) == ["linear", "Gelu"]


def test_a_second_activation_is_left_alone() -> None:
    graph = assert_unchanged(
        lambda: make_with(("Gelu", ["m"], "g", {}, SHAPE), ("Gelu", ["g"], "y", {}, SHAPE)),
        [linear, activation],
        FEEDS,
    )
    assert ops(graph) == ["linear", "Gelu"]


def test_who_asks_for_the_size_does_not_prevent_it() -> None:
    def make() -> Graph:
        return make_with(
            ("Shape", ["m"], "size", {"start": 1, "end": 2}, (1,)),
            ("Gelu", ["m"], "y", {}, SHAPE),
            outputs=("y", "size"),
        )

    graph = assert_unchanged(make, [linear, activation], FEEDS)
    assert sorted(ops(graph)) == ["Shape", "linear"]

"""residual: a skip connection is added by the linear that makes the other summand."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")

from lowering_graphs import Step, assert_unchanged, graph_of, noise, ops

from anyon_export.lowering.graph import Graph, Shape
from anyon_export.lowering.linear import linear
from anyon_export.lowering.residual import residual

SHAPE: Shape = ("batch", "time", 5)
FEEDS = {"x": noise(2, 3, 8), "r": noise(2, 3, 5)}


def make(*steps: Step, outputs: tuple[str, ...] = ("y",), r: Shape = SHAPE) -> Graph:
    inputs = {"x": ("batch", "time", 8), "r": r}
    product: Step = ("MatMul", ["x", "w"], "m", {}, SHAPE)
    return graph_of(inputs, {"w": (8, 5), "w2": (8, 5)}, [product, *steps], outputs)


@pytest.mark.parametrize("order", [["m", "r"], ["r", "m"]])
def test_the_sum_moves_into_the_linear(order: list[str]) -> None:
    graph = assert_unchanged(lambda: make(("Add", order, "y", {}, SHAPE)), [linear, residual], FEEDS)
    assert ops(graph) == ["linear"]
    assert graph.nodes[0].inputs[3] == "r"


def test_of_two_linears_the_later_adds() -> None:
    steps: list[Step] = [("MatMul", ["x", "w2"], "n", {}, SHAPE), ("Add", ["n", "m"], "y", {}, SHAPE)]
    graph = assert_unchanged(lambda: make(*steps), [linear, residual], FEEDS)
    assert [node.inputs[1] for node in graph.nodes] == ["w.rows", "w2.rows"]
    assert graph.nodes[1].inputs[3] == "m"


def test_a_chain_of_sums_uses_each_linear_once() -> None:
    steps: list[Step] = [("Add", ["m", "r"], "s", {}, SHAPE), ("Add", ["s", "r"], "y", {}, SHAPE)]
    graph = assert_unchanged(lambda: make(*steps), [linear, residual], FEEDS)
    assert ops(graph) == ["linear", "Add"]


def test_a_broadcast_sum_stays() -> None:
    feeds = {"x": FEEDS["x"], "r": noise(1, 1, 5)}
    graph = assert_unchanged(lambda: make(("Add", ["m", "r"], "y", {}, SHAPE), r=(1, 1, 5)), [linear, residual], feeds)
    assert ops(graph) == ["linear", "Add"]


def test_a_product_that_others_read_stays() -> None:
    graph = assert_unchanged(
        lambda: make(("Add", ["m", "r"], "y", {}, SHAPE), outputs=("y", "m")), [linear, residual], FEEDS
    )
    assert ops(graph) == ["linear", "Add"]


def test_twice_the_same_value_is_not_its_own_residual() -> None:
    graph = assert_unchanged(lambda: make(("Add", ["m", "m"], "y", {}, SHAPE)), [linear, residual], FEEDS)
    assert ops(graph) == ["linear", "Add"]

"""linear: MatMul with a weight, bias and all, becomes one op over (n, k) rows."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")

from lowering_graphs import Step, assert_unchanged, graph_of, noise, ops

from anyon_export.lowering.fold_constants import fold_constants
from anyon_export.lowering.graph import Graph
from anyon_export.lowering.linear import linear

X = {"x": ("batch", "time", 8)}
TRANSPOSED: list[Step] = [
    ("Transpose", ["w"], "wt", {"perm": [1, 0]}, (8, 5)),
    ("MatMul", ["x", "wt"], "m", {}, ("batch", "time", 5)),
]


def with_bias(order: list[str]) -> Graph:
    steps: list[Step] = [*TRANSPOSED, ("Add", order, "y", {}, ("batch", "time", 5))]
    return graph_of(X, {"w": (5, 8), "b": (5,)}, steps, ["y"])


@pytest.mark.parametrize("order", [["m", "b"], ["b", "m"]])
def test_bias_is_taken_from_either_side(order: list[str]) -> None:
    graph = assert_unchanged(lambda: with_bias(order), [fold_constants, linear], {"x": noise(2, 3, 8)})
    assert ops(graph) == ["linear"]
    node = graph.nodes[0]
    assert node.inputs == ["x", "w", "b", ""]
    assert (node.attrs["n"], node.attrs["k"]) == (5, 8)


def test_a_weight_stored_k_major_is_transposed() -> None:
    def make() -> Graph:
        return graph_of(X, {"w": (8, 5)}, [("MatMul", ["x", "w"], "y", {}, ("batch", "time", 5))], ["y"])

    graph = assert_unchanged(make, [linear], {"x": noise(2, 3, 8)})
    weight = graph.weights[graph.nodes[0].inputs[1]]
    assert (weight.op, weight.shape) == ("transpose", (5, 8))


def test_a_sum_that_is_no_bias_stays() -> None:
    def make() -> Graph:
        steps: list[Step] = [*TRANSPOSED, ("Add", ["m", "other"], "y", {}, ("batch", "time", 5))]
        return graph_of({**X, "other": (5,)}, {"w": (5, 8)}, steps, ["y"])

    graph = assert_unchanged(make, [fold_constants, linear], {"x": noise(2, 3, 8), "other": noise(5)})
    assert ops(graph) == ["linear", "Add"]


def test_a_product_that_others_read_keeps_its_value() -> None:
    def make() -> Graph:
        steps: list[Step] = [*TRANSPOSED, ("Add", ["m", "b"], "y", {}, ("batch", "time", 5))]
        return graph_of(X, {"w": (5, 8), "b": (5,)}, steps, ["y", "m"])

    graph = assert_unchanged(make, [fold_constants, linear], {"x": noise(2, 3, 8)})
    assert ops(graph) == ["linear", "Add"]


def test_a_product_of_two_activations_is_not_touched() -> None:
    def make() -> Graph:
        steps: list[Step] = [("MatMul", ["x", "v"], "y", {}, ("batch", "time", 5))]
        return graph_of({**X, "v": ("batch", 8, 5)}, {}, steps, ["y"])

    graph = assert_unchanged(make, [linear], {"x": noise(2, 3, 8), "v": noise(2, 8, 5)})
    assert ops(graph) == ["MatMul"]

"""conv1d, transposes, prefix: convolutions become time-major and take the positional table as a residual."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")

from lowering_graphs import Step, assert_unchanged, graph_of, noise, ops

from anyon_export.lowering.activation import activation
from anyon_export.lowering.conv1d import conv1d
from anyon_export.lowering.dead_code import dead_code
from anyon_export.lowering.graph import Graph
from anyon_export.lowering.prefix import prefix
from anyon_export.lowering.transposes import transposes

CHANNELS_FIRST = ("batch", 4, "time")


def one(**attrs: Any) -> Graph:
    step: Step = ("Conv", ["x", "w", "b"], "y", {"kernel_shape": [3], **attrs}, CHANNELS_FIRST)
    return graph_of({"x": ("batch", 2, "length")}, {"w": (4, 2, 3), "b": (4,)}, [step], ["y"])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_the_result_is_the_same_time_major(stride: int, padding: int) -> None:
    attrs = {"strides": [stride], "pads": [padding, padding]}
    graph = assert_unchanged(lambda: one(**attrs), [conv1d], {"x": noise(2, 2, 9)})
    assert ops(graph) == ["transpose", "conv1d", "transpose"]
    expected = {"cin": 2, "cout": 4, "kernel": 3, "stride": stride, "padding": padding, "activation": "none"}
    assert graph.nodes[1].attrs == expected


@pytest.mark.parametrize("attrs", [{"group": 2}, {"dilations": [2]}, {"pads": [0, 1]}, {"auto_pad": "SAME_UPPER"}])
def test_what_the_kernel_cannot_do_stays(attrs: dict[str, Any]) -> None:
    graph = one(**attrs)
    conv1d(graph)
    assert ops(graph) == ["Conv"]


def encoder_front(start: int = 0, table: tuple[int, int] = (7, 4)) -> Graph:
    """Two convolutions with gelu, a transpose, and the sum with the first rows of a table: as Whisper has it."""
    half = ("batch", 4, "frames")
    rows = ("frames", table[1])
    steps: list[Step] = [
        ("Conv", ["x", "w1", "b1"], "c1", {"kernel_shape": [3], "pads": [1, 1]}, ("batch", 4, "2*frames")),
        ("Gelu", ["c1"], "g1", {}, ("batch", 4, "2*frames")),
        ("Conv", ["g1", "w2", "b2"], "c2", {"kernel_shape": [3], "pads": [1, 1], "strides": [2]}, half),
        ("Shape", ["c2"], "size", {"start": 2, "end": 3}, (1,)),
        ("Gelu", ["c2"], "g2", {}, half),
        ("Transpose", ["g2"], "t", {"perm": [0, 2, 1]}, ("batch", "frames", 4)),
        ("Slice", ["table", "start", "size", "axis", "step"], "cut", {}, rows),
        ("Add", ["t", "cut"], "y", {}, ("batch", "frames", 4)),
    ]
    params = {"w1": (4, 2, 3), "b1": (4,), "w2": (4, 4, 3), "b2": (4,), "table": table}
    constants = {"start": np.array([start]), "axis": np.array([0]), "step": np.array([1])}
    return graph_of({"x": ("batch", 2, "2*frames")}, params, steps, ["y"], constants)


PASSES = [activation, conv1d, transposes, prefix, dead_code]


def test_the_front_of_an_encoder_becomes_three_ops() -> None:
    graph = assert_unchanged(encoder_front, PASSES, {"x": noise(2, 2, 10)})
    assert ops(graph) == ["transpose", "conv1d", "conv1d"]
    assert [node.attrs.get("activation") for node in graph.nodes] == [None, "gelu", "gelu"]
    assert graph.nodes[2].inputs[3] == "table"


def test_a_table_that_is_not_cut_from_its_start_is_no_prefix() -> None:
    graph = encoder_front(start=1)
    for lowering_pass in PASSES:
        lowering_pass(graph)
        graph.sort()
    assert "Slice" in ops(graph)
    assert graph.nodes[ops(graph).index("conv1d")].inputs[3] == ""


def test_transposes_merge_and_inverse_ones_vanish() -> None:
    def make() -> Graph:
        steps: list[Step] = [
            ("Transpose", ["x"], "a", {"perm": [1, 2, 0]}, (3, 4, 2)),
            ("Transpose", ["a"], "b", {"perm": [2, 0, 1]}, (2, 3, 4)),
            ("Relu", ["b"], "c", {}, (2, 3, 4)),
            ("Transpose", ["a"], "d", {"perm": [1, 0, 2]}, (4, 3, 2)),
        ]
        return graph_of({"x": (2, 3, 4)}, {}, steps, ["c", "d"])

    graph = assert_unchanged(make, [transposes, dead_code], {"x": noise(2, 3, 4)})
    assert sorted(ops(graph)) == ["Relu", "transpose"]
    assert next(node for node in graph.nodes if node.op == "transpose").attrs["perm"] == [2, 1, 0]


def test_a_transpose_that_leaves_the_graph_stays() -> None:
    def make() -> Graph:
        steps: list[Step] = [
            ("Transpose", ["x"], "a", {"perm": [1, 0]}, (3, 2)),
            ("Transpose", ["a"], "b", {"perm": [1, 0]}, (2, 3)),
        ]
        return graph_of({"x": (2, 3)}, {}, steps, ["b"])

    graph = assert_unchanged(make, [transposes], {"x": noise(2, 3)})
    assert graph.outputs == ["b"]

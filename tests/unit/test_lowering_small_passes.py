"""fold_constants, identities, dead_code, normalization, embedding, native_ops, pack, names, emit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")

from lowering_graphs import Step, assert_unchanged, graph_of, noise, ops, random_params, run_graph

from anyon_export.expressions import Evaluator
from anyon_export.lowering.dead_code import dead_code
from anyon_export.lowering.embedding import embedding
from anyon_export.lowering.emit import emit
from anyon_export.lowering.fold_constants import fold_constants
from anyon_export.lowering.graph import Graph, LoweringError, Node
from anyon_export.lowering.identities import identities
from anyon_export.lowering.linear import linear
from anyon_export.lowering.names import names
from anyon_export.lowering.native_ops import native_ops
from anyon_export.lowering.normalization import normalization
from anyon_export.lowering.pack import pack

SHAPE = ("batch", "time", 4)
X = {"x": SHAPE}


def test_constants_are_computed_at_export() -> None:
    def make() -> Graph:
        steps: list[Step] = [
            ("Concat", ["one", "two"], "c", {"axis": 0}, (2,)),
            ("Unsqueeze", ["c", "zero"], "u", {}, (1, 2)),
            ("Mul", ["u", "u"], "m", {}, (1, 2)),
            ("Add", ["x", "m"], "y", {}, ("batch", 2)),
        ]
        values = {"one": np.float32([1]), "two": np.float32([2]), "zero": np.array([0])}
        return graph_of({"x": ("batch", 2)}, {}, steps, ["y"], values)

    graph = assert_unchanged(make, [fold_constants, dead_code], {"x": noise(3, 2)})
    assert ops(graph) == ["Add"]
    np.testing.assert_array_equal(graph.constants["m"], [[1, 4]])


def test_transposes_and_reshapes_of_weights_become_expressions() -> None:
    def make() -> Graph:
        steps: list[Step] = [
            ("Transpose", ["w"], "t", {"perm": [1, 0]}, (3, 2)),
            ("Reshape", ["t", "shape"], "r", {}, (6,)),
            ("Add", ["x", "r"], "y", {}, ("batch", 6)),
        ]
        return graph_of({"x": ("batch", 6)}, {"w": (2, 3)}, steps, ["y"], {"shape": np.array([6])})

    graph = assert_unchanged(make, [fold_constants, dead_code], {"x": noise(3, 6)})
    assert ops(graph) == ["Add"]
    assert [weight.op for weight in graph.weights.values()] == ["reshape"]


def test_ops_that_change_nothing_vanish() -> None:
    def make() -> Graph:
        steps: list[Step] = [
            ("Identity", ["x"], "i", {}, SHAPE),
            ("Reshape", ["i", "shape"], "r", {}, SHAPE),
            ("Cast", ["r"], "c", {"to": 1}, SHAPE),
            ("Relu", ["c"], "y", {}, SHAPE),
        ]
        return graph_of(X, {}, steps, ["y"], {"shape": np.array([0, 0, 4])})

    graph = assert_unchanged(make, [identities], {"x": noise(2, 3, 4)})
    assert ops(graph) == ["Relu"]


def test_a_reshape_that_regroups_stays() -> None:
    steps: list[Step] = [("Reshape", ["x", "shape"], "y", {}, ("batch*time", 4)), ("Relu", ["y"], "z", {}, SHAPE)]
    graph = graph_of(X, {}, steps, ["z"], {"shape": np.array([-1, 4])})
    identities(graph)
    assert ops(graph) == ["Reshape", "Relu"]


def test_what_nobody_reads_is_removed() -> None:
    steps: list[Step] = [
        ("Relu", ["x"], "a", {}, SHAPE),
        ("Add", ["a", "w"], "b", {}, SHAPE),
        ("Relu", ["x"], "y", {}, SHAPE),
    ]
    graph = graph_of(X, {"w": (4,)}, steps, ["y"], {"unused": 1})
    dead_code(graph)
    assert [node.outputs for node in graph.nodes] == [["y"]]
    assert not graph.weights
    assert not graph.constants


def norm(axis: int) -> Graph:
    step: Step = ("LayerNormalization", ["x", "s", "b"], "y", {"axis": axis, "epsilon": 1e-3}, SHAPE)
    return graph_of(X, {"s": (4,), "b": (4,)}, [step], ["y"])


@pytest.mark.parametrize("axis", [-1, 2])
def test_layer_norm_over_the_last_axis(axis: int) -> None:
    graph = assert_unchanged(lambda: norm(axis), [normalization], {"x": noise(2, 3, 4)})
    assert (graph.nodes[0].op, graph.nodes[0].attrs) == ("layer_norm", {"epsilon": 1e-3})


def test_layer_norm_over_more_axes_stays() -> None:
    graph = norm(1)
    normalization(graph)
    assert ops(graph) == ["LayerNormalization"]


def test_lookups_become_embedding_and_gather() -> None:
    def make() -> Graph:
        steps: list[Step] = [
            ("Gather", ["table", "ids"], "e", {"axis": 0}, SHAPE),
            ("Gather", ["e", "select"], "y", {"axis": 1}, ("batch", "rows", 4)),
        ]
        inputs = {"ids": ("batch", "time"), "select": ("rows",)}
        return graph_of(inputs, {"table": (9, 4)}, steps, ["y"], dtypes={"ids": "i64", "select": "i64"})

    graph = assert_unchanged(make, [embedding], {"ids": np.array([[1, 8], [0, 3]]), "select": np.array([1])})
    assert [(node.op, node.attrs) for node in graph.nodes] == [
        ("embedding", {"rows": 9, "width": 4, "layout": "rows"}),
        ("gather", {"axis": 1}),
    ]


def test_a_table_that_is_also_the_head_is_stored_once_in_panels() -> None:
    def make() -> Graph:
        steps: list[Step] = [
            ("Gather", ["table.weight", "ids"], "e", {"axis": 0}, SHAPE),
            ("Transpose", ["table.weight"], "t", {"perm": [1, 0]}, (4, 21)),
            ("MatMul", ["e", "t"], "y", {}, ("batch", "time", 21)),
        ]
        inputs = {"ids": ("batch", "time")}
        return graph_of(inputs, {"table.weight": (21, 4)}, steps, ["y"], dtypes={"ids": "i64"})

    passes = [fold_constants, embedding, linear, dead_code, pack]
    graph = assert_unchanged(make, passes, {"ids": np.array([[1, 20], [16, 3]])})
    assert list(graph.weights) == ["table.weight"]
    assert graph.weights["table.weight"].op == "panel16"
    assert graph.nodes[0].attrs["layout"] == "panel16"


def test_a_packed_weight_that_others_read_plain_is_kept_plain_too() -> None:
    steps: list[Step] = [
        ("linear", ["x", "w", "", ""], "a", {"k": 4, "n": 4, "activation": "none"}, SHAPE),
        ("Add", ["a", "w"], "y", {}, SHAPE),
    ]
    graph = graph_of({"x": (4, 4)}, {"w": (4, 4)}, steps, ["y"])
    params, x = random_params(graph), noise(4, 4)
    pack(graph)
    assert {name: weight.op for name, weight in graph.weights.items()} == {"w": "param", "w.panel16": "panel16"}
    found = run_graph(graph, {"x": x}, params)["y"]
    np.testing.assert_allclose(found, x @ params["w"].T + params["w"], atol=1e-5)
    assert Evaluator(params)(graph.weights["w.panel16"]).shape == (1, 4, 16)


def test_unfused_ops_get_their_native_names_and_integers_do_not() -> None:
    steps: list[Step] = [
        ("Gelu", ["x"], "g", {"approximate": "tanh"}, SHAPE),
        ("Add", ["g", "x"], "y", {}, SHAPE),
        ("Add", ["i", "i"], "j", {}, (1,)),
        ("Mystery", ["y"], "z", {}, SHAPE),
    ]
    graph = graph_of({**X, "i": (1,)}, {}, steps, ["z", "j"], dtypes={"i": "i64", "j": "i64"})
    native_ops(graph)
    assert ops(graph) == ["gelu_tanh", "add", "Add", "Mystery"]


def test_names_tell_the_place_in_the_model() -> None:
    steps: list[Step] = [
        ("linear", ["x", "a.fc.weight", "", ""], "first", {}, SHAPE),
        ("add", ["first", "x"], "second", {}, SHAPE),
        ("layer_norm", ["second", "a.ln.weight", "a.ln.bias"], "y", {}, SHAPE),
    ]
    graph = graph_of(X, {"a.fc.weight": (4, 4), "a.ln.weight": (4,), "a.ln.bias": (4,)}, steps, ["y"])
    names(graph)
    assert [node.name for node in graph.nodes] == ["a.fc", "a.fc:add", "a.ln"]
    assert [node.outputs for node in graph.nodes] == [["x0"], ["x1"], ["y"]]
    graph.sort()


def test_sorting_puts_producers_first_and_names_what_is_missing() -> None:
    steps: list[Step] = [
        ("Relu", ["b"], "y", {}, SHAPE),
        ("Relu", ["a"], "b", {}, SHAPE),
        ("Relu", ["x"], "a", {}, SHAPE),
    ]
    graph = graph_of(X, {}, steps, ["y"])
    graph.sort()
    assert [node.outputs[0] for node in graph.nodes] == ["a", "b", "y"]
    graph.append(Node("Relu", ["nothing"], ["z"], name="lost"))
    with pytest.raises(LoweringError, match="'lost' reads nothing, which is never made"):
        graph.sort()


def test_an_output_that_nothing_makes_is_named() -> None:
    graph = graph_of(X, {}, [], ["y"])
    with pytest.raises(LoweringError, match="nothing makes the output 'y'"):
        graph.sort()


def test_a_program_says_its_dimensions() -> None:
    from types import SimpleNamespace

    spec: Any = SimpleNamespace(
        name="test", dims={"batch": (1, 4), "frames": (1, 10)}, broadcast={"audio": "batch"}, states=[]
    )
    steps: list[Step] = [("relu", ["mel"], "y", {}, ("batch", "frames"))]
    graph = graph_of({"mel": ("batch", "2*frames"), "keys": ("audio", 3)}, {}, steps, ["y"])
    program = emit(graph, spec)
    assert program["dims"] == {"batch": [1, 4], "frames": [1, 10], "frames2": [2, 20]}
    assert program["inputs"] == [
        {"name": "mel", "dtype": "f32", "shape": ["batch", "frames2"]},
        {"name": "keys", "dtype": "f32", "shape": ["batch", 3], "broadcast": True},
    ]
    assert program["ops"][0] == {"op": "relu", "name": "node_y", "inputs": ["mel"], "outputs": ["y"], "attrs": {}}
    graph = graph_of({"mel": ("batch", "who_knows")}, {}, [("relu", ["mel"], "y", {}, ("batch",))], ["y"])
    with pytest.raises(LoweringError, match="dimension 'who_knows' of an input or output has no name"):
        emit(graph, spec)

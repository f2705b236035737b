"""attention, causal, states, qkv, split_heads: the whole attention of a transformer layer, with and without a cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")

from lowering_graphs import Step, assert_unchanged, graph_of, noise, ops, random_params, run_graph

from anyon_export.lowering.attention import attention
from anyon_export.lowering.dead_code import dead_code
from anyon_export.lowering.graph import Graph, LoweringError, State
from anyon_export.lowering.heads import split_heads
from anyon_export.lowering.linear import linear
from anyon_export.lowering.qkv import joined, qkv
from anyon_export.lowering.states import states
from anyon_export.lowering.transposes import transposes

HEADS, DIM, WIDTH = 2, 3, 6


def projected(name: str, source: str = "x") -> Step:
    return ("MatMul", [source, f"w.{name}"], f"{name}3", {}, ("batch", "time", WIDTH))


def split(name: str, rows: str = "batch", time: str = "time") -> list[Step]:
    shape = "grouped" if rows == "audio" else "by_head"
    return [
        ("Reshape", [f"{name}3", shape], f"{name}v", {"allowzero": 0}, (rows, time, HEADS, DIM)),
        ("Transpose", [f"{name}v"], f"{name}4", {"perm": [0, 2, 1, 3]}, (rows, HEADS, time, DIM)),
    ]


def merged(rows: str = "batch", time: str = "time") -> list[Step]:
    return [
        ("Transpose", ["a"], "at", {"perm": [0, 2, 1, 3]}, (rows, time, HEADS, DIM)),
        ("Reshape", ["at", "merged"], "y", {"allowzero": 0}, ("batch", "time", WIDTH)),
    ]


def attend(inputs: list[str], rows: str = "batch", time: str = "time", **attrs: Any) -> Step:
    return ("Attention", inputs, "a", attrs, (rows, HEADS, time, DIM))


CONSTANTS: dict[str, Any] = {
    "by_head": np.array([0, 0, HEADS, DIM]),
    "grouped": np.array([1, -1, HEADS, DIM]),
    "merged": np.array([-1, 4, WIDTH]),
}
PARAMS = {f"w.{name}": (WIDTH, WIDTH) for name in ("q", "k", "v")}
X = {"x": ("batch", "time", WIDTH)}


def encoder_layer(**attrs: Any) -> Graph:
    steps = [projected("q"), projected("k"), projected("v"), *split("q"), *split("k"), *split("v")]
    steps += [attend(["q4", "k4", "v4"], **attrs), *merged()]
    return graph_of(X, PARAMS, steps, ["y"], CONSTANTS)


PASSES = [linear, transposes, attention, dead_code]


def test_self_attention_becomes_one_op() -> None:
    graph = assert_unchanged(encoder_layer, PASSES, {"x": noise(2, 4, WIDTH)})
    assert ops(graph) == ["linear", "linear", "linear", "attention"]
    attrs = graph.nodes[-1].attrs
    assert (attrs["heads"], attrs["head_dim"], attrs["causal"]) == (HEADS, DIM, False)
    assert attrs["scale"] == pytest.approx(DIM**-0.5)


def test_a_stated_scale_wins() -> None:
    graph = assert_unchanged(lambda: encoder_layer(scale=0.25), PASSES, {"x": noise(2, 4, WIDTH)})
    assert graph.nodes[-1].attrs["scale"] == 0.25


def test_is_causal_of_equal_lengths_is_causal() -> None:
    graph = assert_unchanged(lambda: encoder_layer(is_causal=1), PASSES, {"x": noise(2, 4, WIDTH)})
    assert graph.nodes[-1].attrs["causal"] is True


def test_softcap_is_not_dropped() -> None:
    graph = encoder_layer(softcap=2.0)
    for lowering_pass in PASSES:
        lowering_pass(graph)
    assert "Attention" in ops(graph)


def test_query_key_and_value_become_one_product() -> None:
    graph = assert_unchanged(encoder_layer, [*PASSES, qkv], {"x": noise(2, 4, WIDTH)})
    assert ops(graph) == ["linear", "attention"]
    attrs = graph.nodes[1].attrs
    assert [attrs[f"{role}_offset"] for role in "qkv"] == [0, WIDTH, 2 * WIDTH]
    assert graph.nodes[0].attrs["n"] == 3 * WIDTH


def test_a_missing_bias_counts_as_zeros() -> None:
    def make() -> Graph:
        steps: list[Step] = [projected("q"), projected("k"), projected("v")]
        steps.append(("Add", ["q3", "b.q"], "qb3", {}, ("batch", "time", WIDTH)))
        q_split = [(op, [n.replace("q3", "qb3") for n in i], o, a, s) for op, i, o, a, s in split("q")]
        steps += [*q_split, *split("k"), *split("v"), attend(["q4", "k4", "v4"]), *merged()]
        return graph_of(X, {**PARAMS, "b.q": (WIDTH,)}, steps, ["y"], CONSTANTS)

    graph = assert_unchanged(make, [*PASSES, qkv], {"x": noise(2, 4, WIDTH)})
    assert ops(graph) == ["linear", "attention"]
    bias = graph.weights[graph.nodes[0].inputs[2]]
    assert [part.op for part in bias.of] == ["param", "zeros", "zeros"]


def test_a_query_that_leaves_the_program_is_not_stacked() -> None:
    def make() -> Graph:
        graph = encoder_layer()
        graph.outputs.append("q3")
        return graph

    graph = assert_unchanged(make, [*PASSES, qkv], {"x": noise(2, 4, WIDTH)})
    assert ops(graph).count("linear") == 3


def cross_layer() -> Graph:
    """Queries of all rows of the batch over keys of one audio, laid behind each other in time."""
    steps = [projected("q"), *split("q", "audio", "grouped_time")]
    steps += [attend(["q4", "key", "value"], "audio", "grouped_time"), *merged("audio", "grouped_time")]
    keys = ("audio", HEADS, "frames", DIM)
    return graph_of({**X, "key": keys, "value": keys}, PARAMS, steps, ["y"], CONSTANTS)


def test_rows_that_share_an_audio_are_a_larger_batch() -> None:
    feeds = {"x": noise(3, 4, WIDTH), "key": noise(1, HEADS, 5, DIM), "value": noise(1, HEADS, 5, DIM, seed=9)}
    graph = assert_unchanged(cross_layer, PASSES, feeds)
    assert ops(graph) == ["linear", "attention"]
    assert graph.nodes[1].inputs == ["q3", "key", "value"]


def cached_layer(first_key: str = "zero", last_query: str = "length", reverse: bool = False, axis: int = 2) -> Graph:
    """Concat(past, new), a mask from two ranges, attention: as Whisper's decoder has it."""
    steps: list[Step] = [
        ("Shape", ["past_k"], "past1", {"start": 2, "end": 3}, (1,)),
        ("Squeeze", ["past1"], "past0", {}, ()),
        ("Shape", ["x"], "time1", {"start": 1, "end": 2}, (1,)),
        ("Squeeze", ["time1"], "time0", {}, ()),
        ("Add", ["past0", "time0"], "length", {}, ()),
        ("Range", [first_key, "length", "one"], "keys", {}, ("past+time",)),
        ("Range", ["past0", last_query, "one"], "queries", {}, ("time",)),
        ("Unsqueeze", ["queries", "axis1"], "column", {}, ("time", 1)),
        ("LessOrEqual", ["keys", "column"], "mask", {}, ("time", "past+time")),
    ]
    steps += [projected("q"), projected("k"), projected("v"), *split("q"), *split("k"), *split("v")]
    grown = ("batch", HEADS, "past+time", DIM)
    for kind in ("k", "v"):
        pair = [f"past_{kind}", f"{kind}4"]
        steps.append(("Concat", pair[::-1] if reverse else pair, f"next_{kind}", {"axis": axis}, grown))
    steps += [attend(["q4", "next_k", "next_v", "mask"]), *merged()]
    past = ("batch", HEADS, "past", DIM)
    dtypes = dict.fromkeys(("past1", "past0", "time1", "time0", "length", "keys", "queries", "column"), "i64")
    return graph_of(
        {**X, "past_k": past, "past_v": past},
        PARAMS,
        steps,
        ["y", "next_k", "next_v"],
        {
            **CONSTANTS,
            "zero": np.array(0),
            "one": np.array(1),
            "axis1": np.array([1]),
            "merged": np.array([2, -1, WIDTH]),
        },
        {**dtypes, "mask": "bool"},
        [State(f"past_{kind}", f"next_{kind}", axis=2, capacity=16) for kind in ("k", "v")],
    )


@pytest.mark.parametrize("past", [0, 1, 5])
@pytest.mark.parametrize("time", [1, 3])
def test_the_cache_is_kept_in_place(past: int, time: int) -> None:
    feeds = {
        "x": noise(2, time, WIDTH),
        "past_k": noise(2, HEADS, past, DIM, seed=5),
        "past_v": noise(2, HEADS, past, DIM, seed=6),
    }
    graph = assert_unchanged(cached_layer, [*PASSES, states, dead_code, qkv], feeds)
    assert ops(graph) == ["linear", "attention"]
    assert graph.outputs == ["y"]
    attrs = graph.nodes[1].attrs
    assert (attrs["causal"], attrs["key_state"], attrs["value_state"]) == (True, "past_k", "past_v")
    before = cached_layer()
    params = random_params(before)
    expected, found = run_graph(before, feeds, params), run_graph(graph, feeds, params)
    np.testing.assert_allclose(found["state past_k"], expected["next_k"], atol=1e-5)
    np.testing.assert_allclose(found["state past_v"], expected["next_v"], atol=1e-5)


@pytest.mark.parametrize("wrong", [{"first_key": "one"}, {"last_query": "time0"}])
def test_a_mask_that_is_not_causal_is_not_taken_for_one(wrong: dict[str, str]) -> None:
    graph = cached_layer(**wrong)
    for lowering_pass in PASSES:
        lowering_pass(graph)
    assert "Attention" in ops(graph)
    with pytest.raises(LoweringError, match="past_k, past_v"):
        states(graph)


def test_a_cache_that_grows_at_its_front_is_refused() -> None:
    graph = cached_layer(reverse=True)
    for lowering_pass in PASSES:
        lowering_pass(graph)
    with pytest.raises(LoweringError, match="in place"):
        states(graph)


def test_keys_that_leave_the_program_are_split_by_their_own_op() -> None:
    def make() -> Graph:
        return graph_of(X, PARAMS, [projected("k"), *split("k")], ["k4"], CONSTANTS)

    graph = assert_unchanged(make, [linear, transposes, split_heads, dead_code], {"x": noise(2, 4, WIDTH)})
    assert ops(graph) == ["linear", "split_heads"]
    assert graph.nodes[1].attrs == {"heads": HEADS}


def test_joined_names_say_what_was_stacked() -> None:
    assert joined(["a.0.query.weight", "a.0.key.weight", "a.0.value.weight"]) == "a.0.query_key_value.weight"
    assert joined(["one", "b.two"]) == "one_b.two"

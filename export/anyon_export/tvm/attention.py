"""Attention over a whole signal (packed keys, blocks of queries) and over a cache (one query after another).

Heads lie behind each other in the last dimension of queries and results, as the products give and take them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from anyon_export.tvm.tile import Registers, for_row_blocks, product_tile
from anyon_export.tvm.vector import (
    LANES,
    LOWEST,
    all_lanes,
    argument,
    exp,
    load,
    max_lanes,
    small_buffer,
    store,
    sum_lanes,
)

# Keys are packed in whole blocks of this many panels, so that no tile of scores is cut.
_PANEL_BLOCK = 4
# Queries that are worked on at a time, and by one thread at a time.
_ROWS = 6
_QUERIES_PER_TASK = 10 * _ROWS


@dataclass(frozen=True)
class Heads:
    """offsets: where queries, keys and values begin in the last dimension of their arrays."""

    count: int
    size: int
    scale: float
    query_offset: int = 0
    key_offset: int = 0
    value_offset: int = 0
    width: int = 0  # of the array that holds queries

    @property
    def parts(self) -> int:
        return self.size // LANES


def packed_panels(time: Any) -> Any:
    """Panels of 16 keys that `pack_keys_values` makes of `time` keys."""
    return (time + LANES * _PANEL_BLOCK - 1) // (LANES * _PANEL_BLOCK) * _PANEL_BLOCK


def pack_keys_values(heads: Heads) -> Any:
    """x (batch, time, width) -> keys (batch * heads, panels, head_dim, 16), values (batch * heads, time, head_dim).

    Keys beyond `time` are 0.
    """
    batch, time, panels = (tirx.Var(name, "int64") for name in ("batch", "time", "panels"))
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, heads.width), "float32")
        keys = argument("keys", (batch * heads.count, panels, heads.size, LANES), "float32")
        values = argument("values", (batch * heads.count, time, heads.size), "float32")
        with T.parallel(batch * heads.count * panels) as task:
            row, panel = T.Bind(task // panels), T.Bind(task % panels)
            signal, column = T.Bind(row // heads.count), T.Bind(row % heads.count * heads.size)
            with T.serial(LANES) as lane:
                place = T.Bind(panel * LANES + lane)
                with T.If(place < time):
                    with T.Then():
                        with T.serial(heads.size) as d:
                            T.buffer_store(keys, x[signal, place, heads.key_offset + column + d], [row, panel, d, lane])
                        for part in range(heads.parts):
                            start = heads.value_offset + column + part * LANES
                            store(values, load(x, signal, place, start), row, place, part * LANES)
                    with T.Else(), T.serial(heads.size) as d:
                        T.buffer_store(keys, T.float32(0), [row, panel, d, lane])
    return builder.get()


def attention_over_signal(heads: Heads, registers: Registers) -> Any:
    """Queries in x (batch, time, width), keys and values as packed -> y (batch, time, heads * head_dim).

    Every position sees every other. Scores of a few queries with all keys stay in the caches.
    """
    score_panels = max(count for count in (1, 2, 4) if count * _ROWS <= registers.accumulators)
    value_panels = max(count for count in (1, 2, 4) if count <= score_panels and heads.parts % count == 0)
    batch, time, panels = (tirx.Var(name, "int64") for name in ("batch", "time", "panels"))
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, heads.width), "float32")
        keys = argument("keys", (batch * heads.count, panels, heads.size, LANES), "float32")
        values = argument("values", (batch * heads.count, time, heads.size), "float32")
        y = argument("y", (batch, time, heads.count * heads.size), "float32")

        def block(row: Any, first: Any, size: int, scores: Any) -> None:
            signal, column = T.Bind(row // heads.count), T.Bind(row % heads.count * heads.size)
            with T.serial(panels // score_panels) as group:
                panel = T.Bind(group * score_panels)
                product_tile(
                    size,
                    score_panels,
                    heads.size,
                    lambda i, d: x[signal, first + i, heads.query_offset + column + d],
                    lambda j, d: load(keys, row, panel + j, d, 0),
                    None,
                    lambda i, j, value: store(
                        scores, value * all_lanes(heads.scale), i * panels * LANES + (panel + j) * LANES
                    ),
                )
            sums = small_buffer(size)
            with T.serial(size) as i:
                T.buffer_store(sums, _softmax(scores, i * panels * LANES, time), [i])
            with T.serial(heads.parts // value_panels) as group:
                part = T.Bind(group * value_panels)
                product_tile(
                    size,
                    value_panels,
                    time,
                    lambda i, key: scores[i * panels * LANES + key],
                    lambda j, key: load(values, row, key, (part + j) * LANES),
                    None,
                    lambda i, j, value: store(
                        y,
                        value * all_lanes(T.float32(1) / sums[i]),
                        signal,
                        first + i,
                        column + (part + j) * LANES,
                    ),
                )

        blocks = T.Bind((time + _QUERIES_PER_TASK - 1) // _QUERIES_PER_TASK)
        with T.parallel(batch * heads.count * blocks) as task:
            row = T.Bind(task // blocks)
            first = T.Bind(task % blocks * _QUERIES_PER_TASK)
            scores = T.alloc_buffer((_ROWS * panels * LANES,), "float32")
            count = T.min(_QUERIES_PER_TASK, time - first)
            for_row_blocks(first, count, time, (_ROWS, 1), lambda query, size: block(row, query, size, scores))
    return builder.get()


def _softmax(scores: Any, start: Any, length: Any) -> Any:
    """Scores [start, start + length) become exp(score - largest); returns their sum.

    What is behind `length` up to the next multiple of 16 becomes 0.
    """
    with T.serial((-length) % LANES) as rest:
        T.buffer_store(scores, T.float32(LOWEST), [start + length + rest])
    vectors = T.Bind((length + LANES - 1) // LANES)
    largest = small_buffer(LANES)
    store(largest, all_lanes(LOWEST), 0)
    with T.serial(vectors) as i:
        store(largest, T.max(load(largest, 0), load(scores, start + i * LANES)), 0)
    top = T.Bind(all_lanes(max_lanes(load(largest, 0))))
    total = small_buffer(LANES)
    store(total, all_lanes(0.0), 0)
    with T.serial(vectors) as i:
        value = T.Bind(exp(load(scores, start + i * LANES) - top))
        store(scores, value, start + i * LANES)
        store(total, load(total, 0) + value, 0)
    return sum_lanes(load(total, 0))


def cached_attention(heads: Heads, capacity: int) -> Any:
    """x (batch, time, width), past, key and value states (batch, heads, capacity, head_dim) -> y (batch, time, ...).

    The new keys and values are written into the states behind `past` first; a position sees itself and what was before.
    The states are changed in place: a program may use each in one op only.
    """
    batch, time = tirx.Var("batch", "int64"), tirx.Var("time", "int64")
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, heads.width), "float32")
        keys = argument("keys", (batch, heads.count, capacity, heads.size), "float32")
        values = argument("values", (batch, heads.count, capacity, heads.size), "float32")
        past = T.arg("past", tirx.Var("past", "int64"))
        y = argument("y", (batch, time, heads.count * heads.size), "float32")
        with T.parallel(batch * heads.count) as task:
            row, head = T.Bind(task // heads.count), T.Bind(task % heads.count)
            column = T.Bind(head * heads.size)
            with T.serial(time) as t:
                for part in range(heads.parts):
                    place = column + part * LANES
                    new_key = load(x, row, t, heads.key_offset + place)
                    store(keys, new_key, row, head, past + t, part * LANES)
                    store(values, load(x, row, t, heads.value_offset + place), row, head, past + t, part * LANES)
            scores = T.alloc_buffer((capacity + LANES,), "float32")
            with T.serial(time) as t:
                _attend(heads, x, [(row, t)], column, keys, values, (row, head), past + t + 1, scores, y)
    return builder.get()


def cross_attention(heads: Heads, registers: Registers) -> Any:
    """x (batch, time, width), keys and values (audio, heads, frames, head_dim) -> y (batch, time, heads * head_dim).

    The batch is a multiple of audio; row b listens to audio row b // (batch / audio).
    """
    batch, time, audio, frames = (tirx.Var(name, "int64") for name in ("batch", "time", "audio", "frames"))
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, heads.width), "float32")
        keys = argument("keys", (audio, heads.count, frames, heads.size), "float32")
        values = argument("values", (audio, heads.count, frames, heads.size), "float32")
        y = argument("y", (batch, time, heads.count * heads.size), "float32")
        with T.parallel(audio * heads.count) as task:
            signal, head = T.Bind(task // heads.count), T.Bind(task % heads.count)
            column = T.Bind(head * heads.size)
            group = T.Bind(batch // audio)
            rows = max(1, registers.accumulators // heads.parts - 2)
            scores = T.alloc_buffer((rows * (frames + LANES),), "float32")
            total = T.Bind(group * time)

            def block(first: Any, size: int) -> None:
                places = [
                    (T.Bind(signal * group + (first + i) // time), T.Bind((first + i) % time)) for i in range(size)
                ]
                _attend(heads, x, places, column, keys, values, (signal, head), frames, scores, y)

            # Queries of one audio share every key that is loaded.
            for_row_blocks(0, total, total, (rows, 2, 1) if rows > 2 else (1,), block)
    return builder.get()


def _attend(
    heads: Heads,
    x: Any,
    places: list[tuple[Any, Any]],
    column: Any,
    keys: Any,
    values: Any,
    source: tuple[Any, Any],
    length: Any,
    scores: Any,
    y: Any,
) -> None:
    """Queries of one head at x[place] over `length` keys and values at keys[source], values[source]."""
    parts = range(heads.parts)
    stride = T.Bind(length + LANES)  # of the scores of one query, with room for a whole last vector
    queries = [
        [T.Bind(load(x, *place, heads.query_offset + column + part * LANES) * all_lanes(heads.scale)) for part in parts]
        for place in places
    ]
    with T.serial(length) as key:
        loaded = [T.Bind(load(keys, *source, key, part * LANES)) for part in parts]
        for i, query in enumerate(queries):
            products = query[0] * loaded[0]
            for part in parts[1:]:
                products = T.fma(query[part], loaded[part], products)
            T.buffer_store(scores, sum_lanes(products), [i * stride + key])
    totals = [_softmax(scores, i * stride, length) for i in range(len(places))]
    sums = [[small_buffer(LANES) for _ in parts] for _ in places]
    for row in sums:
        for part in row:
            store(part, all_lanes(0.0), 0)
    with T.serial(length) as key:
        loaded = [T.Bind(load(values, *source, key, part * LANES)) for part in parts]
        for i, row in enumerate(sums):
            weight = T.Bind(all_lanes(scores[i * stride + key]))
            for part in parts:
                store(row[part], T.fma(weight, loaded[part], load(row[part], 0)), 0)
    for place, row, total in zip(places, sums, totals, strict=True):
        factor = T.Bind(all_lanes(T.float32(1) / total))
        for part in parts:
            store(y, load(row[part], 0) * factor, *place, column + part * LANES)

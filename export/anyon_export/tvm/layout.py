"""Ops that move values: transposes, padding, heads, look-ups, and the sum of two arrays."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from anyon_export.tvm.tile import for_each
from anyon_export.tvm.vector import LANES, argument, load, store


def transpose_last_two(channels: int) -> Any:
    """x (batch, channels, time) -> y (batch, time, channels)."""
    batch, time = tirx.Var("batch", "int64"), tirx.Var("time", "int64")
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, channels, time), "float32")
        y = argument("y", (batch, time, channels), "float32")
        with T.parallel(batch * time) as row, T.serial(channels) as channel:
            T.buffer_store(y, x[row // time, channel, row % time], [row // time, row % time, channel])
    return builder.get()


def pad_time(width: int, padding: int) -> Any:
    """x (batch, time, width) -> y (batch, (time + 2 * padding) * width) with zeros before and after."""
    batch, time = tirx.Var("batch", "int64"), tirx.Var("time", "int64")
    padded = time + 2 * padding
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, width), "float32")
        y = argument("y", (batch, padded * width), "float32")
        with T.parallel(batch * padded) as task:
            row, place = T.Bind(task // padded), T.Bind(task % padded)
            inside = tirx.all(place >= padding, place < time + padding)
            with T.If(inside):
                with T.Then(), T.serial(width) as i:
                    T.buffer_store(y, x[row, place - padding, i], [row, place * width + i])
                with T.Else(), T.serial(width) as i:
                    T.buffer_store(y, T.float32(0), [row, place * width + i])
    return builder.get()


def split_heads(heads: int, size: int) -> Any:
    """x (batch, time, heads * size) -> y (batch, heads, time, size)."""
    batch, time = tirx.Var("batch", "int64"), tirx.Var("time", "int64")
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, heads * size), "float32")
        y = argument("y", (batch, heads, time, size), "float32")
        with T.parallel(batch * time) as task:
            row, place = T.Bind(task // time), T.Bind(task % time)
            with T.serial(heads) as head:
                for i in range(size // LANES):
                    value = load(x, row, place, head * size + i * LANES)
                    store(y, value, row, head, place, i * LANES)
    return builder.get()


def embedding(rows: int, width: int, panels: bool, dtype: str) -> Any:
    """ids (batch, time), table -> y (batch, time, width); the table in panels of 16 rows, or row after row."""
    batch, time = tirx.Var("batch", "int64"), tirx.Var("time", "int64")
    shape = (-(-rows // LANES), width, LANES) if panels else (rows, width)
    with IRBuilder() as builder, T.prim_func():
        ids = argument("ids", (batch, time), "int64")
        table = argument("table", shape, dtype)
        y = argument("y", (batch, time, width), "float32")
        with T.serial(batch) as row, T.serial(time) as place:
            # The session refuses ids that are out of range; here they must not reach outside of the table.
            index = T.Bind(T.max(T.min(ids[row, place], rows - 1), 0))
            with T.serial(width) as i:
                value = table[index // LANES, i, index % LANES] if panels else table[index, i]
                T.buffer_store(y, T.cast(value, "float32"), [row, place, i])
    return builder.get()


def add(width: int) -> Any:
    """a + b, both (batch, time, width)."""
    batch, time = tirx.Var("batch", "int64"), tirx.Var("time", "int64")
    with IRBuilder() as builder, T.prim_func():
        a = argument("a", (batch, time, width), "float32")
        b = argument("b", (batch, time, width), "float32")
        y = argument("y", (batch, time, width), "float32")

        def row(index: Any) -> None:
            place = (T.Bind(index // time), T.Bind(index % time))
            with T.serial(width // LANES) as i:
                store(y, load(a, *place, i * LANES) + load(b, *place, i * LANES), *place, i * LANES)

        for_each(batch * time, 16, row)
    return builder.get()


def gather_time(width: int) -> Any:
    """x (batch, time, width), index (rows,) along time -> y (batch, rows, width)."""
    batch, time, rows = (tirx.Var(name, "int64") for name in ("batch", "time", "rows"))
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, width), "float32")
        index = argument("index", (rows,), "int64")
        y = argument("y", (batch, rows, width), "float32")
        with T.serial(batch) as signal, T.serial(rows) as row:
            place = T.Bind(T.max(T.min(index[row], time - 1), 0))
            with T.serial(width // LANES) as i:
                store(y, load(x, signal, place, i * LANES), signal, row, i * LANES)
    return builder.get()

"""Layer normalisation over the last dimension."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from anyon_export.tvm.tile import for_each
from anyon_export.tvm.vector import LANES, Vector, all_lanes, argument, load, small_buffer, store, sum_lanes


def layer_norm(width: int, epsilon: float) -> Any:
    """x (batch, time, width), scale and shift (width,) -> y of x's shape; width is a multiple of 16."""
    batch, time = tirx.Var("batch", "int64"), tirx.Var("time", "int64")
    vectors = width // LANES
    with IRBuilder() as builder, T.prim_func():
        x = argument("x", (batch, time, width), "float32")
        scale = argument("scale", (width,), "float32")
        shift = argument("shift", (width,), "float32")
        y = argument("y", (batch, time, width), "float32")

        def row(index: Any) -> None:
            place = (T.Bind(index // time), T.Bind(index % time))

            def total(value: Any) -> Any:
                sums = small_buffer(LANES)
                store(sums, all_lanes(0.0), 0)
                with T.serial(vectors) as i:
                    store(sums, load(sums, 0) + value(T.Bind(load(x, *place, i * LANES))), 0)
                return sum_lanes(load(sums, 0))

            mean = T.Bind(all_lanes(total(lambda v: v) * T.float32(1 / width)))

            def square(v: Vector) -> Vector:
                centred = T.Bind(v - mean)
                return centred * centred

            variance = total(square) * T.float32(1 / width)
            factor = T.Bind(all_lanes(T.float32(1) / T.sqrt(variance + T.float32(epsilon))))
            with T.serial(vectors) as i:
                centred = (load(x, *place, i * LANES) - mean) * factor
                store(y, T.fma(centred, load(scale, i * LANES), load(shift, i * LANES)), *place, i * LANES)

        for_each(batch * time, 16, row)
    return builder.get()

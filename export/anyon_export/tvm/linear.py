"""Products with weights in panels of 16 outputs, as bundles keep them; bias, activation and residual on the way out.

conv1d is the same product: over a padded signal each window is one run of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from anyon_export.tvm.tile import Registers, for_row_blocks, product_tile
from anyon_export.tvm.vector import LANES, Vector, argument, gelu, load, small_buffer, store

# Rows that a thread takes at once: their inputs stay in the second-level cache while all panels pass.
_CHUNK = 96
# Blocks of a few rows, such as the beams of one step: every weight is loaded once for all of them.
_FEW_ROWS = (3, 1)
ACTIVATIONS = {"none": lambda x: x, "gelu": gelu}


@dataclass(frozen=True)
class Product:
    """What a product is compiled for; equal ones share a function.

    residual: "" for none, "rows" for f32 of y's shape, else the type of a table with a row for each time step.
    window: of a convolution, numbers from one window to the next; None for a plain product.
    """

    k: int
    n: int
    weight_dtype: str
    bias: bool
    residual: str
    activation: str
    window: int | None = None

    @property
    def panels(self) -> int:
        return -(-self.n // LANES)


def linear(product: Product, registers: Registers) -> Any:
    """x, weight (panels, k, 16), bias (n,), residual -> y (batch, time, n), as a function of tensor IR.

    x is (batch, time, k), or for a convolution the padded signal (batch, length) whose window at `time` starts at
    time * step.
    """
    k, n = product.k, product.n
    at_once = registers.panels(product.panels)
    groups = product.panels // at_once
    batch, time, length, table = (tirx.Var(name, "int64") for name in ("batch", "time", "length", "table"))
    with IRBuilder() as builder, T.prim_func():
        x_shape = (batch, length) if product.window else (batch, time, k)
        x = argument("x", x_shape, "float32")
        weight = argument("weight", (product.panels, k, LANES), product.weight_dtype)
        bias = argument("bias", (n,), "float32") if product.bias else None
        residual = None
        if product.residual == "rows":
            residual = argument("residual", (batch, time, n), "float32")
        elif product.residual:
            residual = argument("residual", (table, n), product.residual)
        y = argument("y", (batch, time, n), "float32")

        # Rows of the whole batch lie behind each other: row r is row r of batch 0, beyond `time` too.
        def tile(row: Any, rows: int, panel: Any) -> None:
            places = [T.Bind(row + i) for i in range(rows)]
            if product.window:
                starts = [T.Bind(place // time * length + place % time * product.window) for place in places]

            def left(i: int, depth: Any) -> Any:
                return x[0, starts[i] + depth] if product.window else x[0, places[i], depth]

            def finish(i: int, j: int, value: Vector) -> None:
                value = ACTIVATIONS[product.activation](value)
                other = (0, places[i]) if product.residual == "rows" else (places[i] % time,)
                _store(y, residual, (0, places[i]), other, value, T.Bind((panel + j) * LANES), n)

            product_tile(
                rows,
                at_once,
                k,
                left,
                lambda j, depth: load(weight, panel + j, depth, 0),
                None if bias is None else lambda j: load(bias, (panel + j) * LANES),
                finish,
            )

        total = T.Bind(batch * time)
        with T.parallel((total + _CHUNK - 1) // _CHUNK * groups) as task:
            first = T.Bind(task // groups * _CHUNK)
            panel = T.Bind(task % groups * at_once)
            for_row_blocks(
                first,
                T.min(_CHUNK, total - first),
                total,
                (registers.rows(at_once), *_FEW_ROWS),
                lambda row, size: tile(row, size, panel),
            )
    return builder.get()


def _store(
    y: Any, residual: Any, row: tuple[Any, ...], other: tuple[Any, ...], value: Vector, column: Any, n: int
) -> None:
    """y[row][column:] = value + residual[other][column:]; only the columns below n."""

    def whole() -> None:
        store(y, value if residual is None else value + load(residual, *other, column), *row, column)

    if n % LANES == 0:
        whole()
        return
    with T.If(column + LANES <= n):
        with T.Then():
            whole()
        with T.Else():
            kept = small_buffer(LANES)
            store(kept, value, 0)
            with T.serial(n % LANES) as lane:
                place = (*other, column + lane)
                rest = T.float32(0) if residual is None else T.cast(residual[place], "float32")
                T.buffer_store(y, kept[lane] + rest, [*row, column + lane])

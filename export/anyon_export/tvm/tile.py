"""The one inner loop of products: a few rows times a few panels of 16 columns, held in registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from anyon_export.tvm.vector import LANES, Vector, all_lanes, load, small_buffer, store


@dataclass(frozen=True)
class Registers:
    """accumulators: vectors of 16 floats that fit into the register file beside what feeds them."""

    accumulators: int

    def panels(self, of: int) -> int:
        """How many of `of` panels are worked on at a time; divides `of`, so that none is left over."""
        if self.accumulators < 12:
            return 1
        return next(count for count in (3, 4, 2, 1) if of % count == 0)

    def rows(self, panels: int) -> int:
        return self.accumulators // panels


def product_tile(
    rows: int,
    panels: int,
    depth: Any,
    left: Callable[[int, Any], Any],
    right: Callable[[int, Any], Vector],
    start: Callable[[int], Vector] | None,
    finish: Callable[[int, int, Vector], None],
) -> None:
    """finish(i, j, start(j) + sum over k of left(i, k) * right(j, k)) for i < rows, j < panels.

    left gives a number, right the 16 columns of panel j; start=None begins at 0.
    """
    sums = [small_buffer(panels * LANES) for _ in range(rows)]
    starts = [T.Bind(all_lanes(0.0) if start is None else start(j)) for j in range(panels)]
    for row in sums:
        for j in range(panels):
            store(row, starts[j], j * LANES)
    with T.serial(depth) as k:
        columns = [T.Bind(right(j, k)) for j in range(panels)]
        for i, row in enumerate(sums):
            factor = T.Bind(all_lanes(left(i, k)))
            for j in range(panels):
                store(row, T.fma(factor, columns[j], load(row, j * LANES)), j * LANES)
    for i, row in enumerate(sums):
        for j in range(panels):
            finish(i, j, T.Bind(load(row, j * LANES)))


def for_row_blocks(
    first: Any, count: Any, total: Any, sizes: tuple[int, ...], body: Callable[[Any, int], None]
) -> None:
    """body(row, size) over rows first .. first + count - 1 of `total`.

    Blocks have the first of `sizes` that `total` reaches, the last of which is 1. A last block that would not be full
    reaches back over rows that are done, which get the same values again.
    """
    size = sizes[0]

    def blocks() -> None:
        with T.serial((count + size - 1) // size) as block:
            body(T.Bind(T.min(first + block * size, total - size)), size)

    if size == 1:
        blocks()
        return
    with T.If(total >= size):
        with T.Then():
            blocks()
        with T.Else():
            for_row_blocks(first, count, total, sizes[1:], body)


def for_each(count: Any, parallel_from: int, body: Callable[[Any], None]) -> None:
    """body(i) for i < count; on several threads where there are `parallel_from` of them or more."""
    with T.If(count >= parallel_from):
        with T.Then(), T.parallel(count) as i:
            body(i)
        with T.Else(), T.serial(count) as i:
            body(i)

"""The layers of a quantised bundle as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = ("weight", "scheme", "shape", "bytes", "SQNR dB", "error so far")


def layer_cells(layer: Mapping[str, Any]) -> list[str]:
    """What stands under HEADINGS for one layer (`Layer.to_json()`)."""
    shape = "x".join(str(size) for size in layer["shape"])
    sqnr = "exact" if layer["sqnr"] is None else f"{layer['sqnr']:.1f}"
    return [layer["name"], layer["scheme"], shape, f"{layer['bytes']:,}", sqnr, f"{layer['noise']:.1%}"]


def layer_table(layers: Sequence[Mapping[str, Any]]) -> str:
    """Columns: weight, scheme, shape, bytes, SQNR (dB), and the share of all rounding error up to here."""
    rows = [list(HEADINGS), *(layer_cells(layer) for layer in layers)]
    total = sum(layer["bytes"] for layer in layers)
    rows.append(["total", "", "", f"{total:,}", "", ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)

"""The layers of a quantised bundle as one page of HTML that needs nothing else: figures, plots and the whole table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from anyon.cli.layer_table import HEADINGS, layer_cells

_COLOURS = {"f32": "#8a8f98", "f16": "#5b8def", "int8": "#2a9d8f", "int4": "#e76f51"}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #888; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.quiet { color: var(--quiet); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dd { margin: 0; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
.scroll { overflow-x: auto; } i { display: inline-block; width: .8em; height: .8em; margin-right: .3em; }
"""
_ROW, _LABEL, _WIDTH = 15, 330, 960


def layer_page(title: str, facts: Mapping[str, str], layers: Sequence[Mapping[str, Any]]) -> str:
    """title: the model; facts: what stands above the plots; layers: `Layer.to_json()`, perhaps with "divergence"."""
    kinds = dict.fromkeys(_kind(layer) for layer in layers)
    legend = " &nbsp; ".join(f'<i style="background:{_COLOURS[kind]}"></i>{kind}' for kind in kinds)
    plots = _plot("Bytes", layers, [float(layer["bytes"]) for layer in layers], lambda v: f"{v / 1e6:.2f} MB")
    worst = [0.0 if layer["sqnr"] is None else float(layer["sqnr"]) for layer in layers]
    plots += _plot("Signal over rounding error (dB, more is better; exact ones are left out)", layers, worst, _decibels)
    plots += _plot("Share of all rounding error, up to here", layers, [row["noise"] for row in layers], _percent)
    if any("divergence" in layer for layer in layers):
        measured = [float(layer.get("divergence", 0.0)) for layer in layers]
        plots += _plot("Divergence of the output when this layer alone is quantised (nats)", layers, measured, _nats)
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><dl>{rows}</dl><p>{legend}</p>{plots}<h2>Layers</h2>"
        f'<div class="scroll">{_table(layers)}</div></html>\n'
    )


def _kind(layer: Mapping[str, Any]) -> str:
    return str(layer["scheme"]).partition("-")[0]


def _plot(title: str, layers: Sequence[Mapping[str, Any]], values: Sequence[float], text: Any) -> str:
    """Horizontal bars, one a layer."""
    most = max(values, default=0.0) or 1.0
    bars = []
    for index, (layer, value) in enumerate(zip(layers, values, strict=True)):
        y, width = index * _ROW, max(0.0, value) / most * (_WIDTH - _LABEL - 90)
        name = escape(str(layer["name"]))
        bars.append(
            f'<text x="{_LABEL - 6}" y="{y + 11}" text-anchor="end">{name}</text>'
            f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 4}" fill="{_COLOURS[_kind(layer)]}">'
            f"<title>{name}: {escape(text(value))}</title></rect>"
            f'<text x="{_LABEL + width + 5:.1f}" y="{y + 11}">{escape(text(value))}</text>'
        )
    height = len(layers) * _ROW + 4
    chart = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">{"".join(bars)}</svg>'
    return f"<h2>{escape(title)}</h2>{chart}"


def _table(layers: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    rows = ["".join(f"<td>{escape(cell)}</td>" for cell in layer_cells(layer)) for layer in layers]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _decibels(value: float) -> str:
    return f"{value:.1f} dB" if value else "exact"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _nats(value: float) -> str:
    return f"{value:.5f}"

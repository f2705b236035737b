"""Draws the report of peers.py: a row of panels for each thread count, a bar for each engine; memory at the end.

python plot_peers.py peers.json peers.png       (needs matplotlib)
"""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLUMNS = {
    "encoder": "encoder, 30 s window, ms",
    "token": "ms per token",
    "first": "first token, 10 s clip, ms",
    "10s": "10 s clip, s",
    "30s": "30 s clip, s",
    "7min": "7 min recording, s",
}
MILLISECONDS = ("encoder", "token", "first")


def draw(axis: Axes, title: str, values: dict[str, float]) -> None:
    """Slowest first from below, so that the fastest is on top."""
    names = sorted(values, key=lambda name: -values[name])
    colours = ["tab:blue" if name.startswith("anyon") else "tab:gray" for name in names]
    bars = axis.barh(names, [values[name] for name in names], color=colours)
    axis.bar_label(bars, fmt="%.3g", fontsize=6, padding=2)
    axis.set_title(title, fontsize=8)
    axis.tick_params(labelsize=6)
    axis.margins(x=0.25)


def sizes(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    memory = report["memory"]
    found = {
        "peak memory above Python with numpy, MiB": {name: row["above_mib"] for name, row in memory.items()},
        "load, ms": {name: 1000 * row["load_s"] for name, row in memory.items()},
        "files, MB": {name: size / 1e6 for name, size in report["bytes"].items()},
        "word error, %": {name: row["wer_percent"] for name, row in report["wer"].items()},
    }
    return {title: values for title, values in found.items() if values}


def main() -> None:
    with open(sys.argv[1]) as file:
        report = json.load(file)
    lines = [
        {
            f"{COLUMNS[column]}, {threads} thread(s)": {
                name: row["median_s"] * (1000 if column in MILLISECONDS else 1) for name, row in rows[column].items()
            }
            for column in COLUMNS
            if rows.get(column)
        }
        for threads, rows in report["speed"].items()
    ]
    lines.append(sizes(report))
    lines = [line for line in lines if line]
    width = max(map(len, lines))
    figure, axes = plt.subplots(len(lines), width, figsize=(3.4 * width, 2.8 * len(lines)), squeeze=False)
    for row, line in zip(axes, lines, strict=True):
        for axis in row[len(line) :]:
            axis.axis("off")
        for axis, (title, values) in zip(row, line.items(), strict=False):
            draw(axis, title, values)
    figure.suptitle(f"{report['model']}, {report['machine']['cpu']}, {report['date']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(sys.argv[2], dpi=120)


if __name__ == "__main__":
    main()

"""Draws the tables of peers.py: one panel for each clip, settings and thread count, a bar for each engine.

python plot_peers.py peers.json peers.png       (needs matplotlib)
"""

from __future__ import annotations

import json
import math
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    with open(sys.argv[1]) as file:
        report = json.load(file)
    tables = report["tables"]
    columns = min(3, len(tables))
    rows = math.ceil(len(tables) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5 * columns, 2.4 * rows), squeeze=False)
    for axis in axes.flat[len(tables) :]:
        axis.axis("off")
    for axis, (title, table) in zip(axes.flat, tables.items(), strict=False):
        names = [row["peer"] for row in table][::-1]
        medians = [row["median_s"] for row in table][::-1]
        spread = [
            [row["median_s"] - row["min_s"] for row in table][::-1],
            [row["max_s"] - row["median_s"] for row in table][::-1],
        ]
        colours = ["tab:blue" if name.startswith("anyon") else "tab:gray" for name in names]
        axis.barh(names, medians, xerr=spread, color=colours)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("seconds (median, whiskers min to max)", fontsize=8)
        axis.tick_params(labelsize=8)
    figure.suptitle(f"{report['machine']['cpu']}, {report['date']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(sys.argv[2], dpi=120)


if __name__ == "__main__":
    main()

"""Writes what a build needs to run given bundles, and nothing else: select_ops.py OUTPUT_FOLDER BUNDLE...

OUTPUT_FOLDER/program/ops/ops.inc gets the rows of the ops that the bundles' fused programs use. Prints "graph" when one
of them has a graph program, which needs the graph executor, else "fused". Needs nothing but Python.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

_OPS = Path(__file__).parent.parent / "runtime_cpp" / "program" / "ops" / "ops.inc"
_ROW = re.compile(r"ANYON_OP\((\w+)\)")


def programs(path: Path) -> list[dict[str, Any]]:
    """The programs of a bundle (runtime_cpp/bundle/bundle.h has the format)."""
    with path.open("rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < size <= 64 << 20:
            sys.exit(f"{path}: not a bundle: it does not start with a safetensors header")
        try:
            return list(json.loads(json.loads(file.read(size))["__metadata__"]["manifest"])["programs"].values())
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"{path}: not a bundle: {error!r}")


def main(folder: Path, bundles: list[Path]) -> None:
    found = [program for bundle in bundles for program in programs(bundle)]
    fused = [program for program in found if program.get("kind") != "graph"]
    wanted = {op["op"] for program in fused for op in program["ops"]}
    lines = _OPS.read_text().splitlines()
    unknown = wanted - {row[1] for line in lines if (row := _ROW.match(line))}
    if unknown:
        sys.exit(f"{', '.join(map(str, bundles))}: ops this version does not have: {', '.join(sorted(unknown))}")
    text = "\n".join(line for line in lines if not (row := _ROW.match(line)) or row[1] in wanted) + "\n"
    target = folder / "program" / "ops" / "ops.inc"
    target.parent.mkdir(parents=True, exist_ok=True)
    # An unchanged file keeps its time, so that nothing is compiled again.
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    print("fused" if len(fused) == len(found) else "graph")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])

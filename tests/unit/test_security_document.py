"""SECURITY.md lists every limit of the runtime with the number that it has."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_table_of_limits_is_that_of_the_runtime() -> None:
    header = (REPOSITORY / "runtime_cpp" / "core" / "limits.h").read_text()
    stated = {}
    for name, text in re.findall(r"^inline constexpr \w+ (k\w+) = ([^;]+);", header, re.MULTILINE):
        plain = re.sub(r"(?:int64_t|size_t)\{(\d+)\}", r"\1", text).replace("'", "").removesuffix("F")
        first, _, shift = plain.partition(" << ")
        stated[name] = f"{int(float(first)) << int(shift or 0):,}"
    rows = re.findall(r"^\| [^|]+ \| `(k\w+)` \| ([\d,]+) \|", (REPOSITORY / "SECURITY.md").read_text(), re.MULTILINE)
    assert dict(rows) == stated

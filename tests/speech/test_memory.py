"""Resident memory stays flat over many transcriptions. ANYON_TEST_FULL=1 runs all 200."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from settings import SETTINGS

GREEDY = {"language": "en", **SETTINGS["greedy"]}

RUNS = 200 if os.environ.get("ANYON_TEST_FULL") else 30
# The allocator reaches its working size in the first runs.
WARM_UP = 8


def resident_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_is_flat_within_two_percent(tiny_en: Any, beckett: tuple[Path, str]) -> None:
    sizes = []
    for _ in range(RUNS):
        tiny_en.transcribe(beckett[0], **GREEDY)
        sizes.append(resident_kib())
    settled = sizes[WARM_UP]
    assert abs(sizes[-1] - settled) <= 0.02 * settled, f"{settled} KiB after {WARM_UP} runs, {sizes[-1]} after {RUNS}"
    assert max(sizes[WARM_UP:]) <= 1.02 * settled

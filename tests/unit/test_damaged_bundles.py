"""A real bundle, cut and with flipped bits at a thousand random places each: refused by name, never loaded as it is.

ANYON_TEST_SEED replays a run, ANYON_TEST_DAMAGE sets how many places.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

import anyon

PLACES = int(os.environ.get("ANYON_TEST_DAMAGE", "1000"))


@pytest.fixture
def seed() -> int:
    value = int(os.environ.get("ANYON_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"replay with ANYON_TEST_SEED={value}")
    return value


@pytest.fixture
def bundle(demo_folder: Path, native: Any, cache: Path, tmp_path: Path) -> Path:
    """A copy of tiny.en int8 to damage."""
    model = anyon.load("tiny.en", cache_dir=cache, threads=1, recipe="int8")
    return Path(shutil.copy(model.info["bundle"], tmp_path / "tiny.en.anyon"))


def header_bytes(path: Path) -> int:
    with open(path, "rb") as file:
        return 8 + int(struct.unpack("<Q", file.read(8))[0])


def refusal(path: Path, verify: bool) -> str:
    """The message of the error that loading raises; "" when it loads. Anything outside the family fails the test."""
    try:
        anyon.load(path, threads=1, backend="native", verify=verify)
    except anyon.BundleError as error:
        assert str(path) in str(error)
        return str(error)
    return ""


def flip(path: Path, position: int, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        value = file.read(1)[0]
        file.seek(position)
        file.write(bytes([value ^ 1 << bit]))


@pytest.mark.slow
def test_a_bundle_that_is_cut_anywhere_is_refused(bundle: Path, seed: int) -> None:
    chooser, header = random.Random(seed), header_bytes(bundle)
    sizes = {chooser.randrange(header) for _ in range(PLACES // 4)}
    sizes |= {chooser.randrange(bundle.stat().st_size) for _ in range(PLACES - len(sizes))}
    for size in sorted(sizes, reverse=True):
        os.truncate(bundle, size)
        assert refusal(bundle, verify=False) != "", f"cut to {size} bytes"


@pytest.mark.slow
def test_a_flipped_bit_is_refused_in_the_header_always_and_in_the_data_when_verified(bundle: Path, seed: int) -> None:
    chooser, header = random.Random(seed), header_bytes(bundle)
    size = bundle.stat().st_size
    assert refusal(bundle, verify=True) == ""
    for number in range(PLACES):
        in_header = number % 2 == 0
        position, bit = (
            chooser.randrange(header) if in_header else chooser.randrange(header, size),
            chooser.randrange(8),
        )
        flip(bundle, position, bit)
        assert refusal(bundle, verify=not in_header) != "", f"bit {bit} of byte {position}"
        flip(bundle, position, bit)
    assert refusal(bundle, verify=True) == "", "every flip was taken back"


def test_a_flipped_bit_of_a_weight_loads_when_nobody_asks_for_verification(bundle: Path, seed: int) -> None:
    """Opening reads the header alone; the hash of the data costs a pass over the file, and is the caller's choice."""
    start = header_bytes(bundle)
    with open(bundle, "rb") as file:
        header = json.loads(file.read(start)[8:])
    first, last = header["decoder.token_embedding.weight"]["data_offsets"]
    flip(bundle, random.Random(seed).randrange(start + first, start + last), 0)
    assert "the data has SHA-256" in refusal(bundle, verify=True)
    assert refusal(bundle, verify=False) == "", "half a step of one of 20 million weights"

"""Bundles of every version of the format ever written load, verify, and compute what they did when they were made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anyon

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

VERSIONS = sorted((GOLDEN / "bundles").glob("v*"))
BUNDLES = [path for folder in VERSIONS for path in sorted(folder.glob("*.anyon"))]


def expected(path: Path) -> Any:
    return json.loads((path.parent / "expected.json").read_text())[path.name]


def test_there_are_bundles_of_the_version_that_is_written_now() -> None:
    from anyon_export.bundle import FORMAT_VERSION

    assert f"v{FORMAT_VERSION}" in [folder.name for folder in VERSIONS]
    for folder in VERSIONS:
        assert sorted(json.loads((folder / "expected.json").read_text())) == sorted(
            path.name for path in folder.glob("*.anyon")
        )


@pytest.mark.parametrize("path", [path for path in BUNDLES if path.name.startswith("whisper")], ids=lambda p: p.name)
def test_a_whisper_of_each_recipe_writes_the_same_tokens_on_every_isa(path: Path, native: Any) -> None:
    make_bundles = pytest.importorskip("make_bundles", reason="pip install 'anyon[export]'")
    for isa in native.supported_isas():
        model = anyon.load(path, threads=1, isa=isa, verify=True)
        result = model.transcribe(make_bundles.signal(), **make_bundles.OPTIONS)
        assert [list(segment.tokens) for segment in result.segments] == expected(path), isa


@pytest.mark.parametrize("path", [path for path in BUNDLES if path.name.startswith("graph")], ids=lambda p: p.name)
def test_a_graph_program_gives_the_same_numbers(path: Path) -> None:
    outputs = anyon.load(path, verify=True).run(x=np.sin(np.arange(42, dtype=np.float32)).reshape(2, 3, 7))
    (output,) = outputs.values()
    # Sums of up to 9 products and of 7 shares, in another order: a few eps; expected are rounded to 7 digits.
    np.testing.assert_allclose(output.flatten(), expected(path), rtol=0, atol=2e-6)

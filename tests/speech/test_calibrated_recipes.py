"""Calibration on real speech: what the model's products heard makes 4 bits say more nearly what floats say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def parts(tiny_en_folder: Path) -> Any:
    """(f32 blueprint, checkpoint)."""
    from anyon.conversion import find_blueprint, open_checkpoint

    checkpoint = open_checkpoint(tiny_en_folder)
    return find_blueprint(checkpoint)[0], checkpoint


def test_gptq_on_a_recording_brings_int4_nearer_to_the_float_model(parts: Any, two_cities: tuple[Path, str]) -> None:
    from anyon.calibration import Recording, temporary_model, windows
    from anyon.divergence import Divergence
    from anyon.progress import silent
    from anyon.quantizer import quantise
    from anyon_quantization.recipes import standard

    blueprint, checkpoint = parts
    recordings = [Recording(two_cities[0], two_cities[1])]
    with temporary_model(blueprint, checkpoint) as model:
        heard = windows(model, recordings, silent)
        assert len(heard) >= 2, "44 seconds are at least two windows"
        start_of_transcript = checkpoint.generation["sot"]
        assert [window.tokens.count(start_of_transcript) for window in heard] == [1] * len(heard)
        divergence = Divergence(model, heard)
        assert divergence(model) == pytest.approx(0, abs=1e-9)
    found = []
    for given in ([], recordings):
        made = quantise(
            blueprint, checkpoint, standard("int4"), recordings=given, budget=None, max_size=None, report=silent
        )
        with temporary_model(made.blueprint, made.checkpoint) as model:
            found.append(divergence(model))
    plain, calibrated = found
    assert plain < 0.1
    assert calibrated < 0.8 * plain

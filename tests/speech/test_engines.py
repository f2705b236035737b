"""Other engines than ours write the same tokens from the same f32 weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import speech_data


@pytest.fixture(scope="module")
def native(tiny_en_folder: Path) -> Any:
    import anyon

    return anyon.load(tiny_en_folder, recipe="f32", backend="native", threads=2)


@pytest.fixture(scope="module", params=["openvino", "onnxruntime", "tvm"])
def engine(request: pytest.FixtureRequest, tiny_en_folder: Path) -> Any:
    import anyon

    pytest.importorskip(request.param, reason=f"not installed: pip install 'anyon[{request.param}]'")
    return anyon.load(tiny_en_folder, recipe="f32", backend=request.param, threads=2)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_three_recordings_become_the_same_tokens(data: Path, native: Any, engine: Any, beam_size: int) -> None:
    # Rounding could decide a tie between two tokens; in these it does not.
    of_each_source = {recording.source: recording for recording in speech_data.english(data)}
    for recording in list(of_each_source.values())[:3]:
        ours, theirs = (
            model.transcribe(recording.path, beam_size=beam_size, temperature=0.0) for model in (native, engine)
        )
        assert [s.tokens for s in theirs.segments] == [s.tokens for s in ours.segments], recording.path.name

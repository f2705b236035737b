"""Every instruction set of this machine writes the same text, though its kernels round sums in another order.

Plain C++ (scalar) rounds each multiply-add twice, the others once: there a comma may come or go, the words stay.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import speech_data

from anyon import _native


def recordings() -> list[Path]:
    """Two that a package carries, and one of the speech data where it is there."""
    found = [path for path, _ in speech_data.packaged_speech().values()]
    root = speech_data.data_root()
    if root is not None:
        found.append(next(row.path for row in speech_data.english(root) if "librispeech" in row.source))
    return found


@pytest.mark.parametrize("isa", _native.supported_isas())
def test_the_text_is_that_of_the_best_instruction_set(isa: str, tiny_en_folder: Path) -> None:
    import anyon

    best = anyon.load(str(tiny_en_folder), recipe="int8", threads=2)
    forced = anyon.load(str(tiny_en_folder), recipe="int8", threads=2, isa=isa)
    assert {place.isa for place in forced.placement} == {isa}
    for path in recordings():
        options = {"beam_size": 1, "temperature": 0.0, "language": "en"}
        text, expected = (model.transcribe(path, **options).text for model in (forced, best))
        if isa == "scalar":
            text, expected = re.sub(r"[^\w\s]", "", text), re.sub(r"[^\w\s]", "", expected)
        assert text == expected, path.name

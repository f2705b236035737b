"""What every engine is told in a comparison; names are openai-whisper's."""

from __future__ import annotations

from typing import Any

NO_FALLBACK: dict[str, Any] = {
    "temperature": 0.0,
    "compression_ratio_threshold": None,
    "logprob_threshold": None,
    "no_speech_threshold": None,
    "condition_on_previous_text": False,
}
FALLBACK: dict[str, Any] = {
    "temperature": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    "best_of": 5,
    "compression_ratio_threshold": 2.4,
    "logprob_threshold": -1.0,
    "no_speech_threshold": 0.6,
    "condition_on_previous_text": True,
}
# What both engines are told. "greedy" and "beam5" are deterministic; "default" falls back to sampling where a window
# looks bad, so two runs may differ by some words.
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"beam_size": 1, **NO_FALLBACK},
    "greedy-no-timestamps": {"beam_size": 1, "without_timestamps": True, **NO_FALLBACK},
    "beam5": {"beam_size": 5, "patience": 1.0, **NO_FALLBACK},
    "default": {"beam_size": 5, "patience": 1.0, **FALLBACK},
}

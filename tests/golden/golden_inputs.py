"""What the golden bundles are run with; numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LETTERS = "abcdefghijklmnopqrstuvwxyz .,?"
FIRST_CONTROL = len(LETTERS)  # the id of <|endoftext|>
# Every token is the likeliest, and the end is never chosen, so that windows are full of tokens to compare.
OPTIONS: dict[str, Any] = {
    "beam_size": 1,
    "temperature": 0,
    "no_speech_threshold": None,
    "log_prob_threshold": None,
    "compression_ratio_threshold": None,
    "speech_gate": False,
    "without_timestamps": True,
    "suppress_tokens": [FIRST_CONTROL],
    "max_new_tokens": 8,
}


def signal() -> npt.NDArray[np.float32]:
    """2.5 s that never repeat: a tone that rises, in bursts."""
    time = np.arange(40_000) / 16_000
    return (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) * (np.sin(2 * np.pi * 3 * time) > -0.5)).astype(
        np.float32
    )


def graph_input() -> npt.NDArray[np.float32]:
    return np.sin(np.arange(2 * 3 * 7, dtype=np.float32)).reshape(2, 3, 7)

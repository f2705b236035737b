"""How far a model's output moves when a weight does: Kullback-Leibler divergence on what the float model says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from anyon.calibration import Window

if TYPE_CHECKING:
    from anyon._native import Session
    from anyon.whisper import WhisperModel


class Divergence:
    """Measures models of one architecture against the float model: mean over all tokens of all windows, in nats."""

    def __init__(self, model: WhisperModel, windows: Sequence[Window]) -> None:
        self._windows = windows
        with model.lent_engine() as engine:
            self._encoded = [_encode(engine.sessions, window) for window in windows]
            self._expected = [
                _log_softmax(_decode(engine.sessions, window, encoded))
                for window, encoded in zip(windows, self._encoded, strict=True)
            ]

    def __call__(self, model: WhisperModel, programs: Sequence[str] = ("encoder", "decoder")) -> float:
        """programs: those that changed; without "encoder" what the float encoder gave is decoded."""
        total, tokens = 0.0, 0
        with model.lent_engine() as engine:
            for index, (window, expected) in enumerate(zip(self._windows, self._expected, strict=True)):
                encoded = _encode(engine.sessions, window) if "encoder" in programs else self._encoded[index]
                found = _log_softmax(_decode(engine.sessions, window, encoded))
                total += float((np.exp(expected) * (expected - found)).sum())
                tokens += len(window.tokens)
        return total / max(tokens, 1)


def _encode(sessions: dict[str, Session], window: Window) -> dict[str, Any]:
    encoder = sessions["encoder"]
    outputs = encoder.run(window.inputs)
    return {row[0]: np.array(array) for row, array in zip(encoder.outputs, outputs, strict=True)}


def _decode(sessions: dict[str, Session], window: Window, encoded: dict[str, Any]) -> Any:
    """Logits (T, vocabulary) of all tokens of a window in one run."""
    decoder = sessions["decoder"]
    decoder.reset_states()
    places = np.arange(len(window.tokens))
    given = {"tokens": np.array([window.tokens]), "positions": places[None], "select": places} | encoded
    outputs = decoder.run([given[row[0]] for row in decoder.inputs])
    logits = next(array for row, array in zip(decoder.outputs, outputs, strict=True) if row[0] == "logits")
    return np.array(logits[0], np.float32)


def _log_softmax(logits: Any) -> Any:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))

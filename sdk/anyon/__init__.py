"""anyon: speech models on the device in front of you.

    import anyon

    model = anyon.load("tiny.en")
    print(model.transcribe("recording.mp3").text)

Everything raised on purpose is an `anyon.AnyonError`. Nothing is printed; log messages go to the logger "anyon".
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from anyon._version import __version__
from anyon.errors import (
    AnyonError,
    AudioError,
    BackendError,
    BackendWarning,
    BundleError,
    CacheError,
    CancelledError,
    CheckpointError,
    ExportError,
    HubError,
    InterruptedTranscription,
    ModelNotFoundError,
    OptionError,
    OutOfMemoryError,
    OutputError,
    SessionError,
    SignatureError,
)
from anyon.model import load
from anyon.placement import Placement
from anyon.progress import Progress
from anyon.results import Segment, Transcript, Word

if TYPE_CHECKING:
    from anyon.exporting import export
    from anyon.graph_model import GraphModel
    from anyon.options import TranscribeOptions
    from anyon.registry import available_models
    from anyon.transcription import Transcription
    from anyon.whisper import WhisperModel

# What a load needs, now rather than inside the first one. When the extension cannot be loaded, `load` says so and
# `anyon doctor` still runs.
with suppress(ImportError):
    import anyon.backends.native_backend
    import anyon.sources
    import anyon.whisper  # noqa: F401

_LAZY = {
    "GraphModel": "anyon.graph_model",
    "TranscribeOptions": "anyon.options",
    "Transcription": "anyon.transcription",
    "WhisperModel": "anyon.whisper",
    "available_models": "anyon.registry",
    "export": "anyon.exporting",
}

__all__ = [
    "AnyonError",
    "AudioError",
    "BackendError",
    "BackendWarning",
    "BundleError",
    "CacheError",
    "CancelledError",
    "CheckpointError",
    "ExportError",
    "GraphModel",
    "HubError",
    "InterruptedTranscription",
    "ModelNotFoundError",
    "OptionError",
    "OutOfMemoryError",
    "OutputError",
    "Placement",
    "Progress",
    "Segment",
    "SessionError",
    "SignatureError",
    "TranscribeOptions",
    "Transcript",
    "Transcription",
    "WhisperModel",
    "Word",
    "__version__",
    "available_models",
    "export",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'anyon' has no attribute {name!r}")

"""Readers for published Whisper weights: numpy and the standard library only, nothing in a file is ever executed."""

from .checkpoint import Checkpoint, LazyTensors, Source, TensorEntry, parameter_shapes
from .detect import identify, load
from .errors import CheckpointError
from .tokenizer import TokenizerData

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "LazyTensors",
    "Source",
    "TensorEntry",
    "TokenizerData",
    "identify",
    "load",
    "parameter_shapes",
]

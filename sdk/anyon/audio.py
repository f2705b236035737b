"""Any recording as a stream of mono float32 chunks at its own rate; the runtime resamples.

Accepted: a path, the bytes of a file, an open binary file (pipes too), or samples in an array (numpy, or anything
with `__array__`, or {"array": ..., "sampling_rate": ...} as Hugging Face datasets have it).

Arrays: (samples,), (samples, channels) or (channels, samples): the longer axis is time. Integers are full scale at
their type's limit, floats at 1.0. Channels are averaged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anyon.errors import AudioError, OptionError

Samples: TypeAlias = NDArray[np.float32]

DEFAULT_RATE = 16_000
MIN_RATE, MAX_RATE = 4_000, 768_000
MAX_CHANNELS = 64
CHUNK_SECONDS = 1.0
# Full scale is 1.0 and a hot recording reaches 4; integers stored as floats are in the hundreds and thousands.
MAX_FLOAT_MAGNITUDE = 32.0


class AudioStream(Protocol):
    """A recording being read. Iterating yields mono float32 chunks, (samples,), about a second each."""

    name: str
    """How messages call it."""
    rate: int
    """Samples per second of the chunks."""
    duration: float | None
    """Seconds, where the source says so beforehand."""

    def __iter__(self) -> Iterator[Samples]: ...

    def close(self) -> None: ...


def open_audio(source: Any, *, sampling_rate: int | None = None, allow_incomplete: bool = False) -> AudioStream:
    """Opens a recording; see the module for what is accepted.

    `sampling_rate` is for arrays alone (16000 unless given): files state their own. `allow_incomplete` reads a file
    that ends before its header says so as far as it goes. Raises AudioError for what is not audio and OptionError for
    an argument that does not fit; a file that turns out to be damaged raises AudioError while it is read.
    """
    if isinstance(source, dict):
        source, sampling_rate = _from_dataset(source, sampling_rate)
    if hasattr(source, "__array__") and not isinstance(source, (bytes, bytearray, memoryview)):
        return ArrayAudio(np.asarray(source), DEFAULT_RATE if sampling_rate is None else sampling_rate)
    if sampling_rate is not None:
        raise OptionError("sampling_rate: only for arrays; a file states its own rate (leave the argument out)")

    from anyon.audio_file import FileAudio

    if isinstance(source, (bytes, bytearray, memoryview)):
        return FileAudio.from_bytes(bytes(source), allow_incomplete)
    if isinstance(source, (str, os.PathLike)):
        return FileAudio.from_path(_checked_path(source), allow_incomplete)
    if hasattr(source, "read"):
        return FileAudio.from_file(source, allow_incomplete)
    raise AudioError(
        f"audio: cannot read {type(source).__name__} "
        "(pass a path, the bytes of a file, an open binary file, or a numpy array with sampling_rate)"
    )


class ArrayAudio:
    """Samples that are in memory already; they are converted chunk by chunk, so the array is not copied."""

    def __init__(self, samples: NDArray[Any], rate: int) -> None:
        self.name = "array"
        self.rate = _checked_rate(rate)
        self._samples = _time_first(samples)
        self._scale = _full_scale(samples.dtype)
        self.duration: float | None = len(self._samples) / self.rate

    def __iter__(self) -> Iterator[Samples]:
        step = max(1, round(self.rate * CHUNK_SECONDS))
        for first in range(0, len(self._samples), step):
            chunk = to_mono(self._samples[first : first + step], self._scale)
            check_samples(chunk, self.name, first / self.rate, first)
            if self._scale is None:
                _check_magnitude(chunk)
            yield chunk

    def close(self) -> None:
        pass


def to_mono(samples: NDArray[Any], scale: tuple[float, float] | None) -> Samples:
    """(samples, channels) of any dtype → (samples,) float32; `scale` is (offset, full scale) of an integer type."""
    if scale is None:
        mean = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float64)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(mean, dtype=np.float32)
    offset, full = scale
    mean = samples[:, 0].astype(np.float64) if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float64)
    return ((mean - offset) / full).astype(np.float32)


def check_samples(chunk: Samples, name: str, seconds: float, index: int | None = None) -> None:
    """Raises AudioError at the first sample that is NaN or infinite; `seconds` is where the chunk starts."""
    # A float64 sum of float32 samples cannot overflow: it is finite exactly when every sample is.
    if np.isfinite(chunk.sum(dtype=np.float64)):
        return
    bad = int(np.flatnonzero(~np.isfinite(chunk))[0])
    where = f"sample {index + bad}" if index is not None else f"near {seconds:.2f} s, sample {bad} of its chunk"
    raise AudioError(
        f"{name}: {where} is {chunk[bad]} (remove it, for example with numpy.nan_to_num, or look for what wrote it)"
    )


def _full_scale(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """(offset, full scale) of an integer type, None for floats; AudioError for what holds no samples."""
    if dtype.kind == "f":
        return None
    if dtype.kind == "i":
        return 0.0, float(2 ** (8 * dtype.itemsize - 1))
    if dtype == np.uint8:
        return 128.0, 128.0
    raise AudioError(
        f"array: dtype {dtype} does not hold sound (pass float32 in -1..1, or signed integers such as int16; "
        "uint8 counts as unsigned 8-bit PCM)"
    )


def _time_first(samples: NDArray[Any]) -> NDArray[Any]:
    """A (samples, channels) view, after the checks that need no look at the values."""
    if samples.ndim not in (1, 2):
        raise AudioError(
            f"array: shape {samples.shape} has {samples.ndim} dimensions "
            "(pass (samples,), (samples, channels) or (channels, samples); one recording at a time)"
        )
    if 0 in samples.shape:
        raise AudioError(f"array: shape {samples.shape} holds no samples (was the recording empty?)")
    if samples.ndim == 1:
        return samples[:, None]
    rows, columns = samples.shape
    if rows == columns and rows > 1:
        raise AudioError(
            f"array: shape {samples.shape} does not tell time from channels (average the channels yourself: (samples,))"
        )
    time_first = samples if rows >= columns else samples.T
    if time_first.shape[1] > MAX_CHANNELS:
        raise AudioError(
            f"array: shape {samples.shape} would be {time_first.shape[1]} channels, at most {MAX_CHANNELS} are read "
            "(is it a batch? transcribe one recording at a time)"
        )
    return time_first


def _check_magnitude(chunk: Samples) -> None:
    peak = float(np.abs(chunk).max())
    if peak > MAX_FLOAT_MAGNITUDE:
        raise AudioError(
            f"array: a sample of {peak:.6g} where full scale is 1.0 "
            "(16-bit integers kept as floats? divide by 32768, or pass them as int16)"
        )


def _checked_rate(rate: Any) -> int:
    whole = isinstance(rate, (int, np.integer)) or (isinstance(rate, float) and rate.is_integer())
    if isinstance(rate, bool) or not whole or not MIN_RATE <= rate <= MAX_RATE:
        raise OptionError(f"sampling_rate={rate!r}: expected whole hertz in {MIN_RATE}..{MAX_RATE}")
    return int(rate)


def _from_dataset(source: dict[str, Any], sampling_rate: int | None) -> tuple[Any, int]:
    if "array" not in source or "sampling_rate" not in source:
        raise AudioError(
            f"audio: a dictionary with keys {sorted(map(str, source))} "
            '(expected {"array": ..., "sampling_rate": ...})'
        )
    if sampling_rate is not None and sampling_rate != source["sampling_rate"]:
        raise OptionError(
            f"sampling_rate={sampling_rate} contradicts the recording's own {source['sampling_rate']} (leave it out)"
        )
    return np.asarray(source["array"]), source["sampling_rate"]


def _checked_path(source: str | os.PathLike[str]) -> Path:
    text = os.fsdecode(source)
    if "://" in text and not os.path.exists(text):
        raise AudioError(f"{text}: addresses are not opened (download the file and pass its path)")
    path = Path(text)
    try:
        kind = "folder" if path.is_dir() else "file" if path.exists() else "nothing"
    except (OSError, ValueError) as error:
        raise AudioError(f"{text[:200]!r}: cannot be opened: {error} (is it a path?)") from error
    if kind == "folder":
        raise AudioError(f"{path}: is a folder (pass one of the files in it)")
    if kind == "nothing":
        raise AudioError(f"{path}: no such file (looked from {Path.cwd()})")
    return path

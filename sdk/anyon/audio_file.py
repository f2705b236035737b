"""Recordings in files, decoded as a stream with PyAV (FFmpeg): memory does not grow with the length."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream as AvStream
from numpy.typing import NDArray

from anyon.audio import CHUNK_SECONDS, MAX_CHANNELS, MAX_RATE, MIN_RATE, Samples, check_samples, to_mono
from anyon.errors import AudioError
from anyon.logger import log
from anyon.wav_header import promised_bytes

_SCALE: dict[str, tuple[float, float] | None] = {
    "u8": (128.0, 128.0),
    "s16": (0.0, 2.0**15),
    "s32": (0.0, 2.0**31),
    "s64": (0.0, 2.0**63),
    "flt": None,
    "dbl": None,
}
# Containers whose header states how long the audio is; elsewhere FFmpeg's figure is an estimate from the file's size.
_STATES_DURATION = {"flac", "mp3", "matroska,webm", "aiff", "au", "mov,mp4,m4a,3gp,3g2,mj2"}
# A file may be shorter than promised by a codec's delay and rounding; a download that broke off is shorter by more.
_TOLERATED_SECONDS, _TOLERATED_SHARE = 1.0, 0.02
# A pause in the timestamps up to this long is filled with silence so that times stay on the file's clock.
_GAP_SECONDS, _MAX_GAP_SECONDS = 0.25, 600.0
_SPOOL_IN_MEMORY = 32 << 20


class FileAudio:
    """One recording in a container that FFmpeg knows; its first audio stream, averaged to mono."""

    def __init__(self, file: IO[bytes], name: str, size: int | None, allow_incomplete: bool, owned: bool) -> None:
        self.name = name
        self._file = file
        self._owned = owned
        self._allow_incomplete = allow_incomplete
        self.damaged_packets = 0
        try:
            _check_start(file, name, size, allow_incomplete)
            self._container, self._stream = _open(file, name)
        except BaseException:
            self.close()
            raise
        self.rate: int = self._stream.rate
        self.duration: float | None = _duration(self._container, self._stream)

    @classmethod
    def from_path(cls, path: Path, allow_incomplete: bool = False) -> FileAudio:
        try:
            file = open(path, "rb")
            size = path.stat().st_size
        except OSError as error:
            raise AudioError(f"{path}: cannot be opened: {error.strerror} (check its permissions)") from error
        if not file.seekable():
            with file:
                return cls.from_file(file, allow_incomplete, str(path))
        return cls(file, str(path), size, allow_incomplete, owned=True)

    @classmethod
    def from_bytes(cls, data: bytes, allow_incomplete: bool = False) -> FileAudio:
        return cls(io.BytesIO(data), "bytes", len(data), allow_incomplete, owned=True)

    @classmethod
    def from_file(cls, file: Any, allow_incomplete: bool = False, name: str | None = None) -> FileAudio:
        """An open binary file, read from its beginning; what cannot seek (a pipe) is copied to a temporary file."""
        name = name or str(getattr(file, "name", None) or type(file).__name__)
        seekable = getattr(file, "seekable", None)
        if seekable is not None and seekable():
            if isinstance(file.read(0), str):
                raise AudioError(f'{name}: the file is open as text (open it with mode "rb")')
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            return cls(file, name, size, allow_incomplete, owned=False)
        copy, size = _spooled(file, name)
        return cls(copy, name, size, allow_incomplete, owned=True)

    def __iter__(self) -> Iterator[Samples]:
        """Yields mono float32 chunks, (samples,). Raises AudioError where the file is damaged or ends too early."""
        pending: list[Samples] = []
        size = 0
        produced = 0
        for samples in self._mono_frames():
            check_samples(samples, self.name, (produced + size) / self.rate)
            pending.append(samples)
            size += len(samples)
            if size >= self.rate * CHUNK_SECONDS:
                yield np.concatenate(pending)
                produced += size
                pending, size = [], 0
        if size:
            yield np.concatenate(pending)
            produced += size
        self._check_end(produced)

    def close(self) -> None:
        container = getattr(self, "_container", None)
        if container is not None:
            container.close()
        if self._owned:
            self._file.close()

    def _mono_frames(self) -> Iterator[Samples]:
        clock = _Clock(self._container, self.rate, self.duration)
        convert = _Converter(self.rate)
        for frame in self._frames():
            samples = convert(frame, self.name)
            silence = clock.silence_before(frame, len(samples))
            if silence:
                yield np.zeros(silence, np.float32)
            if len(samples):
                yield samples

    def _frames(self) -> Iterator[AudioFrame]:
        """Decoded frames. A damaged packet is left out and counted, as players do."""
        packets = 0
        try:
            for packet in self._container.demux(self._stream):
                packets += 1
                try:
                    yield from packet.decode()
                except av.error.InvalidDataError:
                    self.damaged_packets += 1
        except (av.error.FFmpegError, OSError) as error:
            raise AudioError(
                f"{self.name}: reading failed after {packets} packets: {_reason(error)} "
                "(an incomplete download or a damaged file?)"
            ) from error
        if self.damaged_packets:
            log.warning("%s: left out %d damaged packets of %d", self.name, self.damaged_packets, packets)
        if self.damaged_packets * 2 > packets:
            raise AudioError(
                f"{self.name}: {self.damaged_packets} of {packets} packets are damaged "
                "(an incomplete download, or another kind of file under this name?)"
            )

    def _check_end(self, produced: int) -> None:
        if produced == 0:
            raise AudioError(f"{self.name}: holds no samples (an empty recording, or an incomplete download?)")
        seconds = produced / self.rate
        if not self._states_duration():
            return
        promised = self.duration or 0.0
        if seconds + max(_TOLERATED_SECONDS, _TOLERATED_SHARE * promised) >= promised or self._allow_incomplete:
            return
        raise AudioError(
            f"{self.name}: ends after {seconds:.2f} s, its header promises {promised:.2f} s "
            "(an incomplete download? to use what is there: allow_incomplete=True, --allow-incomplete)"
        )

    def _states_duration(self) -> bool:
        kind = self._container.format.name
        if kind == "mp3":
            return _has_xing_header(self._file)
        if kind.startswith("mov"):
            # An edit list may cut the end on purpose; a file that broke off has half a packet there.
            return self.damaged_packets > 0
        return kind in _STATES_DURATION


class _Clock:
    """Says how much silence stands between what was decoded so far and the next frame's own time."""

    def __init__(self, container: Any, rate: int, duration: float | None) -> None:
        self._start = None if container.start_time is None else container.start_time / av.time_base
        self._rate = rate
        self._limit = None if duration is None else duration + 1.0
        self._position = 0

    def silence_before(self, frame: AudioFrame, samples: int) -> int:
        gap = 0.0
        if frame.time is not None:
            if self._start is None:
                self._start = frame.time
            gap = frame.time - self._start - self._position / self._rate
            beyond = self._limit is not None and frame.time - self._start > self._limit
            if not _GAP_SECONDS < gap < _MAX_GAP_SECONDS or beyond:
                gap = 0.0
        silence = round(gap * self._rate)
        self._position += silence + samples
        return silence


class _Converter:
    """Frames of any sample format → mono float32 at one rate, even where a stream changes its rate midway."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resamplers: dict[tuple[int, str], AudioResampler] = {}

    def __call__(self, frame: AudioFrame, name: str) -> Samples:
        if frame.sample_rate != self._rate:
            return self._resampled(frame)
        array: NDArray[Any] = frame.to_ndarray()
        channels = len(frame.layout.channels)
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(f"{name}: {channels} channels (1 to {MAX_CHANNELS} can be read)")
        by_time = array.T if frame.format.is_planar else array.reshape(-1, channels)
        return to_mono(by_time, _SCALE[frame.format.name.removesuffix("p")])

    def _resampled(self, frame: AudioFrame) -> Samples:
        key = (frame.sample_rate, frame.layout.name)
        if key not in self._resamplers:
            self._resamplers[key] = AudioResampler(format="flt", layout="mono", rate=self._rate)
        parts = [part.to_ndarray().reshape(-1) for part in self._resamplers[key].resample(frame)]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def _open(file: IO[bytes], name: str) -> tuple[Any, AvStream]:
    """The container and its first audio stream. What it names inside (playlists, references) is not opened."""
    try:
        container = av.open(
            file, "r", metadata_errors="ignore", buffer_size=1 << 17, container_options={"protocol_whitelist": "none"}
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise AudioError(
            f"{name}: not audio that FFmpeg can read: {_reason(error)} (a text file, an incomplete download, or raw "
            "samples? raw samples go in as an array: numpy.frombuffer(data, numpy.int16) with sampling_rate)"
        ) from error
    try:
        if not container.streams.audio:
            kinds = ", ".join(sorted({str(stream.type) for stream in container.streams})) or "nothing"
            raise AudioError(
                f"{name}: has no audio stream, only {kinds} as {container.format.name} (a silent video or a text file?)"
            )
        stream = container.streams.audio[0]
        _check_stream(stream, name)
    except BaseException:
        container.close()
        raise
    return container, stream


def _check_stream(stream: AvStream, name: str) -> None:
    channels = stream.channels or 0
    rate = stream.rate or 0
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: the header states {channels} channels (a damaged header? convert the file to WAV)")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name}: the header states {rate} samples per second, {MIN_RATE} to {MAX_RATE} can be read "
            "(a damaged header? convert the file to 16000 Hz)"
        )
    kind = stream.format.name.removesuffix("p") if stream.format is not None else "unknown"
    if kind not in _SCALE:
        raise AudioError(f"{name}: sample format {kind} is not supported (convert the file to WAV)")


def _check_start(file: IO[bytes], name: str, size: int | None, allow_incomplete: bool) -> None:
    """Refuses an empty file, and a WAV file shorter than its header says, before anything is decoded."""
    if size == 0:
        raise AudioError(f"{name}: is empty, 0 bytes (an incomplete download?)")
    promised = promised_bytes(file)
    file.seek(0)
    if promised is None or size is None or size >= promised:
        return
    missing = promised - size
    if missing > max(8192, _TOLERATED_SHARE * promised) and not allow_incomplete:
        raise AudioError(
            f"{name}: has {size} bytes, its header promises {promised} "
            "(an incomplete download? to use what is there: allow_incomplete=True, --allow-incomplete)"
        )


def _duration(container: Any, stream: AvStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # Of a video the container's length is the picture's, which may run on when the sound has ended.
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return None


def _has_xing_header(file: IO[bytes]) -> bool:
    """Whether an mp3 counts its own frames (Xing or Info header); without one its duration is guessed."""
    position = file.tell()
    try:
        file.seek(0)
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            # The tag's size is four 7-bit digits.
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)))
            head = b""
        head += file.read(2048)
        return b"Xing" in head or b"Info" in head
    except (OSError, ValueError):
        return False
    finally:
        with suppress(OSError, ValueError):
            file.seek(position)


def _spooled(file: Any, name: str) -> tuple[IO[bytes], int]:
    """A pipe's content in a temporary file: containers keep parts of their index at the end."""
    copy: Any = tempfile.SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY)
    read: Callable[[int], Any] = file.read
    size = 0
    try:
        while block := read(1 << 20):
            if not isinstance(block, (bytes, bytearray, memoryview)):
                raise AudioError(f'{name}: read() gives {type(block).__name__}, not bytes (open it with mode "rb")')
            copy.write(block)
            size += len(block)
    except OSError as error:
        copy.close()
        raise AudioError(f"{name}: reading failed after {size} bytes: {_reason(error)}") from error
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy, size


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)

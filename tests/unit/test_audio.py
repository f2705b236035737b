"""Recordings in: containers, codecs, rates, channels, dtypes, array shapes, and everything that is not audio."""

from __future__ import annotations

import io
import os
import struct
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import record, silent_video, tone

import anyon
from anyon.audio import open_audio


def samples_of(source: Any, **arguments: Any) -> tuple[NDArray[np.float32], int]:
    stream = open_audio(source, **arguments)
    try:
        chunks = list(stream)
    finally:
        stream.close()
    assert all(chunk.dtype == np.float32 and chunk.ndim == 1 for chunk in chunks)
    return np.concatenate(chunks), stream.rate


def pitch(samples: NDArray[np.float32], rate: int) -> float:
    """Hertz of the strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


# extension, codec, rate, channels, options: what people really have
CONTAINERS = [
    ("wav", "pcm_s16le", 16000, 1, {}),
    ("wav", "pcm_s24le", 44100, 2, {}),
    ("wav", "pcm_f32le", 48000, 2, {}),
    ("wav", "pcm_u8", 8000, 1, {}),
    ("flac", "flac", 16000, 1, {}),
    ("flac", "flac", 96000, 6, {}),
    ("mp3", "libmp3lame", 44100, 2, {}),
    ("mp3", "libmp3lame", 16000, 1, {"write_xing": "0"}),
    ("m4a", "aac", 44100, 2, {}),
    ("m4a", "aac", 16000, 1, {"movflags": "faststart"}),
    ("mp4", "aac", 22050, 1, {"movflags": "frag_keyframe+empty_moov"}),
    ("opus", "libopus", 48000, 2, {}),
    ("ogg", "libopus", 48000, 1, {}),
    ("webm", "libopus", 48000, 1, {}),
    ("aac", "aac", 32000, 1, {}),
    ("aiff", "pcm_s16be", 22050, 1, {}),
    ("au", "pcm_s16be", 11025, 1, {}),
    ("ts", "aac", 48000, 2, {}),
]


@pytest.mark.parametrize(("extension", "codec", "rate", "channels", "options"), CONTAINERS)
def test_every_container_gives_the_tone_at_its_own_rate(
    extension: str, codec: str, rate: int, channels: int, options: dict[str, str], tmp_path: Path
) -> None:
    sound = np.repeat(tone(3.0, rate)[None], channels, axis=0)
    path = record(tmp_path / f"tone.{extension}", codec, sound, rate, options=options)
    samples, found_rate = samples_of(path)
    assert found_rate == rate
    assert len(samples) / rate == pytest.approx(3.0, abs=0.15), "an encoder pads by a few frames"
    assert pitch(samples, rate) == pytest.approx(440, abs=1)
    assert np.abs(samples[rate : 2 * rate]).max() == pytest.approx(0.25, abs=0.02)


def test_path_string_bytes_and_file_object_give_the_same_samples(tmp_path: Path) -> None:
    path = record(tmp_path / "tone.flac", "flac", tone(1.0, 16000), 16000)
    expected, _ = samples_of(path)
    data = path.read_bytes()
    read_halfway = io.BytesIO(data)
    read_halfway.read(7)
    for source in (str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), read_halfway):
        np.testing.assert_array_equal(samples_of(source)[0], expected)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(samples_of(file)[0], expected)
        assert not file.closed, "the caller's file stays the caller's"


def test_a_pipe_that_cannot_seek_is_read_too(tmp_path: Path) -> None:
    data = record(tmp_path / "tone.m4a", "aac", tone(2.0, 16000), 16000).read_bytes()
    reader, writer = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(writer, data), os.close(writer)))
    thread.start()
    with os.fdopen(reader, "rb") as pipe:
        samples, rate = samples_of(pipe)
    thread.join()
    assert len(samples) / rate == pytest.approx(2.0, abs=0.15)


def test_a_renamed_file_is_read_by_its_content(tmp_path: Path) -> None:
    path = record(tmp_path / "tone.flac", "flac", tone(1.0, 16000), 16000)
    renamed = path.rename(tmp_path / "tone.mp3")
    assert len(samples_of(renamed)[0]) == 16000


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(1.0, 16000), -0.5 * tone(1.0, 16000)
    path = record(tmp_path / "stereo.wav", "pcm_f32le", np.stack([left, right]), 16000)
    np.testing.assert_allclose(samples_of(path)[0], (left + right) / 2, atol=1e-7)


def test_sound_that_starts_late_in_a_video_keeps_the_videos_clock(tmp_path: Path) -> None:
    import av

    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for _ in range(30):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for start in range(2 * 16000, 3 * 16000, 1600):
            samples = (tone(0.1, 16000) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    samples, rate = samples_of(path)
    assert len(samples) / rate == pytest.approx(3.0, abs=0.01)
    assert not samples[: int(1.9 * rate)].any()
    assert samples[int(2.1 * rate) :].any()


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    minutes = np.zeros(16000 * 600, np.float32)
    path = record(tmp_path / "long.wav", "pcm_s16le", minutes, 16000)
    del minutes
    stream = open_audio(path)
    tracemalloc.start()
    total = sum(len(chunk) for chunk in stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    stream.close()
    assert total == 16000 * 600
    assert peak < 2 << 20, "ten minutes are 38 MB as float32"


# Arrays ---------------------------------------------------------------------------------------------------------------

WAVE = tone(0.5, 16000)


@pytest.mark.parametrize(
    "array",
    [
        WAVE,
        WAVE.astype(np.float64),
        WAVE.astype(np.float16),
        (WAVE * 2**15).astype(np.int16),
        (WAVE.astype(np.float64) * 2**31).astype(np.int32),
        (WAVE * 128 + 128).astype(np.uint8),
        WAVE[:, None],
        WAVE[None, :],
        np.stack([WAVE, WAVE]),
        np.stack([WAVE, WAVE], axis=1),
        np.asfortranarray(np.stack([WAVE] * 3)),
        WAVE.astype(">f4"),
        np.repeat(WAVE, 2)[::2],
    ],
)
def test_arrays_of_any_dtype_and_shape_are_the_same_sound(array: NDArray[Any]) -> None:
    samples, rate = samples_of(array)
    assert rate == 16000
    tolerance = 1 / 100 if array.dtype == np.uint8 else 1 / 1000
    np.testing.assert_allclose(samples, WAVE, atol=tolerance)


def test_full_scale_integers_become_one() -> None:
    assert samples_of(np.array([-(2**15), 0, 2**15 - 1], np.int16))[0].tolist() == [-1.0, 0.0, 32767 / 32768]
    assert samples_of(np.array([0, 128, 255], np.uint8))[0].tolist() == [-1.0, 0.0, 127 / 128]


def test_an_array_states_its_rate_and_duration() -> None:
    stream = open_audio(np.zeros(44100, np.float32), sampling_rate=44100)
    assert (stream.rate, stream.duration) == (44100, 1.0)


def test_a_dataset_row_brings_its_rate() -> None:
    assert samples_of({"array": WAVE, "sampling_rate": 8000, "path": None})[1] == 8000


def test_other_array_libraries_are_taken_by_their_protocol() -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
            return WAVE

    np.testing.assert_array_equal(samples_of(Tensor())[0], WAVE)


@given(st.integers(1, 5000), st.integers(1, 8), st.booleans())
def test_any_cut_of_channels_averages_to_the_same_samples(length: int, channels: int, channels_first: bool) -> None:
    if length <= channels:
        return
    sound = np.random.default_rng(length).uniform(-1, 1, (length, channels)).astype(np.float32)
    samples, _ = samples_of(sound.T if channels_first else sound)
    np.testing.assert_allclose(samples, sound.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(0, np.float32), "no samples"),
        (np.zeros((100, 0), np.float32), "no samples"),
        (np.zeros((2, 3, 4), np.float32), "3 dimensions"),
        (np.float32(1), "0 dimensions"),
        (np.zeros((100, 100), np.float32), "time from channels"),
        (np.zeros((1000, 65), np.float32), "65 channels"),
        (np.array([0, np.nan, 0], np.float32), "sample 1 is nan"),
        (np.array([0, 0, np.inf]), "sample 2 is inf"),
        (np.array([1e300, 0]), "sample 0 is inf"),
        (np.array([0, 12000.0]), "divide by 32768"),
        (np.array([True, False]), "dtype bool"),
        (np.array([1j]), "dtype complex"),
        (np.array(["a"]), "dtype <U1"),
        (np.array([None]), "dtype object"),
        (np.zeros(4, np.uint16), "dtype uint16"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(array: Any, message: str) -> None:
    with pytest.raises(anyon.AudioError, match=message):
        samples_of(array)


def test_nan_deep_in_an_array_is_found_where_it_is() -> None:
    array = np.zeros(100_000, np.float32)
    array[54321] = np.nan
    with pytest.raises(anyon.AudioError, match="sample 54321 is nan"):
        samples_of(array)


@pytest.mark.parametrize("rate", [0, -1, 3999, 768001, 16000.5, "16000", True, float("nan")])
def test_impossible_rates_are_refused(rate: Any) -> None:
    with pytest.raises(anyon.OptionError, match="sampling_rate"):
        open_audio(WAVE, sampling_rate=rate)


def test_a_rate_for_a_file_is_refused(tmp_path: Path) -> None:
    path = record(tmp_path / "tone.wav", "pcm_s16le", tone(1.0, 16000), 16000)
    with pytest.raises(anyon.OptionError, match="a file states its own rate"):
        open_audio(path, sampling_rate=8000)


def test_one_sample_is_a_recording() -> None:
    assert len(samples_of(np.zeros(1, np.float32))[0]) == 1


# Files that are not audio ---------------------------------------------------------------------------------------------


def wav(channels: int = 1, rate: int = 16000, samples: int = 1600, data_size: int | None = None) -> bytes:
    data = bytes(samples * max(1, channels) * 2)
    size = len(data) if data_size is None else data_size
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", size) + data
    return struct.pack("<4sI", b"RIFF", (4 + len(form) + 8 + size) & 0xFFFFFFFF) + body


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.wav", b"", "is empty, 0 bytes"),
        ("words.mp3", b"This is a text and no music at all.\n" * 200, "not audio"),
        ("words.txt", b"This is a text and no music at all.\n" * 200, "no audio stream|not audio"),
        ("short.wav", b"Hello", "not audio"),
        ("header.wav", wav(samples=0), "no samples|not audio"),
        ("noise.ogg", np.random.default_rng(1).bytes(50_000), "not audio"),
        ("zero-channels.wav", wav(channels=0, data_size=3200), "0 channels|not audio"),
        ("zero-rate.wav", wav(rate=0), "0 samples per second|not audio"),
        ("high-rate.wav", wav(rate=2_000_000), "2000000 samples per second"),
        ("many-channels.wav", wav(channels=200, samples=160), "200 channels|not audio"),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ntone.wav\n#EXT-X-ENDLIST\n", "not audio"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile 'tone.wav'\n", "not audio"),
        ("page.html", b"<!DOCTYPE html><html><body>404</body></html>" * 50, "not audio|no audio stream"),
    ],
)
def test_files_that_are_no_audio_are_named_with_a_reason(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    record(tmp_path / "tone.wav", "pcm_s16le", tone(1.0, 16000), 16000)
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(anyon.AudioError, match=message) as caught:
        samples_of(path)
    assert str(path) in str(caught.value)
    if data:
        with pytest.raises(anyon.AudioError, match=message):
            samples_of(data)


def test_a_wav_from_a_pipe_has_no_length_and_is_read_to_its_end(tmp_path: Path) -> None:
    for unknown in (0, 0xFFFFFFFF, 0x7FFFFFFF):
        samples, _ = samples_of(wav(samples=1600, data_size=unknown))
        assert len(samples) == 1600, unknown


TRUNCATED = [
    ("wav", "pcm_s16le", 16000, {}),
    ("wav", "pcm_f32le", 16000, {}),
    ("flac", "flac", 16000, {}),
    ("mp3", "libmp3lame", 16000, {}),
    ("m4a", "aac", 16000, {}),
    ("m4a", "aac", 16000, {"movflags": "faststart"}),
    ("webm", "libopus", 48000, {}),
    ("aiff", "pcm_s16be", 16000, {}),
]


@pytest.mark.parametrize(("extension", "codec", "rate", "options"), TRUNCATED)
def test_a_download_that_broke_off_is_noticed(
    extension: str, codec: str, rate: int, options: dict[str, str], tmp_path: Path
) -> None:
    path = record(tmp_path / f"tone.{extension}", codec, tone(10.0, rate), rate, options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(anyon.AudioError, match="incomplete download"):
        samples_of(path)
    if extension == "m4a" and not options:
        return  # its index was at the end: nothing can be read without it
    samples, _ = samples_of(path, allow_incomplete=True)
    assert 5.0 < len(samples) / rate < 6.5


@pytest.mark.parametrize(("extension", "codec", "clock"), [("m4a", "aac", 0.1), ("mp3", "libmp3lame", 1.0)])
def test_damage_in_the_middle_is_left_out_and_the_clock_goes_on(
    extension: str, codec: str, clock: float, tmp_path: Path
) -> None:
    sound = np.concatenate([tone(10.0, 44100), tone(10.0, 44100, hertz=880)])
    path = record(tmp_path / f"tone.{extension}", codec, sound, 44100, options={})
    data = bytearray(path.read_bytes())
    quarter = len(data) // 4
    data[quarter : quarter + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    samples, rate = samples_of(path)
    assert len(samples) / rate == pytest.approx(20.0, abs=0.1 + clock)
    # mp3 frames carry no time of their own, so there the sound after the damage comes a little early.
    assert pitch(samples[int((10.2 + clock) * rate) : 15 * rate], rate) == pytest.approx(880, abs=1)
    assert pitch(samples[6 * rate : int((9.8 - clock) * rate)], rate) == pytest.approx(440, abs=1)


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    with pytest.raises(anyon.AudioError, match="no audio stream, only video"):
        samples_of(silent_video(tmp_path / "silent.mp4"))


def test_nan_in_a_file_is_refused(tmp_path: Path) -> None:
    sound = tone(2.0, 16000)
    sound[20000] = np.nan
    path = record(tmp_path / "nan.wav", "pcm_f32le", sound, 16000)
    with pytest.raises(anyon.AudioError, match="nan"):
        samples_of(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.wav", "no such file"),
        ("https://example.org/a.mp3", "addresses are not opened"),
        ("a\0b", "cannot be opened|no such file"),
        ("x" * 5000, "cannot be opened"),
        (42, "cannot read int"),
        (None, "cannot read NoneType"),
        ([0.0, 0.1], "cannot read list"),
        ({"array": [0.0]}, "sampling_rate"),
        (io.StringIO("text"), "as text"),
    ],
)
def test_what_is_no_recording_at_all_is_named(source: Any, message: str) -> None:
    with pytest.raises(anyon.AudioError, match=message):
        open_audio(source)


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(anyon.AudioError, match="is a folder"):
        open_audio(tmp_path)


def test_a_read_that_fails_is_an_audio_error() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(anyon.AudioError, match="Input/output error"):
        open_audio(Broken())

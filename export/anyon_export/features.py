"""Whisper's log-mel features in torch, and recordings to try an export on. Products use the C++ front end."""

from __future__ import annotations

import importlib.util
import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SAMPLE_RATE, N_FFT, HOP_LENGTH = 16_000, 400, 160

Samples = npt.NDArray[np.float32]


def mel_filters(n_mels: int) -> Tensor:
    """Triangles on Slaney's mel scale with equal area, (n_mels, n_fft / 2 + 1): linear to 1 kHz, then logarithmic."""
    log_step = math.log(6.4) / 27

    def to_mel(hertz: float) -> float:
        return hertz * 3 / 200 if hertz < 1000 else 15 + math.log(hertz / 1000) / log_step

    mels = torch.linspace(0, to_mel(SAMPLE_RATE / 2), n_mels + 2, dtype=torch.float64)
    hertz = torch.where(mels < 15, mels * 200 / 3, 1000 * torch.exp((mels - 15) * log_step))
    bins = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)
    left, centre, right = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    triangles = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)
    return (triangles * 2 / (right - left)).float()


def log_mel(samples: Samples, n_mels: int) -> Tensor:
    """Mono samples at 16 kHz -> (n_mels, len(samples) / 160), scaled as Whisper was trained (Radford et al., 2022)."""
    audio = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    spectrum = torch.stft(audio, N_FFT, HOP_LENGTH, window=torch.hann_window(N_FFT), return_complex=True)
    power = spectrum[:, :-1].abs() ** 2  # (n_fft / 2 + 1, frames)
    decibels = (mel_filters(n_mels) @ power).clamp(min=1e-10).log10()
    return (decibels.maximum(decibels.max() - 8.0) + 4.0) / 4.0


def read_audio(path: str | os.PathLike[str], seconds: float) -> Samples:
    """The first `seconds` of a recording as mono float32 at 16 kHz, padded with silence to that length."""
    import av

    parts = [np.zeros(0, np.float32)]
    wanted = round(seconds * SAMPLE_RATE)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(os.fspath(path)) as container:
        for frame in container.decode(audio=0):
            parts += [np.asarray(out.to_ndarray(), np.float32).ravel() for out in resampler.resample(frame)]
            if sum(map(len, parts)) >= wanted:
                break
    samples: Samples = np.concatenate(parts)[:wanted]
    return np.pad(samples, (0, wanted - len(samples)))


def installed_recording() -> Path | None:
    """A public-domain reading (10 s) that the package moonshine-voice carries, when it is installed."""
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "assets" / "beckett.wav"
    return path if path.is_file() else None


def synthetic_clip(seconds: float) -> Samples:
    """A stand-in where no recording is installed: a buzz with moving formants, bursts and pauses, always the same."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 2 * np.pi * np.cumsum(120 + 25 * np.sin(2 * np.pi * 0.7 * time)) / SAMPLE_RATE
    formants = 500 + 250 * np.sin(2 * np.pi * 1.3 * time), 1500 + 500 * np.sin(2 * np.pi * 0.9 * time)
    voice = np.zeros_like(time)
    for harmonic in range(1, 30):
        hertz = 120.0 * harmonic
        gain = sum(np.exp(-(((hertz - formant) / 200) ** 2)) for formant in formants)
        voice += gain * np.sin(harmonic * pitch) / harmonic**0.5
    noise = np.random.default_rng(0).standard_normal(len(time)) * (np.sin(2 * np.pi * 2.9 * time) > 0.8)
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.3, 0, 1)
    clip = voice * syllables + 0.1 * noise
    scaled: Samples = (0.3 * clip / np.abs(clip).max()).astype(np.float32)
    return scaled

"""Whisper's log-mel features with numpy alone, for the peers that leave them to their caller."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLE_RATE, WINDOW, HOP = 16000, 400, 160


def mel_filters(n_mels: int, sample_rate: int = SAMPLE_RATE, n_fft: int = WINDOW) -> npt.NDArray[np.float32]:
    """Triangular filters on Slaney's mel scale, each of unit area; (n_mels, n_fft // 2 + 1) f32."""

    def to_mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # Linear to 1 kHz (3 mel per 200 Hz), then 27 mel for a factor of 6.4.
        return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1e-9) / 1000) / np.log(6.4))

    def to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    limits = to_mel(np.array([0.0, sample_rate / 2]))
    edges = to_hertz(np.linspace(limits[0], limits[1], n_mels + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    return (triangles * 2 / (right - left)).astype(np.float32)


class LogMel:
    """Features of 30 s windows: (1, n_mels, 3000) f32; shorter audio is padded with silence."""

    def __init__(self, n_mels: int) -> None:
        self.filters = mel_filters(n_mels)
        self.window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        padded = np.zeros(30 * SAMPLE_RATE, np.float32)
        padded[: len(samples)] = samples[: len(padded)]
        reflected = np.pad(padded, WINDOW // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(reflected, WINDOW)[::HOP][:3000]
        power = np.abs(np.fft.rfft(frames * self.window)) ** 2  # (3000, 201)
        mel = np.log10(np.maximum(self.filters @ power.T.astype(np.float32), 1e-10))
        features = (np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0
        return np.ascontiguousarray(features[None], np.float32)

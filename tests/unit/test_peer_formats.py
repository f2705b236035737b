"""What benchmarks/ writes for the peers must be the same weights and the same features."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import ggml
import log_mel

from anyon import _native
from anyon_export.checkpoints.ggml_blocks import BLOCK_FORMATS

WEIGHTS = np.random.default_rng(3).normal(size=(64, 96)).astype(np.float32)
BLOCKS = WEIGHTS.reshape(-1, 32)


def unpacked(kind: str, pack: Callable[[ggml.Array], bytes]) -> ggml.Array:
    block = next(block for block in BLOCK_FORMATS.values() if block.name == kind)
    return block.decode(np.frombuffer(pack(WEIGHTS), np.uint8).reshape(-1, block.size))


def test_q8_0_blocks_read_back_within_half_a_step() -> None:
    step = np.abs(BLOCKS).max(1, keepdims=True) / 127
    # A scale in f16 is off by 2^-11 of itself, times up to 127 steps.
    assert (np.abs(unpacked("q8_0", ggml.q8_0) - BLOCKS) <= step * (0.5 + 127 / 2048)).all()


def test_q5_1_blocks_read_back_within_half_a_step() -> None:
    low = BLOCKS.min(1, keepdims=True)
    step = (BLOCKS.max(1, keepdims=True) - low) / 31
    # The f16 step, 31 times, and the f16 minimum add their rounding.
    allowed = step * (0.5 + 31 / 2048) + np.abs(low) / 2048
    assert (np.abs(unpacked("q5_1", ggml.q5_1) - BLOCKS) <= allowed).all()


def test_a_block_of_zeros_stays_zero() -> None:
    for pack in (ggml.q8_0, ggml.q5_1):
        assert not any(pack(np.zeros((1, 32), np.float32)))


@pytest.mark.parametrize("n_mels", [80, 128])
def test_numpy_features_equal_the_runtimes(n_mels: int) -> None:
    samples = np.random.default_rng(4).normal(scale=0.1, size=5 * 16000).astype(np.float32)
    padded = np.concatenate([samples, np.zeros(25 * 16000, np.float32)])
    native = _native.log_mel(padded, n_mels, _native.ThreadPool(1))
    ours = log_mel.LogMel(n_mels)(samples)[0]
    assert native.reshape(ours.shape) == pytest.approx(ours, abs=2e-3)

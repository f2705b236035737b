"""The block formats of ggml's quantised tensors, turned into float32.

A block holds 32 consecutive weights of a row: an f16 scale d (for the *_1 formats also an f16 minimum m), for the 5-bit
formats a u32 with the fifth bits, then the quants. 4-bit quants are packed so that byte j holds weight j in its low and
weight j + 16 in its high half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .files import Bytes

BLOCK: Final = 32
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BlockFormat:
    """`decode`: (n, size) u8 blocks -> (n, 32) f32."""

    name: str
    size: int
    decode: Callable[[Bytes], Floats]


def _f16(blocks: Bytes, at: int) -> Floats:
    """(n, 1) the f16 field at byte `at` of each block."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def _nibbles(blocks: Bytes, at: int) -> npt.NDArray[np.int16]:
    """(n, 32) unsigned 4-bit quants."""
    packed = blocks[:, at : at + 16]
    return np.concatenate([packed & 0x0F, packed >> 4], axis=1).astype(np.int16)


def _fifth_bits(blocks: Bytes, at: int) -> npt.NDArray[np.int16]:
    """(n, 32) bit i of the little-endian u32 at byte `at`, as 0 or 16."""
    bits = np.unpackbits(np.ascontiguousarray(blocks[:, at : at + 4]), axis=1, bitorder="little")
    return bits.astype(np.int16) << 4


def _q4_0(blocks: Bytes) -> Floats:
    return _scaled(_nibbles(blocks, 2) - 8, _f16(blocks, 0))


def _q4_1(blocks: Bytes) -> Floats:
    return _scaled(_nibbles(blocks, 4), _f16(blocks, 0)) + _f16(blocks, 2)


def _q5_0(blocks: Bytes) -> Floats:
    return _scaled((_nibbles(blocks, 6) | _fifth_bits(blocks, 2)) - 16, _f16(blocks, 0))


def _q5_1(blocks: Bytes) -> Floats:
    return _scaled(_nibbles(blocks, 8) | _fifth_bits(blocks, 4), _f16(blocks, 0)) + _f16(blocks, 2)


def _q8_0(blocks: Bytes) -> Floats:
    return _scaled(blocks[:, 2:34].view(np.int8), _f16(blocks, 0))


def _scaled(quants: npt.NDArray[Any], scale: Floats) -> Floats:
    return quants.astype(np.float32) * scale


# ggml type id -> format.
BLOCK_FORMATS: Final[dict[int, BlockFormat]] = {
    2: BlockFormat("q4_0", 18, _q4_0),
    3: BlockFormat("q4_1", 20, _q4_1),
    6: BlockFormat("q5_0", 22, _q5_0),
    7: BlockFormat("q5_1", 24, _q5_1),
    8: BlockFormat("q8_0", 34, _q8_0),
}


def dequantise(raw: Bytes, block_format: BlockFormat, shape: tuple[int, ...]) -> Floats:
    """`raw`: exactly the blocks of `shape`, rows along the last axis (a multiple of 32)."""
    # In slices, so that the intermediate arrays stay small beside the result.
    blocks = raw.reshape(-1, block_format.size)
    result = np.empty((len(blocks), BLOCK), np.float32)
    for begin in range(0, len(blocks), 65_536):
        part = slice(begin, begin + 65_536)
        with np.errstate(invalid="ignore", over="ignore"):  # a damaged scale may be inf or NaN
            result[part] = block_format.decode(blocks[part])
    return result.reshape(shape)

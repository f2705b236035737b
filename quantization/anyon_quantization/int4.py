"""The scheme `int4`: groups of 32, 64 or 128 inputs, each with a scale and a zero point of its own.

w ≈ scale * (q - zero) with q in 0..15 and scale in 16 bits. Symmetric: zero is 8. Otherwise the zero point lies where
the group's range wants it. Either way the step is narrowed as long as that lowers the group's squared error: a large
weight that is clipped by half a step costs less than a coarser step for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anyon_quantization.float16 import LARGEST
from anyon_quantization.gptq import round_columns
from anyon_quantization.matrix import PANEL, Array, Layout, QuantizationError, finite, padded, row_blocks

QMAX = 15
MIDDLE = 8
GROUPS = (32, 64, 128)
_SMALLEST = 2.0**-20  # of a scale: below, halves have less than five bits
OCTET = 8  # inputs in the 4 bytes of one output: 4 in the low halves, 4 in the high halves
# Steps tried, as parts of the one that covers the whole range. On Whisper's weights twice as many gain 0.05 dB, and
# leaving out all but the first loses 0.27.
SHRINKS = (1.0, 0.94, 0.88, 0.82)


def quantise(
    matrix: Array, group: int, symmetric: bool = False, shrinks: tuple[float, ...] = SHRINKS
) -> tuple[Array, Array, Array]:
    """(N, K) float -> q (N, K') uint8 in 0..15, scale (N, K'/group) float16 and zero (N, K'/group) uint8.

    K' is K padded with zeros to whole groups. A group of zeros has scale 1 and zero 8.
    """
    n, k = matrix.shape
    width = padded(k, group)
    q = np.empty((n, width), np.uint8)
    scale, zero = np.empty((n, width // group), np.float16), np.empty((n, width // group), np.uint8)
    for block in row_blocks(n, width):
        rows = matrix[block].astype(np.float32, copy=False)
        if k < width:
            rows = np.pad(rows, ((0, 0), (0, width - k)))
        values, scales, zeros = _quantise_groups(rows.reshape(-1, group), symmetric, shrinks)
        q[block] = values.reshape(-1, width)
        scale[block], zero[block] = scales.reshape(-1, width // group), zeros.reshape(-1, width // group)
    return q, scale, zero


def _quantise_groups(groups: Array, symmetric: bool, shrinks: tuple[float, ...]) -> tuple[Array, Array, Array]:
    """groups (G, group) -> q (G, group), scale (G,), zero (G,), all float32."""
    full, zero = _grids(groups, symmetric)
    scale = _halved(full * np.float32(shrinks[0]))
    q, error = _round(groups, scale, zero)
    for shrink in shrinks[1:]:
        narrow = _halved(full * np.float32(shrink))
        narrow_q, narrow_error = _round(groups, narrow, zero)
        better = narrow_error < error
        np.copyto(q, narrow_q, where=better[:, None])
        scale, error = np.where(better, narrow, scale), np.where(better, narrow_error, error)
    return q, scale, zero


def _halved(scale: Array) -> Array:
    """What is left of it in 16 bits."""
    return scale.astype(np.float16).astype(np.float32)


def _grids(groups: Array, symmetric: bool) -> tuple[Array, Array]:
    """Scale and zero point (G,) that cover each group's whole range; nothing where it is too small for halves."""
    low = finite(groups.min(axis=1, initial=0), "int4")
    high = finite(groups.max(axis=1, initial=0), "int4")
    if symmetric:  # 8 steps below zero, 7 above
        scale = np.maximum(-low / np.float32(MIDDLE), high / np.float32(QMAX - MIDDLE))
    else:
        scale = high / np.float32(QMAX) - low / np.float32(QMAX)
    if scale.max(initial=0) > LARGEST:
        raise QuantizationError(f"int4: weights of {QMAX * LARGEST:g} and more (use f32 or int8)")
    empty = scale < _SMALLEST
    scale = np.where(empty, np.float32(1), scale)
    zero = np.full(len(groups), MIDDLE, np.float32) if symmetric else np.rint(-low / scale)
    return scale, np.where(empty, np.float32(MIDDLE), zero)


def _round(groups: Array, scale: Array, zero: Array) -> tuple[Array, Array]:
    """q, and the squared error of each group."""
    q = groups / scale[:, None]
    np.rint(q, out=q)
    q += zero[:, None]
    np.clip(q, 0, QMAX, out=q)
    error = q - zero[:, None]
    error *= scale[:, None]
    error -= groups
    return q, np.einsum("ij,ij->i", error, error)


def pack_panel16x8(q: Array) -> Array:
    """(N, K') uint8 in 0..15 -> (ceil(N/16), K'/8, 16, 4): byte [p, b, i, j] = q(16p+i, 8b+j) | q(16p+i, 8b+4+j) << 4.

    Rows beyond N hold 8, which is their zero point.
    """
    n, width = q.shape
    if n % PANEL:
        q = np.pad(q, ((0, -n % PANEL), (0, 0)), constant_values=MIDDLE)
    octets = q.reshape(len(q), width // OCTET, 2, OCTET // 2)
    quads = (octets[:, :, 0] | octets[:, :, 1] << 4).view(np.uint32).reshape(len(q) // PANEL, PANEL, -1)
    packed = np.ascontiguousarray(quads.transpose(0, 2, 1)).view(np.uint8)
    return packed.reshape(len(q) // PANEL, width // OCTET, PANEL, OCTET // 2)


def unpack_panel16x8(packed: Array, first: int, last: int) -> Array:
    """Rows first .. last - 1 of what `pack_panel16x8` packed, (last - first, K') uint8 in 0..15."""
    start = first // PANEL
    panels = packed[start : -(-last // PANEL)].transpose(0, 2, 1, 3)  # (panels, 16, octets, 4)
    halves = np.stack([panels & 15, panels >> 4], axis=3)
    rows = halves.reshape(len(panels) * PANEL, -1)
    return np.ascontiguousarray(rows[first - start * PANEL : last - start * PANEL])


def pack_uint4(values: Array) -> Array:
    """Any shape of 0..15 -> the same shape, its first bytes holding two values each, low half first; the rest unused.

    ONNX packs 4 bits like this; the shape stays because numpy has no such type and engines take it from the array.
    """
    flat = values.reshape(-1)
    packed = np.zeros(values.shape, np.uint8)
    pairs = packed.reshape(-1)[: -(-flat.size // 2)]
    pairs[:] = flat[0::2]
    pairs[: flat.size // 2] |= flat[1::2] << 4
    return packed


def pack_groups(values: Array, filler: float) -> Array:
    """Scales or zero points (N, G) -> (ceil(N/16), G, 16), rows beyond N holding `filler`."""
    n, groups = values.shape
    if n % PANEL:
        values = np.pad(values, ((0, -n % PANEL), (0, 0)), constant_values=filler)
    return np.ascontiguousarray(values.reshape(-1, PANEL, groups).transpose(0, 2, 1))


def unpack_groups(packed: Array, first: int, last: int) -> Array:
    """Rows first .. last - 1 of what `pack_groups` packed, (last - first, G)."""
    rows = packed.transpose(0, 2, 1).reshape(-1, packed.shape[1])
    return np.ascontiguousarray(rows[first:last])


@dataclass(frozen=True)
class Int4:
    group: int = 64
    symmetric: bool = False
    layout = "panel16x8"

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise QuantizationError(f"int4: groups of {self.group}: expected {', '.join(map(str, GROUPS))}")

    @property
    def name(self) -> str:
        return f"int4-g{self.group}" + ("-sym" if self.symmetric else "")

    def tensors(self, n: int, k: int) -> dict[str, Layout]:
        panels, width = padded(n, PANEL) // PANEL, padded(k, self.group)
        groups = (panels, width // self.group, PANEL)
        packed = (panels, width // OCTET, PANEL, OCTET // 2)
        return {"": (packed, "uint8"), "scale": (groups, "float16"), "zero": (groups, "uint8")}

    def pack(self, matrix: Array, moments: Array | None = None) -> dict[str, Array]:
        q, scale, zero = quantise(matrix, self.group, self.symmetric)
        if moments is not None:
            k = matrix.shape[1]  # q has whole groups
            steps, zeros = (np.repeat(part.astype(np.float32), self.group, axis=1)[:, :k] for part in (scale, zero))
            q[:, :k] = round_columns(matrix, moments, steps, zeros, (0, QMAX))
        return {"": pack_panel16x8(q), "scale": pack_groups(scale, 1), "zero": pack_groups(zero, MIDDLE)}

    def unpack(self, tensors: Mapping[str, Array], n: int, k: int) -> Array:
        q = unpack_panel16x8(tensors[""], 0, n)
        scale, zero = (unpack_groups(tensors[role], 0, n)[..., None].astype(np.float32) for role in ("scale", "zero"))
        groups = q.reshape(n, -1, self.group) - zero
        return np.ascontiguousarray((groups * scale).reshape(n, -1)[:, :k])

    def error_bound(self, matrix: Array) -> Array:
        """Half a step of the widest grid, and what the narrowest cuts off; a little for float rounding, 2^-11 of each
        step for halves, and what they cannot hold."""
        n, k = matrix.shape
        groups = np.pad(matrix.astype(np.float32), ((0, 0), (0, -k % self.group))).reshape(-1, self.group)
        scale, _ = _grids(groups, self.symmetric)
        cut = QMAX * (1 - min(SHRINKS))
        empty = np.abs(groups).max(axis=1, initial=0) < QMAX * _SMALLEST
        lost = np.where(empty, QMAX * _SMALLEST, QMAX * 2.0**-25)
        bound: Array = np.where(empty, 0, scale * np.float32(0.5 + cut + QMAX * 2.0**-10)) + lost.astype(np.float32)
        return np.repeat(bound.reshape(n, -1), self.group, axis=1)[:, :k]

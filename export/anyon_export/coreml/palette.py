"""Weights of few values: k-means of each output channel, many channels at once. Deterministic."""

from __future__ import annotations

import torch
from torch import Tensor

VALUES = 16  # 4 bits
ROUNDS = 8  # later ones gain a few percent of the error on Whisper's matrices
# Where the rounds start: bins that share out the sum of (gaps between neighbouring weights) ** power. 2/3 is the best
# for smooth distributions (Panter and Dite 1951); 1/2 gives more bins to the few large weights that some rows have.
_POWERS = (2 / 3, 1 / 2)
_CHANNELS = 4096  # at a time, which bounds the memory


def palettise(weight: Tensor) -> Tensor:
    """weight (channels, ...) with every channel's values replaced by VALUES of them, each a number that float16 holds.

    Two starts are tried for each channel and the one with less squared error stays.
    """
    channels = weight.reshape(len(weight), -1).float()
    found = [_best(part) for part in torch.split(channels, _CHANNELS)]
    return torch.cat(found).reshape(weight.shape).to(weight.dtype)


def _best(x: Tensor) -> Tensor:
    ordered = x.sort(dim=1).values
    smooth, spread = (_nearest(x, _centres(ordered, power)) for power in _POWERS)
    smooth_error, spread_error = ((found - x).square().sum(1, keepdim=True) for found in (smooth, spread))
    return torch.where(smooth_error <= spread_error, smooth, spread)


def _centres(ordered: Tensor, power: float) -> Tensor:
    """Lloyd's algorithm on rows of ascending values -> ascending centres (rows, VALUES)."""
    rows, count = ordered.shape
    none = torch.zeros(rows, 1)
    sums = torch.cat([none.double(), ordered.cumsum(1, dtype=torch.float64)], dim=1)
    # Bin i of a row is ordered[bounds[i] : bounds[i + 1]].
    shares = torch.cat([none, ordered.diff(dim=1).pow(power).cumsum(1)], dim=1)
    inner = torch.linspace(0, 1, VALUES + 1)[1:-1] * shares[:, -1:]
    first, last = none.long(), none.long() + count
    bounds = torch.cat([first, torch.searchsorted(shares, inner), last], dim=1)
    centres = ordered[:, :1].expand(-1, VALUES)
    for _ in range(ROUNDS):
        sizes, totals = bounds.diff(dim=1), sums.gather(1, bounds).diff(dim=1)
        # An empty bin repeats the one before, so that centres stay in order.
        means = (totals / sizes.clamp(min=1)).float()
        centres = torch.where(sizes > 0, means, -torch.inf).cummax(dim=1).values.maximum(ordered[:, :1])
        bounds = torch.cat([first, torch.searchsorted(ordered, _between(centres)), last], dim=1)
    return centres


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    rounded = centres.half().float()
    return rounded.gather(1, torch.searchsorted(_between(rounded), x))


def _between(centres: Tensor) -> Tensor:
    return (centres[:, 1:] + centres[:, :-1]) / 2

"""Mixed recipes by measurement: which weights take fewer bits first, so that the output changes least for each byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Option:
    """One way to store a weight: its scheme, the bytes that takes, and the divergence of the model's output that it
    causes when everything else is in float (nats for each token)."""

    scheme: str
    bytes: int
    divergence: float


@dataclass(frozen=True)
class Move:
    """A weight goes to a smaller scheme."""

    weight: str
    scheme: str
    saved: int  # bytes
    cost: float  # nats


def moves(options: Mapping[str, Sequence[Option]]) -> list[Move]:
    """The order in which weights give up precision, cheapest bytes first; a weight's own moves stay in order.

    options: each weight's, from the largest scheme to the smallest. What a step costs is measured against the scheme
    before it; a smaller scheme that measures better than a larger one costs nothing.
    """
    found: list[tuple[float, Move]] = []
    for weight, ladder in options.items():
        steps = _hull(ladder)
        for before, after in pairwise(steps):
            saved, cost = before.bytes - after.bytes, max(after.divergence - before.divergence, 0.0)
            found.append((cost / saved, Move(weight, after.scheme, saved, cost)))
    # Stable: rungs of one weight have growing prices, and equal ones stay as they came.
    return [move for _, move in sorted(found, key=lambda pair: pair[0])]


def schemes_after(options: Mapping[str, Sequence[Option]], taken: Sequence[Move]) -> dict[str, str]:
    """The scheme of every weight when these moves are made, in their order."""
    chosen = {weight: ladder[0].scheme for weight, ladder in options.items()}
    for move in taken:
        chosen[move.weight] = move.scheme
    return chosen


def _hull(ladder: Sequence[Option]) -> list[Option]:
    """Rungs whose price for each byte grows: one that a later rung undercuts is left out (Shoham and Gersho 1988,
    "Efficient Bit Allocation")."""
    kept: list[Option] = []
    for option in ladder:
        while kept and kept[-1].bytes <= option.bytes:
            kept.pop()
        while len(kept) >= 2 and _price(kept[-2], kept[-1]) >= _price(kept[-1], option):
            kept.pop()
        kept.append(option)
    return kept


def _price(before: Option, after: Option) -> float:
    return max(after.divergence - before.divergence, 0.0) / (before.bytes - after.bytes)

"""What calibration keeps of the inputs of a product: their second moments, and a few of them as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anyon_quantization.matrix import Array

ROWS = 256  # kept of each product's inputs
_TOGETHER = 1024  # rows that are added at a time: one product of them all costs little more than one of a single row


@dataclass(frozen=True)
class Inputs:
    """moments: mean of x xᵀ (K, K), float32. rows: some of the x, (R, K). count: how many there were."""

    moments: Array
    rows: Array
    count: int


class Collector:
    """Adds up the inputs of one product. The rows kept are an even sample of all that came (Vitter 1985, "Random
    sampling with a reservoir"), the same for the same inputs."""

    def __init__(self, width: int) -> None:
        self._moments = np.zeros((width, width))
        self._rows = np.zeros((ROWS, width), np.float32)
        self._count = 0
        self._waiting: list[Array] = []
        self._random = np.random.default_rng(0)

    def add(self, x: Array) -> None:
        """x (..., K) float32."""
        self._waiting.append(np.array(x.reshape(-1, x.shape[-1])))
        if sum(len(part) for part in self._waiting) >= _TOGETHER:
            self._flush()

    def _flush(self) -> None:
        x = np.concatenate([*self._waiting, self._rows[:0]])
        self._waiting = []
        self._moments += x.T @ x
        places = np.arange(self._count, self._count + len(x))
        late = places >= ROWS
        places[late] = self._random.integers(0, places[late] + 1)
        kept = places < ROWS
        self._rows[places[kept]] = x[kept]
        self._count += len(x)

    def inputs(self) -> Inputs:
        self._flush()
        moments = (self._moments / max(self._count, 1)).astype(np.float32)
        return Inputs(moments, self._rows[: min(self._count, ROWS)].copy(), self._count)

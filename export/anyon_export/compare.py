"""Runs an engine beside PyTorch on real audio and measures how far apart they are, step by step with the caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anyon_export.engines import Engine
from anyon_export.expressions import Array


@dataclass(frozen=True)
class Difference:
    """Maximum absolute error over all runs, and the largest magnitude it stands beside."""

    engine: str
    encoder: float
    logits: float
    cross_query: float
    encoder_scale: float
    logits_scale: float
    per_step: tuple[float, ...]  # of the logits, the prompt first

    @property
    def worst(self) -> float:
        return max(self.encoder, self.logits, self.cross_query)


@dataclass(frozen=True)
class Trace:
    """What PyTorch computed: the encoder's outputs, and inputs and outputs of every decoder run."""

    mel: Array
    cross: list[Array]
    inputs: list[tuple[Array, Array, Array]]
    outputs: list[list[Array]]


def record(reference: Engine, mel: Array, prompt: Sequence[int], steps: int, chunk: int = 3) -> Trace:
    """Greedy decoding: the prompt in one run, `steps` runs of one token, one run of `chunk` tokens behind them.

    The caller sees to it that the model has positions for all of them.
    """
    cross = reference.encode(mel)
    trace = Trace(mel, cross, [], [])
    tokens = np.array([prompt], np.int64)
    past = 0
    for step in range(steps + 2):
        time = tokens.shape[1]
        run = (tokens, np.arange(past, past + time, dtype=np.int64)[None], np.arange(time, dtype=np.int64))
        outputs = reference.decode(*run, cross)
        trace.inputs.append(run)
        trace.outputs.append(outputs)
        past += time
        best = int(outputs[0][0, -1].argmax())
        tokens = np.full((1, chunk if step == steps else 1), best, np.int64)
    return trace


def compare(engine: Engine, trace: Trace) -> Difference:
    """Feeds the recorded inputs to `engine`. Its decoder gets the recorded cross keys, so errors do not add up."""
    cross = engine.encode(trace.mel)
    encoder = max(_distance(a, b) for a, b in zip(cross, trace.cross, strict=True))
    steps, queries = [], 0.0
    for run, expected in zip(trace.inputs, trace.outputs, strict=True):
        outputs = engine.decode(*run, trace.cross)
        steps.append(_distance(outputs[0], expected[0]))
        queries = max(queries, *(_distance(a, b) for a, b in zip(outputs[1:], expected[1:], strict=True)))
    return Difference(
        engine=engine.name,
        encoder=encoder,
        logits=max(steps),
        cross_query=queries,
        encoder_scale=max(float(np.abs(array).max()) for array in trace.cross),
        logits_scale=max(float(np.abs(outputs[0]).max()) for outputs in trace.outputs),
        per_step=tuple(steps),
    )


def _distance(a: Array, b: Array) -> float:
    if a.shape != b.shape:
        raise ValueError(f"outputs of different shapes: {list(a.shape)} and {list(b.shape)}")
    # A NaN anywhere must count as the worst error there is; max() alone would drop it.
    distance = float(np.abs(np.asarray(a, np.float64) - b).max()) if a.size else 0.0
    return distance if distance == distance else float("inf")

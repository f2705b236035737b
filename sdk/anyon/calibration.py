"""Runs a model on recordings and keeps what its products read: what GPTQ, SmoothQuant and AWQ need. numpy only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from anyon import _native
from anyon.engines import Engine, EngineRack
from anyon.errors import OptionError
from anyon.progress import Progress, Report

if TYPE_CHECKING:
    from anyon.whisper import WhisperModel
    from anyon_export.blueprint import Blueprint
    from anyon_export.checkpoints import Checkpoint
    from anyon_quantization.calibration import Collector, Inputs

# Moments held at a time; more of them take another pass over the recordings.
_MOST_BYTES = 2 << 30
_MEMORY = "/dev/shm"
# What the decoder is calibrated on: what it says itself, and samples beside it, because a recording has few tokens.
_TEMPERATURES, _SAMPLES = (0.0, 1.0, 1.0), 8


@dataclass(frozen=True, slots=True)
class Recording:
    """Something spoken; reference: what it says, "" where nobody wrote it down."""

    path: Path
    reference: str = ""
    language: str = ""

    @property
    def options(self) -> dict[str, Any]:
        return {"language": self.language} if self.language else {}


@dataclass(slots=True)
class Window:
    """One run of the encoder, and the tokens the decoder was given after it: (1, T)."""

    inputs: list[Any]
    tokens: list[int]


def collect(
    blueprint: Blueprint, checkpoint: Checkpoint, recordings: Sequence[Recording], report: Report
) -> dict[str, Inputs]:
    """The inputs of every matrix that a `linear` reads, by the matrix's name.

    blueprint: of recipe f32. Raises AudioError for what is no recording.
    """
    from anyon_export.taps import tap
    from anyon_quantization.calibration import Collector

    widths = {
        op["inputs"][1]: int(op["attrs"]["k"])
        for program in blueprint.programs.values()
        for op in program["ops"]
        if op["op"] == "linear"
    }
    passes = list(_passes(widths))
    found: dict[str, Inputs] = {}
    for number, weights in enumerate(passes):
        tapped, taps = tap(blueprint, weights)
        collectors = {
            (program, value): Collector(widths[readers[0]])
            for program, values in taps.items()
            for value, readers in values.items()
        }
        with temporary_model(tapped, checkpoint) as model:
            listening: set[str] = set()

            with _around_sessions(model, partial(_Tapped, collectors=collectors, listening=listening)):
                for index, recording in enumerate(recordings):
                    done = number * len(recordings) + index
                    report(Progress("calibrate", done, len(passes) * len(recordings), "recordings"))
                    listening.update(taps)
                    for temperature in _TEMPERATURES:
                        options = {"temperature": temperature, "beam_size": 1, "best_of": _SAMPLES, **recording.options}
                        model.transcribe(recording.path, **options)
                        # The encoder hears the same each time, thousands of frames of it: once is enough.
                        listening.discard("encoder")
        for (program, value), collector in collectors.items():
            inputs = collector.inputs()
            if not inputs.count:
                raise OptionError(
                    f"calibration: nothing reached {value} of the {program}: is there speech in these files?"
                )
            found |= dict.fromkeys(taps[program][value], inputs)
    return found


def windows(model: WhisperModel, recordings: Sequence[Recording], report: Report) -> list[Window]:
    """What the programs were given while a model transcribed greedily."""
    found: list[Window] = []
    with _around_sessions(model, lambda _, inner: _Recorder(inner, found)):
        for index, recording in enumerate(recordings):
            report(Progress("listen", index, len(recordings), "recordings"))
            model.transcribe(recording.path, temperature=0.0, beam_size=1, **recording.options)
    return [window for window in found if window.tokens]


@contextmanager
def temporary_model(blueprint: Blueprint, checkpoint: Checkpoint) -> Iterator[WhisperModel]:
    """A model that leaves nothing behind."""
    from anyon.conversion import bundle_size
    from anyon.model import load
    from anyon_export.bundle import make_bundle

    with TemporaryDirectory(prefix="anyon-", dir=_scratch(bundle_size(blueprint, checkpoint))) as folder:
        path = Path(folder) / "model.anyon"
        make_bundle(blueprint, checkpoint, path, with_probe=False)
        yield load(path, backend="native")


def _scratch(needed: int) -> str | None:
    """A folder in memory where there is one with room to spare: a search writes a hundred models."""
    try:
        free = shutil.disk_usage(_MEMORY).free
    except OSError:
        return None
    return _MEMORY if free > 4 * needed and os.access(_MEMORY, os.W_OK) else None


@contextmanager
def _around_sessions(model: WhisperModel, wrap: Callable[[str, _native.Session], _native.Session]) -> Iterator[None]:
    """For the length of the block the model works with one engine, whose sessions `wrap` has put others around."""
    rack = model._rack
    with model.lent_engine() as engine:
        wrapped = Engine(engine.pool, {name: wrap(name, session) for name, session in engine.sessions.items()})
        model._rack = EngineRack(lambda: wrapped, 1)
        try:
            yield
        finally:
            model._rack = rack


class Around(_native.Session):
    """A session that passes everything on to another one."""

    def __init__(self, inner: _native.Session) -> None:
        super().__init__(inner.inputs, inner.outputs)
        self.inner = inner

    def run(self, inputs: list[Any]) -> list[Any]:
        return self.inner.run(inputs)

    def reset_states(self) -> None:
        self.inner.reset_states()

    def reorder_states(self, rows: list[int]) -> None:
        self.inner.reorder_states(rows)

    def truncate_states(self, length: int) -> None:
        self.inner.truncate_states(length)

    def state_length(self) -> int:
        return self.inner.state_length()


class _Tapped(Around):
    def __init__(
        self,
        program: str,
        inner: _native.Session,
        collectors: Mapping[tuple[str, str], Collector],
        listening: Collection[str],
    ) -> None:
        super().__init__(inner)
        self._program = program
        self._collectors = [collectors.get((program, row[0])) for row in inner.outputs]
        self._listening = listening

    def run(self, inputs: list[Any]) -> list[Any]:
        outputs = self.inner.run(inputs)
        if self._program in self._listening:
            for collector, output in zip(self._collectors, outputs, strict=True):
                if collector is not None:
                    collector.add(output)
        return outputs


class _Recorder(Around):
    def __init__(self, inner: _native.Session, found: list[Window]) -> None:
        super().__init__(inner)
        self._found = found
        self._tokens = next((i for i, row in enumerate(inner.inputs) if row[0] == "tokens"), None)
        self._kept = 0  # of the window's tokens, when the next run begins

    def run(self, inputs: list[Any]) -> list[Any]:
        if self._tokens is None:
            self._found.append(Window([np.array(array) for array in inputs], []))
        else:
            kept = self._found[-1].tokens[: self._kept]
            self._found[-1].tokens = kept + np.asarray(inputs[self._tokens])[0].tolist()
            self._kept = len(self._found[-1].tokens)
        return self.inner.run(inputs)

    def reset_states(self) -> None:
        self._kept = 0
        super().reset_states()

    def truncate_states(self, length: int) -> None:
        self._kept = min(self._kept, length)
        super().truncate_states(length)


def _passes(widths: Mapping[str, int]) -> Iterator[list[str]]:
    """The matrices, in as many parts as their moments need to stay within _MOST_BYTES."""
    part: list[str] = []
    held = 0
    for name, width in widths.items():
        size = 12 * width * width  # in float64, and a float32 product that is added
        if part and held + size > _MOST_BYTES:
            yield part
            part, held = [], 0
        part.append(name)
        held += size
    yield part

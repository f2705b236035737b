"""A worker is one engine in one process: JSON requests on standard input, one JSON reply a line on standard output.

Requests are {"op": "load" | "transcribe" | "encode" | "memory" | "quit", ...}; see `serve` for their fields. Option
names are openai-whisper's (beam_size, temperature, without_timestamps, word_timestamps, ...) and max_new_tokens. The
engine's own prints go to standard error, so that a chatty library cannot break the protocol.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]  # 16 kHz, mono
Audio = str | Samples


class NotOffered(Exception):
    """This engine has no such thing; the comparison leaves the cell empty."""


class Engine(Protocol):
    """What a worker file implements."""

    @property
    def load(self) -> Callable[..., None]:
        """load(model, threads, ...); each engine has further settings of its own."""
        ...

    def import_library(self) -> None:
        """Imports what load needs, so that the load time is the model's alone."""
        ...

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        """Seconds of each of `repeats` runs of the encoder alone on one window of 30 s."""
        ...

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        """{"text", "language", "segments": [{"start", "end", "text", "words": [...]}, ...]}; times in seconds.

        Optional: "generated", the number of tokens made; "inside", the engine's own times of its parts.
        """
        ...

    def versions(self) -> dict[str, str]: ...


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process in MiB. ru_maxrss would include the parent's peak before exec."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    return float("nan")


def memory() -> dict[str, float]:
    return {"rss_mib": resident_mib("VmRSS"), "peak_rss_mib": resident_mib("VmHWM")}


def timed(run: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of `repeats` calls."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return seconds


def need_greedy(options: Mapping[str, Any]) -> None:
    """For engines of which only greedy decoding without timestamps and fallback is measured."""
    greedy = options.get("beam_size", 1) == 1 and options.get("temperature", 0.0) == 0.0
    if not greedy or not options.get("without_timestamps", False):
        raise NotOffered("only greedy decoding without timestamps is measured here")


def need_samples(audio: Audio) -> Samples:
    if isinstance(audio, str):
        raise NotOffered("takes samples (.npy), not media files")
    return audio


def windows(samples: Samples, seconds: int = 30) -> list[Samples]:
    """Windows without overlap, for engines that take one at a time."""
    size = 16000 * seconds
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def serve(engine: Engine) -> None:
    """Answers requests until `quit` or end of input.

    load: model, threads, settings -> seconds of import and load, memory before and after, versions.
    encode: audio, repeats -> seconds of each encoder run.
    transcribe: audio (a media file, or a .npy of 16 kHz float32 samples, read before the clock starts), options
        -> the engine's result, wall_s, cpu_s, memory.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    samples: dict[str, npt.NDArray[np.float32]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        reply: dict[str, Any] = {"ok": True}
        try:
            if request["op"] == "load":
                reply["before"] = memory()
                started = time.perf_counter()
                engine.import_library()
                reply["import_s"] = time.perf_counter() - started
                started = time.perf_counter()
                engine.load(request["model"], request["threads"], **request.get("settings", {}))
                reply["load_s"] = time.perf_counter() - started
                reply["versions"] = engine.versions()
            elif request["op"] in ("transcribe", "encode"):
                audio: Audio = request["audio"]
                if isinstance(audio, str) and (audio.endswith(".npy") or request["op"] == "encode"):
                    if audio not in samples:
                        samples[audio] = np.load(audio)
                    audio = samples[audio]
                cpu, started = time.process_time(), time.perf_counter()
                if request["op"] == "encode":
                    reply["seconds"] = engine.encode(samples[request["audio"]], request["repeats"])
                else:
                    reply.update(engine.transcribe(audio, request["options"]))
                reply["wall_s"] = time.perf_counter() - started
                reply["cpu_s"] = time.process_time() - cpu
            elif request["op"] == "quit":
                return
            elif request["op"] != "memory":
                raise ValueError(f"unknown op {request['op']!r}")
            reply["memory"] = memory()
        except Exception as error:  # the reply carries it; the process lives on for the next file
            traceback.print_exc()
            reply = {
                "ok": False,
                "offered": not isinstance(error, NotOffered),
                "error": f"{type(error).__name__}: {error}",
            }
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

"""A worker is one engine in one process: JSON requests on standard input, one JSON reply a line on standard output.

Requests are {"op": "load" | "transcribe" | "memory" | "quit", ...}; see `serve` for their fields. Option names are
openai-whisper's (beam_size, temperature, without_timestamps, word_timestamps, ...). The engine's own prints go to
standard error, so that a chatty library cannot break the protocol.
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

Audio = str | npt.NDArray[np.float32]


class Engine(Protocol):
    """What a worker file implements."""

    @property
    def load(self) -> Callable[..., None]:
        """load(model, threads, ...); each engine has further settings of its own."""
        ...

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        """{"text", "language", "segments": [{"start", "end", "text", "words": [...]}, ...]}; times in seconds."""
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


def serve(engine: Engine) -> None:
    """Answers requests until `quit` or end of input.

    load: model, threads, settings -> seconds, memory before and after, versions.
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
                engine.load(request["model"], request["threads"], **request.get("settings", {}))
                reply["load_s"] = time.perf_counter() - started
                reply["versions"] = engine.versions()
            elif request["op"] == "transcribe":
                audio: Audio = request["audio"]
                if isinstance(audio, str) and audio.endswith(".npy"):
                    if audio not in samples:
                        samples[audio] = np.load(audio)
                    audio = samples[audio]
                cpu, started = time.process_time(), time.perf_counter()
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
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

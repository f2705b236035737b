"""Interleaved measurements: one warm-up of each engine, then A B C, A B C, ... and what disturbed them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peer_engines import Peer
from worker_process import NotOffered, WorkerError, WorkerProcess

DISTURBED = 0.15  # cores taken by other processes
# Further threads of an engine may spin for a while after its last call; the next engine must not pay for that.
PAUSE_SECONDS = 0.25
FEW, MANY = 1, 81  # tokens; the time between them is that of 80 decoder steps
Reply = dict[str, Any]


@dataclass
class Runs:
    """One engine on one task: seconds, CPU seconds and foreign cores by run."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    foreign_cores: list[float] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def disturbed(self) -> int:
        return sum(cores > DISTURBED for cores in self.foreign_cores)


@dataclass(frozen=True)
class Task:
    """Something every engine is asked to do; `ask` sends it and returns (seconds of each repeat, reply).

    An engine that has used its seconds stops early, but not before `least` of the `runs`.
    """

    name: str
    ask: Callable[[WorkerProcess], tuple[list[float], Reply]]
    runs: int
    least: int
    warm_up: bool = True


def transcription(name: str, clip: Path, options: dict[str, Any], runs: int, least: int, warm_up: bool = True) -> Task:
    def ask(engine: WorkerProcess) -> tuple[list[float], Reply]:
        reply = engine.transcribe(clip, **options)
        return [reply["wall_s"]], reply

    return Task(name, ask, runs, least, warm_up)


def encoder_alone(clip: Path, runs: int, repeats: int = 3) -> Task:
    def ask(engine: WorkerProcess) -> tuple[list[float], Reply]:
        reply = engine.encode(clip, repeats)
        return reply["seconds"], reply

    return Task("encoder", ask, runs, min(runs, 2))


def speed_tasks(clips: dict[str, Path], options: dict[str, Any], runs: int) -> list[Task]:
    """End to end on each clip, first token, few and many tokens, encoder alone."""
    least = min(runs, 3)
    tasks = []
    if "30s" in clips:
        tasks += [
            transcription("30s", clips["30s"], options, runs, least),
            transcription("few", clips["30s"], options | {"max_new_tokens": FEW}, runs, least),
            transcription("many", clips["30s"], options | {"max_new_tokens": MANY}, runs, least),
            encoder_alone(clips["30s"], runs),
        ]
    if "10s" in clips:
        tasks += [
            transcription("10s", clips["10s"], options, runs, least),
            transcription("first", clips["10s"], options | {"max_new_tokens": FEW}, runs, least),
        ]
    if "7min" in clips:
        # Long enough to need no warm-up of its own, and to need fewer repeats.
        tasks.append(transcription("7min", clips["7min"], options, min(runs, 3), 1, warm_up=False))
    return tasks


def busy_seconds() -> float:
    """CPU seconds of the whole machine so far, idle and waiting left out."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(v) for v in stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def interleave(
    engines: dict[str, WorkerProcess], task: Task, seconds: float, threads: int, skipped: dict[str, str]
) -> dict[str, Runs]:
    """The task on every engine that offers it; `skipped` gets the reason of every engine that failed."""
    found: dict[str, Runs] = {name: Runs() for name in engines}
    for index in range(-int(task.warm_up), task.runs):
        for name in list(found):
            runs = found[name]
            if index >= task.least and sum(runs.seconds) > seconds:
                continue
            time.sleep(PAUSE_SECONDS if threads > 1 else 0.0)
            busy, started = busy_seconds(), time.perf_counter()
            try:
                repeats, reply = task.ask(engines[name])
            except NotOffered:
                del found[name]
                continue
            except WorkerError as error:
                skipped[f"{name}, {task.name}"] = str(error).splitlines()[0]
                del found[name]
                continue
            elapsed = time.perf_counter() - started
            if index >= 0:
                foreign = max(0.0, busy_seconds() - busy - reply["cpu_s"]) / elapsed
                runs.seconds += repeats
                runs.cpu_seconds.append(reply["cpu_s"])
                runs.foreign_cores.append(foreign)
                kept = ("text", "generated", "inside")
                runs.replies.append({key: reply[key] for key in kept if key in reply})
    return found


def fresh_process(
    peer: Peer, python: str, model: str, threads: int, clip: Path, options: dict[str, Any], samples: int
) -> dict[str, Any]:
    """Load time and memory, each sample in a process of its own, page cache warm; medians.

    `above`: the peak after load and one clip, less the interpreter with numpy before.
    """
    rows = []
    for _ in range(samples):
        with WorkerProcess(peer.worker, python, threads) as engine:
            loaded = engine.load(model, **peer.settings)
            done = engine.transcribe(clip, **options)
            before, peak = loaded["before"]["rss_mib"], done["memory"]["peak_rss_mib"]
            rows.append(
                {
                    "import_s": loaded["import_s"],
                    "load_s": loaded["load_s"],
                    "before_mib": before,
                    "loaded_mib": loaded["memory"]["rss_mib"],
                    "peak_mib": peak,
                    "above_mib": peak - before,
                    "first_run_s": done["wall_s"],
                }
            )
    return {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]} | {"samples": rows}

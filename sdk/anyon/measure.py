"""Times every backend with a bundle's programs. Each runs in a process of its own, so that one that crashes or keeps
memory does not disturb the others."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from anyon.backends import KNOWN, get_backend
from anyon.bundle import Bundle
from anyon.errors import BackendError
from anyon.machine import Measured
from anyon.progress import Progress, Report

_SECONDS = 1.0  # that a program is run for, at least
_LEAST_RUNS, _MOST_RUNS = 3, 200
_STEPS = 25  # runs of a program with states before they are emptied again
_TIMEOUT = 600


def measure(
    bundle: Bundle, threads: int, cache: Path, report: Report
) -> tuple[dict[str, dict[str, Measured]], dict[str, str]]:
    """(program -> backend -> what was measured, backend -> why it was not)."""
    found: dict[str, dict[str, Measured]] = {program: {} for program in bundle.programs}
    refused: dict[str, str] = {}
    for index, name in enumerate(KNOWN):
        report(Progress("measure", index, len(KNOWN), "backends", name))
        capability = get_backend(name).probe()
        if not capability.available:
            refused[name] = f"{capability.reason} ({capability.install})" if capability.install else capability.reason
            continue
        for program in bundle.programs:
            outcome = _in_a_process(bundle.path, name, program, threads, cache)
            if isinstance(outcome, str):
                refused[name] = outcome
                found = {each: {k: v for k, v in rows.items() if k != name} for each, rows in found.items()}
                break
            found[program][name] = outcome
    return found, refused


def _in_a_process(path: Path, backend: str, program: str, threads: int, cache: Path) -> Measured | str:
    command = [sys.executable, "-m", "anyon.measure", str(path), backend, program, str(threads), str(cache)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {_TIMEOUT} seconds"
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines()
        return lines[-1] if lines else f"its process ended with {run.returncode}"
    return Measured(**json.loads(run.stdout.splitlines()[-1]))


def worker(path: str, backend: str, program: str, threads: int, cache: str) -> dict[str, Any]:
    """One program on one backend, in this process."""
    from anyon.engines import engine_maker
    from anyon.selection import EngineOptions
    from anyon_export import probe

    bundle = Bundle(path)
    section = bundle.programs[program]
    if bundle.family in probe.RUNS:
        inputs = list(probe.make_inputs(section, probe.full_size(section)).values())
    else:
        inputs = _example(bundle, program)
    bundle = _only(bundle, program)
    before = _resident()
    _, engine, placements = engine_maker(bundle, EngineOptions(backend, threads, cache=Path(cache)))
    session = engine.sessions[program]
    walls: list[float] = []
    cpus: list[float] = []
    steps = _STEPS if section.get("states") else _MOST_RUNS
    while len(walls) < _LEAST_RUNS or (sum(walls) < _SECONDS and len(walls) < _MOST_RUNS):
        if len(walls) % steps == 0:
            session.reset_states()
            session.run(inputs)  # the first run also prepares what stays the same
        wall, cpu = time.perf_counter(), time.process_time()
        session.run(inputs)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {
        "seconds": statistics.median(walls),
        "cpu_seconds": statistics.median(cpus),
        "memory": max(0, _resident() - before),
        "version": get_backend(backend).probe().version,
        "device": placements[0].device,
    }


def _only(bundle: Bundle, program: str) -> Bundle:
    """The bundle as if it had no other program: the others are not loaded, and take no memory."""
    bundle.manifest["programs"] = {program: bundle.programs[program]}
    return bundle


def _example(bundle: Bundle, program: str) -> list[Any]:
    from anyon_export import probe

    runs = bundle.manifest.get("probe", {}).get("runs", {}).get(program)
    if not runs:
        raise BackendError(f"{bundle.path}: carries no example of its inputs, so there is nothing to time")
    return list(probe.inputs_of(bundle.programs[program], runs[0], bundle.native.tensor).values())


def _resident() -> int:
    """Bytes of this process in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    from anyon.errors import AnyonError

    try:
        row = worker(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
    except AnyonError as error:
        sys.exit(str(error).replace("\n", " "))
    sys.stdout.write(json.dumps(row) + "\n")

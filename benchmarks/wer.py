"""Word error, word times, language and silence: anyon and faster-whisper side by side, same weights, same settings.

    python benchmarks/wer.py --model MODEL --peer-model CT2_FOLDER --peer-python PEER_ENV/bin/python
    python benchmarks/wer.py --words ...        word times on ten files
    python benchmarks/wer.py --long ...         the long recording: transcript and times against its .stm
    python benchmarks/wer.py --no-speech ...    what each engine writes for noise and silence
    python benchmarks/wer.py --language-id ...  detected languages, multilingual model

The peer runs in its own process under --peer-python. --only peer or --only anyon runs one side; --save keeps the raw
replies, --peer-results reads them back instead of running the peer again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import speech_data
import wer_reports
from settings import SETTINGS
from wer_reports import Results, Runs
from worker_process import WorkerProcess


def transcribe_all(engine: WorkerProcess, files: Sequence[Path], options: dict[str, Any]) -> Results:
    results: Results = {}
    for number, path in enumerate(files, 1):
        reply = engine.transcribe(path, **options)
        results["/".join(path.parts[-2:])] = {k: v for k, v in reply.items() if k not in ("ok", "memory")}
        print(f"\r{engine.engine}: {number}/{len(files)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def run_engine(engine: WorkerProcess, files: Sequence[Path], options: dict[str, Any], mode: str) -> Results:
    results = transcribe_all(engine, files, options)
    if mode == "long":
        # Segment times come from timestamp tokens, or from the words where those are asked for: look at both.
        worded = transcribe_all(engine, files, options | {"word_timestamps": True})
        results = {"timestamp tokens": next(iter(results.values())), "word times": next(iter(worded.values()))}
    return results


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    for name in ("words", "long", "no-speech", "language-id"):
        mode.add_argument(f"--{name}", action="store_const", dest="mode", const=name)
    parser.set_defaults(mode="wer")
    parser.add_argument("--model", default="tiny.en", help="what anyon.load() gets: a bundle, folder, file or name")
    parser.add_argument("--backend", default="native", help="anyon backend")
    parser.add_argument("--recipe", help="anyon recipe, such as f32 or int8; without it, what anyon.load() chooses")
    parser.add_argument("--peer-model", help="CTranslate2 folder with the same weights")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has faster-whisper")
    parser.add_argument("--peer-results", type=Path, help="a file written by --save: take the peer's replies from it")
    parser.add_argument("--only", choices=("anyon", "peer"))
    parser.add_argument("--settings", choices=SETTINGS, default="greedy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-words", type=Path, help="with --words: the peer's word times, for the tests")
    parser.add_argument("--save", type=Path, help="write the report and every raw reply here (JSON)")
    arguments = parser.parse_args()
    if arguments.only != "anyon" and not arguments.peer_results and not arguments.peer_model:
        parser.error("--peer-model: the CTranslate2 folder for faster-whisper (or --peer-results, or --only anyon)")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    root = speech_data.need_data()
    utterances = speech_data.english(root)
    options: dict[str, Any] = {"language": "en", **SETTINGS[arguments.settings]}
    if arguments.mode == "words":
        utterances = speech_data.word_files(root)
        options["word_timestamps"] = True
    elif arguments.mode == "no-speech":
        options = {}  # each engine's own defaults: this is about what a person gets who sets nothing
    elif arguments.mode == "language-id":
        utterances = speech_data.language_files(root)
        options = {"only_language": True}
    files = [u.path for u in utterances]
    if arguments.mode == "long":
        files = [root / "speech" / speech_data.LONG_FILE]
    elif arguments.mode == "no-speech":
        files = speech_data.no_speech_files(root)

    runs: Runs = {}
    versions: dict[str, Any] = {}
    if arguments.only != "peer":
        with WorkerProcess("anyon", sys.executable, arguments.threads) as engine:
            settings = {"backend": arguments.backend} | ({"recipe": arguments.recipe} if arguments.recipe else {})
            versions["anyon"] = engine.load(arguments.model, **settings)["versions"]
            runs["anyon"] = run_engine(engine, files, options, arguments.mode)
    if arguments.peer_results:
        saved = json.loads(arguments.peer_results.read_text())
        if (saved["mode"], saved["options"]) != (arguments.mode, options):
            raise SystemExit(f"{arguments.peer_results}: made with other settings: {saved['mode']} {saved['options']}")
        runs["faster-whisper"] = saved["runs"]["faster-whisper"]
        versions["faster-whisper"] = saved["versions"]["faster-whisper"]
    elif arguments.only != "anyon":
        with WorkerProcess("faster_whisper", arguments.peer_python, arguments.threads) as engine:
            versions["faster-whisper"] = engine.load(arguments.peer_model, compute_type="float32")["versions"]
            runs["faster-whisper"] = run_engine(engine, files, options, arguments.mode)

    if arguments.mode == "wer":
        report = wer_reports.word_error(utterances, runs)
    elif arguments.mode == "words":
        report = wer_reports.word_times(utterances, runs)
    elif arguments.mode == "long":
        report = wer_reports.long_recording(root, runs)
    elif arguments.mode == "no-speech":
        report = wer_reports.no_speech(runs)
    else:
        report = wer_reports.languages(utterances, runs)
    if arguments.save_words:
        arguments.save_words.write_text(wer_reports.word_fixture(runs["faster-whisper"]), encoding="utf-8")
    if arguments.save:
        record = {
            "command": sys.argv,
            "machine": platform.platform(),
            "mode": arguments.mode,
            "settings": arguments.settings,
            "options": options,
            "threads": arguments.threads,
            "versions": versions,
            "report": report,
            "runs": runs,
        }
        arguments.save.write_text(json.dumps(record, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()

"""The reports of wer.py: each prints a table and returns it for the JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scoring
import speech_data
from speech_data import Utterance

Results = dict[str, dict[str, Any]]  # Utterance.name -> the worker's reply
Runs = dict[str, Results]  # engine -> its results; anyon first


def word_error(utterances: Sequence[Utterance], runs: Runs) -> dict[str, Any]:
    errors = {
        engine: {u.name: scoring.word_errors(u.reference, results[u.name]["text"]) for u in utterances}
        for engine, results in runs.items()
    }
    groups = {
        source: [u for u in utterances if u.source == source] for source in sorted({u.source for u in utterances})
    }
    groups["all"] = list(utterances)
    table = []
    print(f"{'source':24} {'files':>5} {'words':>6} " + " ".join(f"{engine:>22}" for engine in runs))
    for source, members in groups.items():
        parts = {engine: scoring.total([errors[engine][u.name] for u in members]) for engine in runs}
        words = next(iter(parts.values())).words
        cells = " ".join(f"{part.wrong:>12} ({part.percent:6.2f} %)" for part in parts.values())
        print(f"{source:24} {len(members):>5} {words:>6} {cells}")
        row: dict[str, Any] = {"source": source, "files": len(members), "words": words}
        row |= {e: {"wrong": part.wrong, "wer_percent": round(part.percent, 3)} for e, part in parts.items()}
        table.append(row)
    report: dict[str, Any] = {"table": table}
    if len(runs) == 2:
        report |= _difference(utterances, runs, errors)
    return report


def _difference(
    utterances: Sequence[Utterance], runs: Runs, errors: dict[str, dict[str, scoring.Errors]]
) -> dict[str, Any]:
    ours, theirs = runs
    names = [u.name for u in utterances]
    points, low, high = scoring.bootstrap_difference(
        [errors[ours][n] for n in names], [errors[theirs][n] for n in names]
    )
    same = sum(runs[ours][n]["text"] == runs[theirs][n]["text"] for n in names)
    print(f"{ours} - {theirs}: {points:+.2f} points, 95 % paired bootstrap [{low:+.2f}, {high:+.2f}]")
    print(f"the same text, to the letter, in {same} of {len(names)} files")
    unlike = [
        {
            "file": u.name,
            "reference": u.reference,
            ours: {"text": runs[ours][u.name]["text"], "wrong": errors[ours][u.name].wrong},
            theirs: {"text": runs[theirs][u.name]["text"], "wrong": errors[theirs][u.name].wrong},
        }
        for u in utterances
        if errors[ours][u.name].wrong != errors[theirs][u.name].wrong
    ]
    return {"difference": {"points": points, "low": low, "high": high, "same_text": same}, "unlike": unlike}


def word_times(utterances: Sequence[Utterance], runs: Runs) -> dict[str, Any]:
    ours, theirs = next(iter(runs)), list(runs)[-1]
    rows = {
        u.name: scoring.compare_words(runs[ours][u.name], runs[theirs][u.name], u.seconds)
        for u in utterances
    }  # fmt: skip
    print(f"{'file':44} {'words':>5} {'compared':>8} {'mean |difference|':>18}  monotone inside")
    for name, row in rows.items():
        print(
            f"{name:44} {row.words:>5} {row.compared:>8} {1000 * row.mean_difference:>15.1f} ms"
            f"  {row.monotone!s:>8} {row.inside!s:>6}"
        )
    compared = sum(row.compared for row in rows.values())
    mean = sum(row.mean_difference * row.compared for row in rows.values() if row.compared) / max(1, compared)
    print(f"{ours} against {theirs}: mean absolute difference {1000 * mean:.1f} ms over {compared} words")
    return {"files": {n: scoring.as_dict(row) for n, row in rows.items()}, "mean_ms": 1000 * mean, "compared": compared}


def word_fixture(results: Results) -> str:
    """JSON of [word, start, end] by file, a line each."""
    lines = [
        f"{json.dumps(name)}: "
        + json.dumps([[w["word"].strip(), round(w["start"], 2), round(w["end"], 2)] for w in scoring.all_words(result)])
        for name, result in sorted(results.items())
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def long_recording(root: Path, runs: Runs) -> dict[str, Any]:
    recording = root / "speech" / speech_data.LONG_FILE
    stm = speech_data.turns(recording.with_suffix(".stm"))
    sounds = speech_data.sound_bounds(speech_data.read_audio(recording), stm)
    reference = " ".join(turn.text for turn in stm)
    report: dict[str, Any] = {}
    for engine, results in runs.items():
        for name, result in results.items():
            errors = scoring.word_errors(reference, result["text"])
            times = scoring.compare_turns(result, stm, sounds)
            print(f"{engine}, {name}: {errors.wrong} of {errors.words} words wrong ({errors.percent:.2f} %)")
            print(f"  {times.segment_count} segments for {times.turn_count} turns; reach outside {times.outside}")
            for kind, measures in (("segment edges", times.segments), ("word times", times.words)):
                for measure, summary in measures.items():
                    print(f"  {kind:14} {measure:9} {summary}")
            report[f"{engine}, {name}"] = {
                "wrong": errors.wrong,
                "words": errors.words,
                "wer_percent": round(errors.percent, 3),
                "times": scoring.as_dict(times),
            }
    return report


def no_speech(runs: Runs) -> dict[str, Any]:
    for engine, results in runs.items():
        for name, result in results.items():
            print(f"{engine:16} {name:40} {result['text'][:200]!r}")
    return {engine: {name: result["text"] for name, result in results.items()} for engine, results in runs.items()}


def languages(utterances: Sequence[Utterance], runs: Runs) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for engine, results in runs.items():
        found = {u.name: results[u.name]["language"] for u in utterances}
        right = [u for u in utterances if found[u.name] == u.language]
        wrong = {u.name: found[u.name] for u in utterances if found[u.name] != u.language}
        counts = {
            language: f"{sum(u.language == language for u in right)}/{sum(u.language == language for u in utterances)}"
            for language in sorted({u.language for u in utterances})
        }
        cells = ", ".join(f"{language} {count}" for language, count in counts.items())
        print(f"{engine}: {len(right)} of {len(utterances)} languages right ({cells})")
        for name, language in wrong.items():
            print(f"  {name}: {language}")
        report[engine] = {"right": len(right), "of": len(utterances), "by_language": counts, "wrong": wrong}
    return report

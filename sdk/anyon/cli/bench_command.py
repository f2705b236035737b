"""`anyon bench`."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyon.cli.panels import Command, option

if TYPE_CHECKING:
    from anyon.whisper import WhisperModel

_EPILOG = """\b
Examples:
  anyon bench tiny.en                             the demo recording, 1 thread and all
  anyon bench tiny.en talk.mp3 --recipe int8      another recording, another recipe
  anyon bench tiny.en --profile trace.json        and where the time goes, op by op: a table, and a trace for
                                                  chrome://tracing or ui.perfetto.dev

Decoding is greedy, without fallback, timestamps and conditioning, so that every run does the same work. Seconds are the
median of the runs after one warm-up. For comparisons with other engines see benchmarks/peers.py in the repository."""

GREEDY: dict[str, Any] = {
    "beam_size": 1,
    "temperature": 0.0,
    "without_timestamps": True,
    "condition_on_previous_text": False,
}


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("model")
@click.argument("file", required=False, type=click.Path())
@option("--recipe", panel="Options", help="How weights are stored, as in `anyon transcribe`.")
@option("--backend", panel="Options", default="auto", show_default=True, help="auto, native, openvino or onnxruntime.")
@option("--threads", panel="Options", multiple=True, type=int, help="Cores to use; give it twice to compare.")
@option("--runs", panel="Options", default=5, show_default=True, type=click.IntRange(1), help="Counted runs.")
@option("--profile", panel="Options", type=click.Path(), help="Write a trace of one run and print the ops' shares.")
@option("--json", "as_json", panel="Options", is_flag=True, help="Print JSON.")
def command(
    model: str,
    file: str | None,
    recipe: str | None,
    backend: str,
    threads: tuple[int, ...],
    runs: int,
    profile: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL on this machine, on the recording FILE (default: the one that comes with anyon[demo])."""
    import anyon
    from anyon.cli.transcribe_command import demo_recording, speech_model
    from anyon.engines import default_threads

    audio = Path(file) if file else demo_recording()
    report: dict[str, Any] = {"model": model, "audio": audio.name, "rows": []}
    for count in threads or sorted({1, default_threads()}):
        started = time.perf_counter()
        loaded = speech_model(anyon.load(model, backend=backend, threads=count, recipe=recipe), model)
        load = time.perf_counter() - started
        row = {"threads": count, "load_s": load, **_measured(loaded, audio, runs, as_json)}
        report["recipe"] = loaded.info["recipe"]
        report["rows"].append(row)
    report["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report["placement"] = [str(place) for place in loaded.placement]
    if profile:
        report["profile"] = _profiled(loaded, audio, Path(profile))
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        _print(report)


def _measured(model: WhisperModel, audio: Path, runs: int, quiet: bool) -> dict[str, float]:
    """Medians: seconds in all, of one encoder window and of one token."""
    from rich.console import Console
    from rich.progress import track

    walls, encoders, tokens = [], [], []
    console = Console(stderr=True, quiet=quiet)
    for number in track(range(runs + 1), f"{model.threads} thread(s)", console=console, transient=True):
        started = time.perf_counter()
        transcript = model.transcribe(audio, **GREEDY)
        wall = time.perf_counter() - started
        if number == 0:
            continue
        timings = transcript.timings
        walls.append(wall)
        encoders.append(timings["encoder"] / max(1.0, timings["windows"]))
        tokens.append(timings["decoder"] / max(1.0, timings["tokens"]))
    return {
        "audio_s": transcript.duration,
        "wall_s": statistics.median(walls),
        "fastest_s": min(walls),
        "encoder_window_s": statistics.median(encoders),
        "token_s": statistics.median(tokens),
    }


def _profiled(model: WhisperModel, audio: Path, path: Path) -> list[dict[str, Any]]:
    from anyon.profile import profiled

    with profiled(model) as profile:
        model.transcribe(audio, **GREEDY)
    try:
        profile.save_trace(path)
    except OSError as error:
        raise click.UsageError(f"--profile: {path}: {error.strerror or error}") from error
    rows = profile.rows()
    total = sum(seconds for *_, seconds in rows) or 1.0
    return [
        {"program": program, "op": op, "calls": calls, "seconds": seconds, "share": seconds / total}
        for program, op, calls, seconds in rows
    ]


def _print(report: dict[str, Any]) -> None:
    click.echo(
        f"{report['model']} ({report['recipe']}), {report['audio']}, {report['rows'][0]['audio_s']:.1f} s of audio"
    )
    click.echo(f"{'threads':>7} {'seconds':>9} {'x real time':>12} {'encoder ms':>11} {'ms/token':>9} {'load ms':>8}")
    for row in report["rows"]:
        click.echo(
            f"{row['threads']:7} {row['wall_s']:9.3f} {row['audio_s'] / row['wall_s']:12.0f}"
            f" {row['encoder_window_s'] * 1e3:11.1f} {row['token_s'] * 1e3:9.3f} {row['load_s'] * 1e3:8.1f}"
        )
    click.echo(f"peak memory of this process: {report['peak_rss_mib']:.0f} MiB")
    for place in report["placement"]:
        click.echo(place)
    for row in report.get("profile", []):
        click.echo(
            f"{row['share']:6.1%} {row['seconds'] * 1e3:9.2f} ms {row['calls']:7} x {row['program']}: {row['op']}"
        )
    sys.stdout.flush()

"""`anyon transcribe`."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyon.cli.outputs import STDIN, Outputs, plan_outputs
from anyon.cli.panels import Command
from anyon.cli.reporting import JsonLines, Reporter, Terminal
from anyon.cli.transcribe_options import transcribe_options
from anyon.cues import one_line
from anyon.errors import AnyonError, InterruptedTranscription, OptionError

if TYPE_CHECKING:
    from anyon.results import Transcript
    from anyon.transcription import Transcription
    from anyon.whisper import WhisperModel

_DEMO_PACKAGE, _DEMO_FILE = "moonshine_voice", "assets/two_cities.wav"
# Options of this command that are not handed to WhisperModel.transcribe.
_LAYOUT = ("words", "highlight_words", "max_line_width", "max_line_count", "max_words_per_line")

_EPILOG = """\b
Examples:
  anyon transcribe talk.mp3
      print the text, segment by segment as it is ready
  anyon transcribe interview.mp4 -m base --language fr -f srt -o subtitles
      French subtitles from a video into subtitles/interview.srt
  anyon transcribe *.wav -f json,vtt -o out --word-timestamps
      every recording, two formats, with a time for each word
  anyon transcribe vortrag.m4a -m small --task translate
      English text from German speech
  ffmpeg -i stream.ts -f wav - | anyon transcribe -
      from a pipe
  anyon transcribe long.mp3 -f txt -o . --json-progress 2> progress.jsonl
      progress as JSON lines for another program

Ctrl-C stops within a token; what was finished is written. Exit codes: 0 done, 1 a recording failed, 2 wrong usage,
130 interrupted."""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("files", nargs=-1, metavar="FILE...")
@transcribe_options
def command(**arguments: Any) -> int:
    """Turn the speech in FILE... into text. FILE is any recording or video that FFmpeg reads, or - for stdin."""
    files = _files(list(arguments.pop("files")), arguments.pop("demo"))
    layout = {name: value for name in _LAYOUT if (value := arguments.pop(name))}
    formats, folder = arguments.pop("formats"), arguments.pop("output_dir")
    outputs = plan_outputs(files, formats, folder, layout)
    quiet, verbose, as_json = arguments.pop("quiet"), arguments.pop("verbose"), arguments.pop("json_progress")
    reporter: Reporter = JsonLines() if as_json else Terminal(quiet, verbose)
    loading = {
        name: arguments.pop(name)
        for name in (
            "model",
            "backend",
            "device",
            "precision",
            "policy",
            "threads",
            "isa",
            "strict",
            "cache_dir",
            "recipe",
        )
    }
    options = _options(arguments, bool(layout))
    try:
        model = _load(loading, reporter)
        return _transcribe_all(model, files, options, outputs, reporter)
    except AnyonError as error:
        reporter.failed("", error)
        return 1
    finally:
        reporter.close()


def _load(arguments: dict[str, Any], reporter: Reporter) -> WhisperModel:
    import anyon

    started = time.perf_counter()
    source = arguments.pop("model")
    model = speech_model(anyon.load(source, progress=reporter.progress, **arguments), source)
    reporter.loaded(model, time.perf_counter() - started)
    return model


def speech_model(model: Any, source: str) -> WhisperModel:
    """The loaded model; OptionError when it is none that transcribes."""
    import anyon

    if not isinstance(model, anyon.WhisperModel):
        raise OptionError(f"{source}: is a {type(model).__name__}, which transcribes nothing (give a speech model)")
    return model


def _transcribe_all(
    model: WhisperModel, files: list[str], options: dict[str, Any], outputs: Outputs, reporter: Reporter
) -> int:
    """Every recording in turn; one that fails does not keep the others from theirs."""
    code = 0
    for number, file in enumerate(files):
        if outputs.streams_text and len(files) > 1:
            reporter.text(f"{chr(10) if number else ''}==> {file} <==")
        try:
            transcript, interrupted = _transcribe(model, file, options, outputs, reporter)
            written = outputs.save(transcript, file)
        except AnyonError as error:
            reporter.failed(file, error)
            code = 1
            continue
        reporter.finished(file, transcript, written, interrupted)
        if interrupted:
            return 130
    return code


def _transcribe(
    model: WhisperModel, file: str, options: dict[str, Any], outputs: Outputs, reporter: Reporter
) -> tuple[Transcript, bool]:
    """(the transcript, whether Ctrl-C cut it short)."""
    reporter.started(file)
    audio = sys.stdin.buffer if file == STDIN else Path(file)
    transcription: Transcription = model.transcribe_iter(audio, progress=reporter.progress, **options)
    try:
        for segment in transcription:
            reporter.segment(file, segment)
            if outputs.streams_text and segment.text.strip():
                reporter.text(one_line(segment.text))
    except InterruptedTranscription as interruption:
        return interruption.transcript, True
    except KeyboardInterrupt:
        # Between two steps.
        transcription.close()
        return transcription.transcript(), True
    return transcription.transcript(), False


def _options(arguments: dict[str, Any], needs_words: bool) -> dict[str, Any]:
    """The options that were given, as WhisperModel.transcribe calls them."""
    first, step = arguments.pop("temperature"), arguments.pop("temperature_increment_on_fallback")
    options = {name: value for name, value in arguments.items() if value is not None}
    if first is not None or step is not None:
        options["temperature"] = _temperatures(first or 0.0, 0.2 if step is None else step)
    if "draft" in options:
        options["draft"] = options["draft"].read()
    if needs_words:
        options.setdefault("word_timestamps", True)
    return options


def _temperatures(first: float, step: float) -> list[float]:
    if step <= 0:
        return [first]
    count = int((1.0 - first) / step + 1e-6) + 1
    return [round(first + i * step, 6) for i in range(max(1, count))]


def demo_recording() -> Path:
    """The recording of the demo extra. UsageError when it is not installed."""
    spec = importlib.util.find_spec(_DEMO_PACKAGE)
    path = Path(spec.origin).parent / _DEMO_FILE if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise click.UsageError("the demo's recording is not installed: pip install 'anyon[demo]'")
    return path


def _files(files: list[str], demo: bool) -> list[str]:
    if demo:
        files.append(str(demo_recording()))
    if not files:
        raise click.UsageError("no recording: give a FILE, - for stdin, or --demo")
    if files.count(STDIN) > 1 or len(set(files)) != len(files):
        raise click.UsageError("a recording is given twice")
    return files

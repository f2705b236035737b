"""The options of `anyon transcribe`, in the groups its help shows."""

from __future__ import annotations

from typing import Any

import click

from anyon.cli.panels import option
from anyon.registry import DEMO_NAME

_MODEL, _OUTPUT, _SPEECH, _DECODING = "Model", "Output", "Speech", "Decoding"

_OPTIONS = [
    option(
        "-m",
        "--model",
        panel=_MODEL,
        default=DEMO_NAME,
        show_default=True,
        help="Name, hub id, folder, file or .anyon bundle; see `anyon models`.",
    ),
    option(
        "--recipe",
        panel=_MODEL,
        help="How weights are stored: f32, f16, int8, int4 or FILE.json.  [default: int8 where it is faster]",
    ),
    option("--backend", panel=_MODEL, default="auto", show_default=True, help="auto, native, openvino or onnxruntime."),
    option("--device", panel=_MODEL, help="What the backend computes on: cpu, gpu, cuda, ...  [default: cpu]"),
    option("--precision", panel=_MODEL, help="What the engine computes in: f32, bf16, f16.  [default: its own]"),
    option(
        "--policy",
        panel=_MODEL,
        default="fastest",
        show_default=True,
        help="What --backend auto looks for: fastest, smallest-memory, lowest-power; see `anyon doctor --measure`.",
    ),
    option("--threads", panel=_MODEL, type=int, help="Cores to use.  [default: all, at most 16]"),
    option("--isa", panel=_MODEL, help="Force an instruction set, such as avx2; `anyon doctor` lists them."),
    option("--strict", panel=_MODEL, is_flag=True, help="A fallback to another backend is an error."),
    option("--cache-dir", panel=_MODEL, type=click.Path(), help="Where bundles are kept.  [default: $ANYON_CACHE]"),
    option("--demo", panel=_MODEL, is_flag=True, help="Transcribe the recording that comes with anyon[demo]."),
    option(
        "-f",
        "--output-format",
        "formats",
        panel=_OUTPUT,
        multiple=True,
        metavar="FORMAT",
        help="txt, srt, vtt, tsv, json, lrc, or all; several with commas.  [default: txt]",
    ),
    option(
        "-o", "--output-dir", panel=_OUTPUT, type=click.Path(), help="Folder for the files.  [default: print on stdout]"
    ),
    option("--words", panel=_OUTPUT, is_flag=True, help="A cue, row or timed tag for each word (srt, vtt, tsv, lrc)."),
    option("--highlight-words", panel=_OUTPUT, is_flag=True, help="Underline the word being spoken (srt, vtt)."),
    option("--max-line-width", panel=_OUTPUT, type=int, metavar="N", help="Characters in a subtitle's line."),
    option("--max-line-count", panel=_OUTPUT, type=int, metavar="N", help="Lines in a subtitle."),
    option("--max-words-per-line", panel=_OUTPUT, type=int, metavar="N", help="Words in a subtitle's line."),
    option("--json-progress", panel=_OUTPUT, is_flag=True, help="Progress as JSON lines on stderr."),
    option("-q", "--quiet", panel=_OUTPUT, is_flag=True, help="Nothing on stderr but errors."),
    option("-v", "--verbose", panel=_OUTPUT, is_flag=True, help="Say what runs where, and how long it took."),
    option("-l", "--language", panel=_SPEECH, help='Code or name, "fr" or "french".  [default: detected]'),
    option(
        "--task",
        panel=_SPEECH,
        type=click.Choice(["transcribe", "translate"]),
        help="translate: into English.  [default: transcribe]",
    ),
    option("--word-timestamps", panel=_SPEECH, is_flag=True, default=None, help="A start and an end for each word."),
    option("--initial-prompt", panel=_SPEECH, metavar="TEXT", help="Text as if spoken before: names, spelling, style."),
    option(
        "--carry-initial-prompt",
        panel=_SPEECH,
        is_flag=True,
        default=None,
        help="Give the initial prompt to every window.",
    ),
    option("--hotwords", panel=_SPEECH, metavar="TEXT", help="Words to expect, given to every window."),
    option(
        "--draft",
        panel=_SPEECH,
        metavar="FILE",
        type=click.File("r", encoding="utf-8"),
        help="What is probably said, as text: faster where it is right. Needs --beam-size 1.",
    ),
    option("--prefix", panel=_SPEECH, metavar="TEXT", help="How the first window's text begins."),
    option(
        "--clip-timestamps",
        panel=_SPEECH,
        metavar="S,E,...",
        help="Only these stretches: start,end,start,... in seconds.",
    ),
    option("--allow-incomplete", panel=_SPEECH, is_flag=True, help="Read a file that broke off as far as it goes."),
    option(
        "--batch-size",
        panel=_DECODING,
        type=int,
        help="Windows decoded together, cut at pauses: faster on long recordings.  [default: 1]",
    ),
    option("--beam-size", panel=_DECODING, type=int, help="Beams at temperature 0; 1 is greedy.  [default: 5]"),
    option("--best-of", panel=_DECODING, type=int, help="Samples at higher temperatures.  [default: 5]"),
    option("--patience", panel=_DECODING, type=float, help="Beams to finish, over the beam size.  [default: 1]"),
    option("--length-penalty", panel=_DECODING, type=float, help="Alpha, 0..1.  [default: divide by the length]"),
    option(
        "--repetition-penalty", panel=_DECODING, type=float, help="Above 1: repeats become less likely.  [default: 1]"
    ),
    option(
        "--no-repeat-ngram-size", panel=_DECODING, type=int, help="Forbid repeats of this many tokens.  [default: 0]"
    ),
    option("--temperature", panel=_DECODING, type=float, help="First temperature.  [default: 0]"),
    option(
        "--temperature-increment-on-fallback",
        panel=_DECODING,
        type=float,
        help="Step for the next try; 0: no further try.  [default: 0.2]",
    ),
    option(
        "--compression-ratio-threshold",
        panel=_DECODING,
        type=float,
        help="Above it a text repeats itself.  [default: 2.4]",
    ),
    option("--logprob-threshold", panel=_DECODING, type=float, help="Below it a text is not believed.  [default: -1]"),
    option(
        "--no-speech-threshold",
        panel=_DECODING,
        type=float,
        help="Above it a doubtful window is silence.  [default: 0.6]",
    ),
    option(
        "--speech-gate/--no-speech-gate",
        panel=_DECODING,
        default=None,
        help="Refuse text over noise and silence.  [default: on]",
    ),
    option(
        "--condition-on-previous-text/--no-condition-on-previous-text",
        panel=_DECODING,
        default=None,
        help="Tell each window the text before.  [default: on; off with --batch-size]",
    ),
    option(
        "--suppress-tokens",
        panel=_DECODING,
        metavar="IDS",
        help="Token ids never to write.  [default: -1, the model's list]",
    ),
    option(
        "--without-timestamps",
        panel=_DECODING,
        is_flag=True,
        default=None,
        help="Text alone, no segment times inside a window.",
    ),
    option(
        "--hallucination-silence-threshold",
        panel=_DECODING,
        type=float,
        help="Skip silence longer than this around doubtful words, in seconds.",
    ),
    option("--prepend-punctuations", panel=_DECODING, metavar="CHARS", help="Marks that belong to the next word."),
    option("--append-punctuations", panel=_DECODING, metavar="CHARS", help="Marks that belong to the word before."),
    option("--seed", panel=_DECODING, type=int, help="Of the sampling.  [default: 0]"),
]


def transcribe_options(function: Any) -> Any:
    """Decorates a command with every option above."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function

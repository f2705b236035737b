"""The options of `transcribe`: openai-whisper's names, faster-whisper's spellings, and what is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from anyon.errors import OptionError
from anyon.languages import language_code

if TYPE_CHECKING:
    from anyon.results import Transcript


class TranscribeOptions(TypedDict, total=False):
    """Every option with its type; a missing one has the runtime's default (runtime_cpp/pipelines/transcribe_options.h).

    None switches a threshold off, and means the default everywhere else.
    """

    language: str | None
    task: str
    temperature: float | Sequence[float]
    best_of: int | None
    beam_size: int | None
    patience: float | None
    length_penalty: float | None
    repetition_penalty: float
    no_repeat_ngram_size: int
    seed: int
    max_new_tokens: int | None
    compression_ratio_threshold: float | None
    logprob_threshold: float | None
    no_speech_threshold: float | None
    speech_gate: bool
    batch_size: int | None
    condition_on_previous_text: bool | None
    prompt_reset_on_temperature: float
    initial_prompt: str | Sequence[int] | None
    carry_initial_prompt: bool
    hotwords: str | None
    prefix: str | Sequence[int] | None
    draft: str | Sequence[int] | Transcript | None
    suppress_blank: bool
    suppress_tokens: str | Sequence[int] | None
    without_timestamps: bool
    max_initial_timestamp: float | None
    word_timestamps: bool
    prepend_punctuations: str
    append_punctuations: str
    hallucination_silence_threshold: float | None
    clip_timestamps: str | Sequence[float]
    language_detection_threshold: float | None
    language_detection_segments: int
    # Other spellings of the above.
    log_prob_threshold: float | None
    temperatures: float | Sequence[float]
    sample_len: int | None
    # Known from elsewhere; only their neutral values are accepted.
    vad_filter: bool
    vad_parameters: None
    multilingual: bool
    chunk_length: int | None
    fp16: bool
    verbose: bool | None
    log_progress: bool


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise OptionError(f"{name}={value!r}: expected a number")
    if not math.isfinite(value):
        raise OptionError(f"{name}={value!r}: expected a finite number")
    return float(value)


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if not number.is_integer():
        raise OptionError(f"{name}={value!r}: expected a whole number")
    return int(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{name}={value!r}: expected True or False")
    return bool(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{name}={value!r}: expected text")
    return value


def _prompt(name: str, value: Any) -> str | list[int]:
    if isinstance(value, str):
        return value
    return _wholes(name, value)


def _draft(name: str, value: Any) -> str | list[int]:
    """A transcript stands for its tokens, times included."""
    segments = getattr(value, "segments", None)
    return _prompt(name, value if segments is None else [token for segment in segments for token in segment.tokens])


def _wholes(name: str, value: Any) -> list[int]:
    if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, (str, bytes)):
        raise OptionError(f"{name}={value!r}: expected text or a list of token ids")
    return [_whole(name, item) for item in value]


def _tokens(name: str, value: Any) -> list[int]:
    """[-1], or "-1", stands for the model's own list."""
    if isinstance(value, str):
        try:
            return [int(part) for part in value.split(",") if part.strip()]
        except ValueError:
            raise OptionError(f'{name}={value!r}: expected token ids such as "-1" or "1,2,3"') from None
    return _wholes(name, value)


def _temperatures(name: str, value: Any) -> list[float]:
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)):
        return [_number(name, item) for item in value]
    return [_number(name, value)]


def _clips(name: str, value: Any) -> list[float]:
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, (Sequence, np.ndarray)):
        raise OptionError(f'{name}={value!r}: expected seconds "start,end,start,..." or a list of them')
    try:
        return [_number(name, float(part)) for part in parts]
    except (TypeError, ValueError):
        raise OptionError(f'{name}={value!r}: expected seconds "start,end,start,..." or a list of them') from None


def _language(name: str, value: Any) -> str:
    code = language_code(_text(name, value))
    if code is None:
        import difflib

        from anyon.languages import LANGUAGES

        known = list(LANGUAGES) + [language.lower() for language in LANGUAGES.values()]
        close = difflib.get_close_matches(value.lower(), known, n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else 'a code such as "en" or a name such as "english"'
        raise OptionError(f"{name}={value!r}: no language of Whisper ({hint})")
    return code


@dataclass(frozen=True, slots=True)
class _Option:
    convert: Callable[[str, Any], Any]
    native: str = ""
    """The runtime's name where it differs."""
    off: bool = False
    """None switches it off rather than meaning the default."""
    none: Any = None
    """What None stands for, where that is a value of its own."""


_OPTIONS: dict[str, _Option] = {
    "language": _Option(_language),
    "task": _Option(_text),
    "temperature": _Option(_temperatures, native="temperatures"),
    "best_of": _Option(_whole),
    "beam_size": _Option(_whole),
    "patience": _Option(_number),
    "length_penalty": _Option(_number),
    "repetition_penalty": _Option(_number),
    "no_repeat_ngram_size": _Option(_whole),
    "seed": _Option(_whole),
    "max_new_tokens": _Option(_whole),
    "compression_ratio_threshold": _Option(_number, off=True),
    "logprob_threshold": _Option(_number, native="log_prob_threshold", off=True),
    "no_speech_threshold": _Option(_number, off=True),
    "speech_gate": _Option(_flag),
    "batch_size": _Option(_whole),
    "condition_on_previous_text": _Option(_flag),
    "prompt_reset_on_temperature": _Option(_number),
    "initial_prompt": _Option(_prompt),
    "carry_initial_prompt": _Option(_flag),
    "hotwords": _Option(_text),
    "prefix": _Option(_prompt),
    "draft": _Option(_draft),
    "suppress_blank": _Option(_flag),
    "suppress_tokens": _Option(_tokens, none=[]),
    "without_timestamps": _Option(_flag),
    "max_initial_timestamp": _Option(_number, off=True),
    "word_timestamps": _Option(_flag),
    "prepend_punctuations": _Option(_text),
    "append_punctuations": _Option(_text),
    "hallucination_silence_threshold": _Option(_number, off=True),
    "clip_timestamps": _Option(_clips),
    "language_detection_threshold": _Option(_number),
    "language_detection_segments": _Option(_whole),
}

_ALIASES = {
    "log_prob_threshold": "logprob_threshold",
    "temperatures": "temperature",
    "sample_len": "max_new_tokens",
}


@dataclass(frozen=True, slots=True)
class _Refused:
    neutral: tuple[Any, ...]
    """Values that ask for nothing we do not do anyway."""
    reason: str


_REFUSED: dict[str, _Refused] = {
    "vad_filter": _Refused((False, None), "there is no voice activity filter (silence is refused by speech_gate)"),
    "vad_parameters": _Refused((None,), "there is no voice activity filter (silence is refused by speech_gate)"),
    "multilingual": _Refused((False, None), "the language is detected once (transcribe the parts one by one)"),
    "chunk_length": _Refused((None, 30), "Whisper hears windows of 30 seconds"),
    "fp16": _Refused((False, None), "precision is the bundle's (see anyon.load's recipe)"),
    "verbose": _Refused((False, None), "the library does not print (use transcribe_iter, or the anyon command)"),
    "log_progress": _Refused((False, None), "the library does not print (pass progress=, a function)"),
    "device": _Refused((), "is an argument of a backend (see anyon.load's backend)"),
    "compute_type": _Refused((), "precision is the bundle's (see anyon.load's recipe)"),
}  # fmt: skip


def native_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The runtime's option dictionary; only what was asked for, so that defaults live in one place.

    Raises OptionError for an unknown name (with the closest known one), for one that is not supported, for two
    spellings of the same, and for a value of the wrong kind. Ranges are checked by the runtime, which knows the model.
    """
    native: dict[str, Any] = {}
    for given, value in options.items():
        if given in _REFUSED:
            _check_neutral(given, value)
            continue
        name = _ALIASES.get(given, given)
        if name not in _OPTIONS:
            raise OptionError(f"transcribe: unknown option {given!r} ({_suggestion(given)})")
        if given != name and name in options:
            raise OptionError(f"transcribe: {given} and {name} are the same option (give one of them)")
        row = _OPTIONS[name]
        target = row.native or name
        if value is not None:
            native[target] = row.convert(given, value)
        elif row.off:
            native[target] = None
        elif row.none is not None:
            native[target] = row.none
    return native


def _check_neutral(name: str, value: Any) -> None:
    refused = _REFUSED[name]
    if not any(value is neutral or (neutral is not None and value == neutral) for neutral in refused.neutral):
        raise OptionError(f"transcribe: {name}={value!r} is not supported: {refused.reason}")


def _suggestion(name: str) -> str:
    import difflib

    known = [*_OPTIONS, *_ALIASES, "sampling_rate", "allow_incomplete", "progress"]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else "see help(anyon.TranscribeOptions) for all of them"

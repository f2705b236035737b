"""Decoding settings of a Whisper checkpoint: special token ids, languages, suppressed tokens, alignment heads.

Settings that a checkpoint states win; the rest follow openai-whisper's rules over the vocabulary
(whisper/tokenizer.py and decoding.py in openai-whisper 20250625 define them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import DAMAGED, CheckpointError
from .files import integer
from .languages import LANGUAGE_CODES
from .tokenizer import N_TIMESTAMPS, TokenizerData

# Text that is an annotation rather than speech: [MUSIC], (LAUGHS), <<, notes. Each is suppressed with and without a
# leading space where it is one token.
_BRACKETS_AND_QUOTES = '"#()*+/:;<=>@[\\]^_`{|}~「」『』'
# fmt: off
_RUNS = (
    "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))", "[[", "]]", "{{", "}}",
    "♪♪", "♪♪♪",
)
# fmt: on
# These may be several tokens; their first token (bytes shared by U+2640..U+267F) is suppressed then.
_NOTES = "♩♪♫♬♭♮♯"


def generation_settings(
    config: Mapping[str, int],
    tokenizer: TokenizerData,
    alignment_heads: Sequence[Sequence[int]],
    path: Path,
    suppress_tokens: Sequence[int] = (),
    begin_suppress_tokens: Sequence[int] = (),
) -> dict[str, Any]:
    """Everything the manifest's `loop` section holds. Empty sequences mean "not stated": the rules apply.

    Raises CheckpointError when a special token that decoding needs is missing or an id or head is out of range.
    """
    n_vocab = config["n_vocab"]

    def token(name: str) -> int:
        if (found := tokenizer.special.get(f"<|{name}|>")) is None:
            raise CheckpointError(path, "tokenizer", f"no special token <|{name}|>", "is this Whisper's tokenizer?")
        return found

    eot, sot, no_timestamps = token("endoftext"), token("startoftranscript"), token("notimestamps")
    timestamp_begin = no_timestamps + 1
    if timestamp_begin + N_TIMESTAMPS > n_vocab:
        raise CheckpointError(path, "tokenizer", f"no room for {N_TIMESTAMPS} timestamps below {n_vocab}", DAMAGED)
    languages = {
        code: tokenizer.special[f"<|{code}|>"] for code in LANGUAGE_CODES if f"<|{code}|>" in tokenizer.special
    }
    # The English-only vocabulary reserves language and task tokens too, but its models never saw them.
    multilingual = n_vocab >= 51_865 and len(languages) > 1
    control = [sot, *(token(n) for n in ("translate", "transcribe", "startoflm", "startofprev", "nospeech"))]

    stated = {integer(t, 0, n_vocab - 1, path, "suppress_tokens") for t in suppress_tokens}
    suppressed = (stated or set(non_speech_tokens(tokenizer))) | set(control)
    begin = [integer(t, 0, n_vocab - 1, path, "begin_suppress_tokens") for t in begin_suppress_tokens]
    return {
        "multilingual": multilingual,
        "n_text_ctx": config["n_text_ctx"],
        "n_audio_ctx": config["n_audio_ctx"],
        "n_layers": config["n_text_layer"],
        "n_heads": config["n_text_head"],
        "head_dim": config["n_text_state"] // config["n_text_head"],
        "eot": eot,
        "sot": sot,
        "translate": token("translate") if multilingual else None,
        "transcribe": token("transcribe") if multilingual else None,
        "sot_lm": token("startoflm"),
        "sot_prev": token("startofprev"),
        "no_speech": token("nospeech"),
        "no_timestamps": no_timestamps,
        "timestamp_begin": timestamp_begin,
        "languages": languages if multilingual else {},
        "suppress_tokens": sorted(suppressed),
        "begin_suppress_tokens": begin or [*tokenizer.encode_piece(b" "), eot],
        "alignment_heads": checked_heads(alignment_heads, config, path),
    }


def checked_heads(heads: object, config: Mapping[str, int], path: Path) -> list[list[int]]:
    """[[layer, head], ...] of the decoder, each in range and given once."""
    if not isinstance(heads, Sequence) or isinstance(heads, (str, bytes)) or not heads:
        raise CheckpointError(path, "alignment_heads", "a list of [layer, head] pairs is expected", DAMAGED)
    checked: list[list[int]] = []
    for pair in heads:
        if not isinstance(pair, Sequence) or isinstance(pair, (str, bytes)) or len(pair) != 2:
            raise CheckpointError(path, "alignment_heads", "a pair [layer, head] is expected", DAMAGED)
        layer = integer(pair[0], 0, config["n_text_layer"] - 1, path, "alignment_heads: layer")
        head = integer(pair[1], 0, config["n_text_head"] - 1, path, "alignment_heads: head")
        checked.append([layer, head])
    if len({tuple(pair) for pair in checked}) != len(checked):
        raise CheckpointError(path, "alignment_heads", "a head is given twice", DAMAGED)
    return checked


def token_list(value: object, path: Path, where: str) -> list[int]:
    """A JSON list of token ids as stated by a config; null, [] and [-1] all mean "not stated"."""
    if value is None or value == [-1]:
        return []
    if not isinstance(value, list):
        raise CheckpointError(path, where, "a list of token ids is expected", DAMAGED)
    return value


def non_speech_tokens(tokenizer: TokenizerData) -> list[int]:
    """Ids of symbols that annotate rather than speak, plus " -" and " '" (kept inside words, not before them)."""
    result = {tokenizer.encode_piece(b" -")[0], tokenizer.encode_piece(b" '")[0]}
    for symbol in (*_BRACKETS_AND_QUOTES, *_RUNS, *_NOTES):
        for text in (symbol, " " + symbol):
            ids = tokenizer.encode_piece(text.encode())
            if len(ids) == 1 or symbol in _NOTES:
                result.add(ids[0])
    return sorted(result)

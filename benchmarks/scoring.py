"""Word error, its paired bootstrap, and comparisons of word and segment times. Needs jiwer and whisper-normalizer."""

from __future__ import annotations

import difflib
import itertools
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import jiwer
import numpy as np
from speech_data import Turn
from whisper_normalizer.english import EnglishTextNormalizer


@cache
def _normalizer() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


def normalise(text: str) -> str:
    return str(_normalizer()(text))


@dataclass(frozen=True)
class Errors:
    """Word errors of one utterance or of many: `wrong` of `words`."""

    wrong: int
    words: int

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.wrong + other.wrong, self.words + other.words)

    @property
    def percent(self) -> float:
        return 100.0 * self.wrong / self.words if self.words else 0.0


def word_errors(reference: str, hypothesis: str) -> Errors:
    """Substitutions, deletions and insertions after EnglishTextNormalizer on both sides."""
    wanted, heard = normalise(reference), normalise(hypothesis)
    if not wanted:
        return Errors(len(heard.split()), 0)
    found = jiwer.process_words(wanted, heard)
    return Errors(found.substitutions + found.deletions + found.insertions, len(wanted.split()))


def total(errors: Sequence[Errors]) -> Errors:
    return sum(errors, Errors(0, 0))


def bootstrap_difference(
    ours: Sequence[Errors], theirs: Sequence[Errors], rounds: int = 10_000
) -> tuple[float, float, float]:
    """(difference, low, high) of the word error rates, ours minus theirs, in points.

    The interval covers 95 % of the resamplings of the utterances, each drawn for both engines.
    """
    words = np.array([e.words for e in ours], dtype=np.float64)
    wrong = np.array([[e.wrong for e in ours], [e.wrong for e in theirs]], dtype=np.float64)
    drawn = np.random.default_rng(0).integers(0, len(words), (rounds, len(words)))
    rates = 100.0 * wrong[:, drawn].sum(axis=2) / words[drawn].sum(axis=1)
    low, high = np.percentile(rates[0] - rates[1], [2.5, 97.5])
    return total(ours).percent - total(theirs).percent, float(low), float(high)


def _word_key(word: str) -> str:
    return re.sub(r"[^\w']", "", word.lower())


def _matched(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Index pairs of equal words in the longest matching blocks."""
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return [(i + k, j + k) for i, j, size in matcher.get_matching_blocks() for k in range(size)]


def all_words(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for segment in result["segments"] for word in segment["words"]]


@dataclass(frozen=True)
class WordTimes:
    """How one engine's word times compare with another's on one file; seconds."""

    words: int
    compared: int
    mean_difference: float  # mean of |start - start| and |end - end| over the words both heard
    monotone: bool  # starts and ends never go back, no word ends before it starts
    inside: bool  # 0 <= start, end <= duration


def compare_words(ours: dict[str, Any], theirs: dict[str, Any], duration: float) -> WordTimes:
    a, b = all_words(ours), all_words(theirs)
    pairs = _matched([_word_key(w["word"]) for w in a], [_word_key(w["word"]) for w in b])
    differences = [abs(a[i][edge] - b[j][edge]) for i, j in pairs for edge in ("start", "end")]
    return WordTimes(
        words=len(a),
        compared=len(pairs),
        mean_difference=statistics.fmean(differences) if differences else float("nan"),
        monotone=words_monotone(a),
        inside=words_inside(a, duration),
    )


def words_monotone(words: Sequence[dict[str, Any]]) -> bool:
    ordered = all(w["start"] <= w["end"] for w in words)
    return ordered and all(
        a["start"] <= b["start"] and a["end"] <= b["start"] + 1e-6 for a, b in itertools.pairwise(words)
    )


def words_inside(words: Sequence[dict[str, Any]], duration: float) -> bool:
    # One hop of the front end (10 ms) of rounding at the end of the file.
    return all(w["start"] >= 0 and w["end"] <= duration + 0.01 for w in words)


@dataclass(frozen=True)
class LongTimes:
    """Times of a long recording against the turns of its .stm; seconds.

    A hypothesis word that matches the first (last) reference word of a turn gives that turn's start (end). Between two
    turns lies a pause of 1.4 s at the median: silence of the one reading, 0.6 s put between them, silence of the next;
    the .stm marks the middle part. A time anywhere in the pause is right; `distance` is how far it lies from the pause,
    `to_stm` how far from the .stm's own mark.

    segments: the same for segment edges, where a segment begins (ends) with the first (last) word of a turn.
    outside: how far a segment reaches beyond the turns its words belong to (0 when it lies within them).
    """

    segment_count: int
    turn_count: int
    segments: dict[str, dict[str, float]]
    words: dict[str, dict[str, float]]
    outside: dict[str, float]


def _summary(values: Sequence[float], limit: float = 0.5) -> dict[str, float]:
    if not values:
        return {"count": 0}
    return {
        "count": len(values),
        "median": round(statistics.median(values), 3),
        "worst": round(max(values), 3),
        f"share_within_{limit}": round(sum(v <= limit for v in values) / len(values), 4),
    }


@dataclass
class _Heard:
    word: str
    segment: int
    start: float
    end: float
    timed: bool  # False: only the segment's times are known


def _heard_words(result: dict[str, Any]) -> list[_Heard]:
    found = []
    for index, segment in enumerate(result["segments"]):
        words = segment["words"] or [{"word": segment["text"], "start": segment["start"], "end": segment["end"]}]
        for word in words:
            parts = normalise(word["word"]).split()
            found += [_Heard(part, index, word["start"], word["end"], bool(segment["words"])) for part in parts]
    return found


def compare_turns(result: dict[str, Any], turns: Sequence[Turn], sounds: Sequence[tuple[float, float]]) -> LongTimes:
    """`sounds` has the start and the end of what is heard of each turn (speech_data.sound_bounds)."""
    reference = [(word, index) for index, turn in enumerate(turns) for word in normalise(turn.text).split()]
    first = {index: position for position, (_, index) in reversed(list(enumerate(reference)))}
    last = {index: position for position, (_, index) in enumerate(reference)}
    heard = _heard_words(result)
    pairs = _matched([word for word, _ in reference], [h.word for h in heard])
    heard_at = dict(pairs)
    segment_first = {h.segment: position for position, h in reversed(list(enumerate(heard)))}
    segment_last = {h.segment: position for position, h in enumerate(heard)}

    distances: dict[str, list[float]] = {"segments": [], "words": []}
    to_stm: dict[str, list[float]] = {"segments": [], "words": []}
    for index, turn in enumerate(turns):
        before = sounds[index - 1][1] if index else 0.0
        after = sounds[index + 1][0] if index + 1 < len(turns) else turn.end
        edges = (
            (first[index], "start", turn.start, (before, sounds[index][0])),
            (last[index], "end", turn.end, (sounds[index][1], after)),
        )
        for position, edge, stm, pause in edges:
            j = heard_at.get(position)
            if j is None:
                continue
            times = {}
            if heard[j].timed:
                times["words"] = float(getattr(heard[j], edge))
            if (segment_first if edge == "start" else segment_last)[heard[j].segment] == j:
                times["segments"] = float(result["segments"][heard[j].segment][edge])
            for kind, time in times.items():
                distances[kind].append(max(0.0, pause[0] - time, time - pause[1]))
                to_stm[kind].append(abs(time - stm))

    spoken: dict[int, list[int]] = {}
    for i, j in pairs:
        spoken.setdefault(heard[j].segment, []).append(reference[i][1])
    outside = []
    for index, indices in spoken.items():
        begin, end = turns[min(indices)].start, turns[max(indices)].end
        segment = result["segments"][index]
        outside.append(max(0.0, begin - segment["start"], segment["end"] - end))
    summaries = {kind: {"distance": _summary(distances[kind]), "to_stm": _summary(to_stm[kind])} for kind in distances}
    return LongTimes(len(result["segments"]), len(turns), summaries["segments"], summaries["words"], _summary(outside))


def as_dict(value: Any) -> dict[str, Any]:
    return asdict(value)

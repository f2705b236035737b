"""Words that differ between two texts: what a search for a recipe compares models by."""

from __future__ import annotations

import re

import numpy as np


def word_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """(substitutions, deletions and insertions at the least; words of the reference). Case and punctuation are left
    aside; nothing else is, so numbers must be written alike."""
    wanted, heard = _words(reference), _words(hypothesis)
    codes = {word: code for code, word in enumerate(dict.fromkeys(wanted + heard))}
    other = np.array([codes[word] for word in heard], np.int64)
    places = np.arange(len(heard) + 1)
    row = places.copy()
    for word in wanted:
        # Levenshtein, one word of the reference at a time: replaced, kept or left out, then what insertions improve.
        best = np.minimum(row[1:] + 1, row[:-1] + (other != codes[word]))
        row = np.minimum.accumulate(np.concatenate([row[:1] + 1, best]) - places) + places
    return int(row[-1]), len(wanted)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.casefold())

"""The two published Whisper vocabularies, stored compactly with the package's blueprints.

File format (`gpt2.vocab`, `multilingual.vocab`): zlib stream of one length byte per token, then all token bytes, in id
order; the count is fixed by the name. Written by make_vocabularies.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from .errors import CheckpointError

N_TOKENS: Final[dict[str, int]] = {"gpt2": 50_256, "multilingual": 50_257}
_MAX_BYTES: Final = 1_000_000  # 371,070 and 357,314 are needed

# sha256 of `packed(tokens)`.
KNOWN_VOCABULARIES: Final[dict[str, str]] = {
    "gpt2": "5ed391ee01e9fe0d21129994f32cd598e57a08e76f9512f818ebf3aeeb38fe38",
    "multilingual": "b34214b1876b075be496ec127f404ad1be800e4fc10860a255c9efd1b5651272",
}
# Digests (tokenizer.merges_digest) of the merge lists that count as this vocabulary's: the one its ids imply, which
# openai-whisper applies (a test recovers it), so a tokenizer needs no merge table. Hugging Face publishes the
# multilingual list without its first merge (space + t), lost as if it were a header line: the second digest.
KNOWN_MERGES: Final[dict[str, tuple[str, ...]]] = {
    "gpt2": ("04e3597d7996f292ca9b8b7285ca4d58a6ae171ac47d73fc7140ceb0c7a6bbc0",),
    "multilingual": (
        "b02032f2a60eee8e3978a06bbb5727263357cc916d41feca388695c2c6f25226",
        "cb6969e78b71330031a150eebd742b00c7c947a2c844473ffa8d5fd1b240fbb1",
    ),
}


def packed(tokens: Sequence[bytes]) -> bytes:
    """Lengths, then bytes: the content of a vocabulary file before compression. Tokens are under 256 bytes."""
    return bytes(len(token) for token in tokens) + b"".join(tokens)


def vocabulary_name(tokens: Sequence[bytes]) -> str | None:
    """ "gpt2" or "multilingual" when `tokens` are exactly that vocabulary's ordinary tokens."""
    for name, count in N_TOKENS.items():
        if len(tokens) == count and all(len(token) < 256 for token in tokens):
            found = hashlib.sha256(packed(tokens)).hexdigest() == KNOWN_VOCABULARIES[name]
            return name if found else None
    return None


@cache
def published_vocabulary(name: str) -> tuple[bytes, ...]:
    """The ordinary tokens of "gpt2" (English-only models) or "multilingual"."""
    path = vocabulary_folder() / f"{name}.vocab"
    count = N_TOKENS[name]
    try:
        raw = zlib.decompressobj().decompress(path.read_bytes(), _MAX_BYTES)
    except (OSError, zlib.error) as error:
        raise CheckpointError(path, "", f"cannot read the vocabulary: {error}", "reinstall anyon") from None
    if hashlib.sha256(raw).hexdigest() != KNOWN_VOCABULARIES[name]:
        raise CheckpointError(path, "", "not the vocabulary this version was built with", "reinstall anyon")
    tokens: list[bytes] = []
    at = count
    for length in raw[:count]:
        tokens.append(raw[at : at + length])
        at += length
    return tuple(tokens)


def vocabulary_folder() -> Path:
    """sdk/anyon/blueprints/tokenizers, found without importing the SDK."""
    spec = importlib.util.find_spec("anyon")
    for root in (spec.submodule_search_locations if spec else None) or ():
        if (folder := Path(root) / "blueprints" / "tokenizers").is_dir():
            return folder
    return Path(__file__).parents[3] / "sdk" / "anyon" / "blueprints" / "tokenizers"

"""Writes the stored vocabularies from openai-whisper's gpt2.tiktoken and multilingual.tiktoken (MIT, see NOTICE there).

python -m anyon_export.checkpoints.make_vocabularies <folder with the two .tiktoken files> [output folder]
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zlib
from pathlib import Path

from .tokenizer import byte_text, merges_digest, recover_merges
from .vocabularies import N_TOKENS, packed, vocabulary_folder


def tiktoken_tokens(path: Path) -> list[bytes]:
    """Lines of `<base64 of the token> <id>` in id order -> tokens."""
    tokens: list[bytes] = []
    for line in path.read_text("ascii").splitlines():
        text, rank = line.rsplit(" ", 1)
        assert int(rank) == len(tokens), f"{path}: line {len(tokens) + 1} is out of order"
        tokens.append(base64.b64decode(text))
    return tokens


def main(arguments: list[str]) -> None:
    source = Path(arguments[0])
    output = Path(arguments[1]) if len(arguments) > 1 else vocabulary_folder()
    for name, count in N_TOKENS.items():
        tokens = tiktoken_tokens(source / f"{name}.tiktoken")
        assert len(tokens) == count, f"{name}: {len(tokens)} tokens"
        raw = packed(tokens)
        (output / f"{name}.vocab").write_bytes(zlib.compress(raw, 9))
        pairs = recover_merges(tokens)
        assert pairs is not None, f"{name}: ids are not merge ranks"
        merges = [f"{byte_text(tokens[a])} {byte_text(tokens[b])}" for a, b in pairs.tolist()]
        print(f"{name}: vocabulary {hashlib.sha256(raw).hexdigest()}")
        print(f"{name}: merges {merges_digest(merges)}, without the first {merges_digest(merges[1:])}")


if __name__ == "__main__":
    main(sys.argv[1:])

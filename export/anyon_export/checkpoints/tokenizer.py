"""Whisper's byte-level BPE vocabulary as data: token bytes, merges, specials, from every form it is published in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from .errors import DAMAGED, CheckpointError
from .files import integer, parse_json, read_bounded, read_json
from .languages import LANGUAGE_CODES, OLD_CODES
from .limits import MAX_TOKEN_BYTES, MAX_TOKENIZER_JSON_BYTES, MAX_VOCABULARY
from .vocabularies import KNOWN_MERGES, vocabulary_name

N_TIMESTAMPS: Final = 1501  # <|0.00|> .. <|30.00|> in steps of 0.02 s
Pairs = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class TokenizerData:
    """tokens[id] = raw bytes (the text itself for special tokens, empty for padding rows of the vocabulary).

    special: name -> id, without the timestamps, which follow <|notimestamps|>. merges: "id" when the rank of a merge
    is the id of the token it makes, else (m, 2) u32 token-id pairs in rank order.
    """

    tokens: list[bytes]
    special: dict[str, int]
    merges: Literal["id"] | Pairs = "id"

    @property
    def n_vocab(self) -> int:
        return len(self.tokens)

    @cached_property
    def offsets(self) -> npt.NDArray[np.uint32]:
        """(n_vocab + 1,) where each token starts in `data`."""
        ends = np.cumsum([len(token) for token in self.tokens], dtype=np.uint64)
        return np.concatenate([np.zeros(1, np.uint64), ends]).astype(np.uint32)

    @cached_property
    def data(self) -> npt.NDArray[np.uint8]:
        """All token bytes, joined."""
        return np.frombuffer(b"".join(self.tokens), np.uint8)

    @cached_property
    def ids(self) -> dict[bytes, int]:
        """Ordinary token -> id (the first id where a text occurs twice)."""
        special = set(self.special.values())
        end = min(special, default=len(self.tokens))
        return {token: i for i, token in reversed(list(enumerate(self.tokens[:end]))) if token and i not in special}

    @cached_property
    def _ranks(self) -> dict[tuple[int, int], tuple[int, int]] | None:
        if isinstance(self.merges, str):
            return None
        ranks: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, (left, right) in enumerate(self.merges.tolist()):
            ranks[(left, right)] = (rank, self.ids[self.tokens[left] + self.tokens[right]])
        return ranks

    def encode_piece(self, piece: bytes) -> list[int]:
        """Token ids of one piece of text as the pre-tokenizer cuts it. For rules over the vocabulary, not for speed."""
        return _merge(piece, self.ids, self._ranks)


def _merge(
    piece: bytes,
    ids: Mapping[bytes, int],
    ranks: Mapping[tuple[int, int], tuple[int, int]] | None,
    below: int | None = None,
) -> list[int]:
    """Byte-pair encoding of `piece`: join the lowest-ranked adjacent pair until none is left.

    Without `ranks` the rank of a pair is the id of the joined bytes. `below` keeps only results with a smaller id.
    """
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while len(parts) > 1:
        best: tuple[int, int] | None = None
        for i in range(len(parts) - 1):
            if ranks is None:
                rank = ids.get(parts[i] + parts[i + 1])
            else:
                found = ranks.get((ids[parts[i]], ids[parts[i + 1]]))
                rank = None if found is None else found[0]
            if rank is not None and (below is None or rank < below) and (best is None or rank < best[0]):
                best = (rank, i)
        if best is None:
            break
        i = best[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return [ids[part] for part in parts]


def recover_merges(tokens: Sequence[bytes]) -> Pairs | None:
    """The merges that a vocabulary in rank order implies: the last two parts of every token of two bytes or more.

    None when some token cannot be put together from earlier ones by that rule, so ids are not ranks.
    """
    ids: dict[bytes, int] = {}
    for i, token in enumerate(tokens):
        if token and token in ids:
            return None
        ids[token] = i
    if any(bytes([byte]) not in ids for byte in range(256)):
        return None
    pairs: list[list[int]] = []
    for i, token in enumerate(tokens):
        if len(token) > 1:
            parts = _merge(token, ids, None, below=i)
            if len(parts) != 2:
                return None
            pairs.append(parts)
    return np.array(pairs, np.uint32).reshape(-1, 2)


def special_tokens(n_vocab: int, path: Path) -> tuple[int, dict[str, int]]:
    """(number of ordinary tokens, special name -> id) for a published vocabulary size.

    51864: English-only (its 99 language tokens exist unused); 51865: 99 languages; 51866: 100 (large-v3 on).
    """
    ordinary = 50_256 if n_vocab == 51_864 else 50_257
    languages = n_vocab - ordinary - 8 - N_TIMESTAMPS
    if n_vocab not in (51_864, 51_865, 51_866):
        raise CheckpointError(
            path,
            "config field 'n_vocab'",
            f"{n_vocab} is none of the published 51864, 51865, 51866",
            "put its tokenizer.json beside the weights, as Hugging Face folders have it",
        )
    names = ["<|endoftext|>", "<|startoftranscript|>"]
    names += [f"<|{code}|>" for code in LANGUAGE_CODES[:languages]]
    names += [f"<|{name}|>" for name in ("translate", "transcribe", "startoflm", "startofprev", "nospeech")]
    names.append("<|notimestamps|>")
    return ordinary, {name: ordinary + i for i, name in enumerate(names)}


def tokenizer_from_tokens(tokens: Sequence[bytes], n_vocab: int, path: Path) -> TokenizerData:
    """A published-size tokenizer from its ordinary tokens alone; specials and timestamps follow by rule."""
    ordinary, special = special_tokens(n_vocab, path)
    if len(tokens) < ordinary:
        raise CheckpointError(path, "vocabulary", f"{len(tokens)} tokens, {ordinary} expected", DAMAGED)
    kept = list(tokens[:ordinary])
    merges: Literal["id"] | Pairs = "id"
    if vocabulary_name(kept) is None and recover_merges(kept) is None:
        raise CheckpointError(
            path, "vocabulary", "an unknown vocabulary without its merges", "put its tokenizer.json beside the weights"
        )
    return TokenizerData(kept + _tail(special, n_vocab), special, merges)


def tokenizer_from_vocabulary(
    vocabulary: Mapping[str, object],
    merges: Sequence[str],
    added: Mapping[str, int],
    n_vocab: int,
    path: Path,
) -> TokenizerData:
    """From Hugging Face's parts: byte-alphabet token -> id, merges "a b" in rank order, added (special) token -> id."""
    special = {_modern_name(name): i for name, i in added.items()}
    if "<|endoftext|>" not in special and isinstance(end := vocabulary.get("<|endoftext|>"), int):
        special["<|endoftext|>"] = integer(end, 0, n_vocab - 1, path, "<|endoftext|>")
    taken = set(special.values())
    if len(taken) != len(special):
        raise CheckpointError(path, "added tokens", "two of them share an id", DAMAGED)
    tokens: list[bytes | None] = [None] * n_vocab
    for text, value in vocabulary.items():
        i = integer(value, 0, n_vocab - 1, path, f"token {text[:40]!r}")
        if i in taken:
            continue
        if tokens[i] is not None:
            raise CheckpointError(path, f"token {text[:40]!r}", f"id {i} is used twice", DAMAGED)
        tokens[i] = _bytes_of(text, path)
    for name, i in special.items():
        tokens[i] = name.encode()
    first_stamp = special.get("<|notimestamps|>", n_vocab) + 1
    for k in range(N_TIMESTAMPS):
        if first_stamp + k < n_vocab and tokens[first_stamp + k] is None:
            tokens[first_stamp + k] = _timestamp(k)
    special = {name: i for name, i in special.items() if not first_stamp <= i < first_stamp + N_TIMESTAMPS}
    found = [token if token is not None else b"" for token in tokens]
    ordinary = found[: min(special.values(), default=n_vocab)]
    return TokenizerData(found, special, _checked_merges(merges, vocabulary, ordinary, path))


def read_tokenizer_json(path: Path, n_vocab: int) -> TokenizerData:
    """tokenizer.json as Hugging Face's tokenizers library writes it, for a byte-level BPE model."""
    root = read_json(path, MAX_TOKENIZER_JSON_BYTES)
    model = root.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        raise CheckpointError(path, "model", "not a byte-pair encoding", "is this Whisper's tokenizer?")
    vocabulary, merges, added_list = model.get("vocab"), model.get("merges"), root.get("added_tokens", [])
    if not isinstance(vocabulary, dict) or not isinstance(merges, list) or not isinstance(added_list, list):
        raise CheckpointError(path, "model", "vocab, merges or added_tokens missing or of the wrong kind", DAMAGED)
    added: dict[str, int] = {}
    for entry in added_list:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise CheckpointError(path, "added_tokens", "an entry without text", DAMAGED)
        added[_short(entry["content"], path)] = integer(entry.get("id"), 0, n_vocab - 1, path, "added_tokens")
    return tokenizer_from_vocabulary(vocabulary, _merge_lines(merges, path), added, n_vocab, path)


def read_vocab_and_merges(folder: Path, n_vocab: int) -> TokenizerData:
    """vocab.json + merges.txt (+ added_tokens.json), the older Hugging Face form."""
    vocabulary = read_json(folder / "vocab.json", MAX_TOKENIZER_JSON_BYTES)
    lines = _lines(folder / "merges.txt")
    merges = [line for line in lines if line and not line.startswith("#version")]
    added: dict[str, int] = {}
    extra = folder / "added_tokens.json"
    if extra.exists():
        for name, value in read_json(extra, MAX_TOKENIZER_JSON_BYTES).items():
            added[_short(name, extra)] = integer(value, 0, n_vocab - 1, extra, f"token {name[:40]!r}")
    path = folder / "vocab.json"
    return tokenizer_from_vocabulary(vocabulary, merges, added, n_vocab, path)


def read_vocabulary_list(path: Path, n_vocab: int) -> TokenizerData:
    """CTranslate2's vocabulary.json (a JSON list) or vocabulary.txt (one token a line) in the byte alphabet."""
    if path.suffix == ".json":
        entries = parse_json(read_bounded(path, MAX_TOKENIZER_JSON_BYTES), path)
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise CheckpointError(path, "", "a JSON list of tokens is expected", DAMAGED)
    else:
        entries = _lines(path)
    if len(entries) != n_vocab:
        raise CheckpointError(path, "", f"{len(entries)} tokens, the model has {n_vocab}", DAMAGED)
    ordinary, _ = special_tokens(n_vocab, path)
    return tokenizer_from_tokens([_bytes_of(entry, path) for entry in entries[:ordinary]], n_vocab, path)


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable letter for every byte: printable Latin-1 stands for itself, the rest starts at U+0100."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [byte for byte in range(256) if byte not in set(visible)]
    return {chr(b): b for b in visible} | {chr(0x100 + i): b for i, b in enumerate(shifted)}


_ALPHABET: Final = byte_alphabet()
_LETTERS: Final = {byte: character for character, byte in _ALPHABET.items()}


def byte_text(token: bytes) -> str:
    """A token's bytes -> the byte alphabet."""
    return "".join(_LETTERS[byte] for byte in token)


def _bytes_of(text: str, path: Path) -> bytes:
    """A token written in the byte alphabet -> its bytes."""
    if len(text) > MAX_TOKEN_BYTES:
        raise CheckpointError(path, f"token {text[:40]!r}...", f"longer than {MAX_TOKEN_BYTES} bytes", DAMAGED)
    try:
        return bytes(map(_ALPHABET.__getitem__, text))
    except KeyError:
        raise CheckpointError(
            path, f"token {text[:40]!r}", "not in the byte-level alphabet", "is this Whisper's tokenizer?"
        ) from None


def _short(name: str, path: Path) -> str:
    if len(name.encode("utf-8", "replace")) > MAX_TOKEN_BYTES:
        raise CheckpointError(path, f"added token {name[:40]!r}...", f"longer than {MAX_TOKEN_BYTES} bytes", DAMAGED)
    return name


def _lines(path: Path) -> list[str]:
    raw = read_bounded(path, MAX_TOKENIZER_JSON_BYTES)
    try:
        lines = raw.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise CheckpointError(path, "", "not UTF-8 text", DAMAGED) from None
    if lines and lines[-1] == "":
        lines.pop()
    if len(lines) > MAX_VOCABULARY:
        raise CheckpointError(path, "", f"more than {MAX_VOCABULARY} lines", DAMAGED)
    return [line.removesuffix("\r") for line in lines]


def _merge_lines(merges: list[Any], path: Path) -> list[str]:
    """Both published spellings of a merge, "a b" and ["a", "b"], as "a b"."""
    lines: list[str] = []
    for merge in merges:
        if isinstance(merge, list) and len(merge) == 2 and all(isinstance(part, str) for part in merge):
            merge = " ".join(merge)
        if not isinstance(merge, str):
            raise CheckpointError(path, f"merge {len(lines)}", "two tokens are expected", DAMAGED)
        lines.append(merge)
    return lines


def merges_digest(lines: Sequence[str]) -> str:
    """sha256 that vocabularies.KNOWN_MERGES holds: of the lines "a b" in the byte alphabet."""
    return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()


def _checked_merges(
    merges: Sequence[str], vocabulary: Mapping[str, object], ordinary: Sequence[bytes], path: Path
) -> Literal["id"] | Pairs:
    """ "id" for the published vocabularies with their published merges, else the pairs after a check of each.

    `vocabulary` ids are checked ints; `ordinary` are the tokens below the first special one.
    """
    name = vocabulary_name(ordinary)
    if name is not None and merges_digest(merges) in KNOWN_MERGES[name]:
        return "id"
    for character, byte in _ALPHABET.items():
        if not isinstance(i := vocabulary.get(character), int) or i >= len(ordinary):
            raise CheckpointError(path, "vocabulary", f"no token for byte {byte}", "is this Whisper's tokenizer?")
    pairs = np.empty((len(merges), 2), np.uint32)
    for rank, line in enumerate(merges):
        left, _, right = line.partition(" ")
        ids = [vocabulary.get(text) for text in (left, right, left + right)]
        known = [i for i in ids if isinstance(i, int) and i < len(ordinary)]
        if len(known) != 3:
            raise CheckpointError(path, f"merge {rank}", f"{line[:80]!r} is not in the vocabulary", DAMAGED)
        pairs[rank] = known[:2]
    return pairs


def _modern_name(name: str) -> str:
    """Older published tokenizers call no-speech <|nocaptions|> and Hebrew <|iw|>."""
    if name == "<|nocaptions|>":
        return "<|nospeech|>"
    if name.startswith("<|") and name.endswith("|>") and name[2:-2] in OLD_CODES:
        return f"<|{OLD_CODES[name[2:-2]]}|>"
    return name


def _timestamp(k: int) -> bytes:
    return f"<|{k // 50}.{k % 50 * 2:02d}|>".encode()


def _tail(special: Mapping[str, int], n_vocab: int) -> list[bytes]:
    """The bytes of specials (in id order) and timestamps up to n_vocab."""
    names = [name.encode() for name in sorted(special, key=special.__getitem__)]
    ordinary = min(special.values())
    return names + [_timestamp(k) for k in range(n_vocab - ordinary - len(names))]

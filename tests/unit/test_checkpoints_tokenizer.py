"""Vocabularies, special tokens, languages, suppressed tokens and alignment heads are the published ones."""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import importlib.util
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkpoint_writers import models_folder, real_model

from anyon_export.checkpoints import CheckpointError, TokenizerData
from anyon_export.checkpoints.files import read_json
from anyon_export.checkpoints.generation import generation_settings, non_speech_tokens
from anyon_export.checkpoints.languages import LANGUAGE_CODES, LANGUAGES
from anyon_export.checkpoints.make_vocabularies import main as make_vocabularies
from anyon_export.checkpoints.published import PUBLISHED, default_alignment_heads, published_name
from anyon_export.checkpoints.tokenizer import (
    byte_text,
    merges_digest,
    recover_merges,
    special_tokens,
    tokenizer_from_tokens,
)
from anyon_export.checkpoints.vocabularies import KNOWN_MERGES, N_TOKENS, published_vocabulary, vocabulary_folder

HERE = Path("test")
SIZES = {51_864: "gpt2", 51_865: "multilingual", 51_866: "multilingual"}
CONFIG = {"n_text_ctx": 448, "n_audio_ctx": 1500, "n_text_layer": 4, "n_text_head": 6, "n_text_state": 384}


def published(n_vocab: int) -> TokenizerData:
    return tokenizer_from_tokens(published_vocabulary(SIZES[n_vocab]), n_vocab, HERE)


def settings_of(n_vocab: int) -> dict[str, Any]:
    return generation_settings({**CONFIG, "n_vocab": n_vocab}, published(n_vocab), [[3, 0]], HERE)


@pytest.mark.parametrize(
    ("n_vocab", "expected"),
    [
        (51_864, {"eot": 50256, "sot": 50257, "sot_lm": 50359, "no_timestamps": 50362, "timestamp_begin": 50363}),
        (51_865, {"eot": 50257, "sot": 50258, "sot_lm": 50360, "no_timestamps": 50363, "timestamp_begin": 50364}),
        (51_866, {"eot": 50257, "sot": 50258, "sot_lm": 50361, "no_timestamps": 50364, "timestamp_begin": 50365}),
    ],
)
def test_special_token_ids(n_vocab: int, expected: dict[str, int]) -> None:
    found = settings_of(n_vocab)
    assert {name: found[name] for name in expected} == expected
    assert found["sot_prev"] == expected["sot_lm"] + 1
    assert found["no_speech"] == expected["sot_lm"] + 2
    tasks = (None, None) if n_vocab == 51_864 else (expected["sot_lm"] - 2, expected["sot_lm"] - 1)
    assert (found["translate"], found["transcribe"]) == tasks
    assert found["multilingual"] == (n_vocab > 51_864)
    assert found["begin_suppress_tokens"] == [220, expected["eot"]]
    tokens = published(n_vocab).tokens
    assert len(tokens) == n_vocab
    assert tokens[expected["timestamp_begin"]] == b"<|0.00|>"
    assert tokens[expected["timestamp_begin"] + 51] == b"<|1.02|>"
    assert tokens[-1] == b"<|30.00|>"


def test_languages_by_model() -> None:
    assert settings_of(51_864)["languages"] == {}
    v2, v3 = settings_of(51_865)["languages"], settings_of(51_866)["languages"]
    assert list(v2) == list(LANGUAGE_CODES[:99])
    assert list(v3) == list(LANGUAGE_CODES)
    assert (v2["en"], v2["zh"], v2["de"], v2["he"], v2["haw"], v2["su"]) == (50259, 50260, 50261, 50279, 50352, 50357)
    assert v3["yue"] == 50358
    assert len(LANGUAGES) == len(set(LANGUAGE_CODES)) == len({name for _, name in LANGUAGES}) == 100


def test_other_vocabulary_sizes_need_a_tokenizer() -> None:
    with pytest.raises(CheckpointError, match=r"1234 is none of the published.*tokenizer.json"):
        special_tokens(1_234, HERE)


@pytest.mark.parametrize("name", sorted(N_TOKENS))
def test_ids_are_merge_ranks_in_the_published_vocabularies(name: str) -> None:
    """So "id" stands for the merge list: recovered from the ids, it is the published one."""
    tokens = published_vocabulary(name)
    pairs = recover_merges(tokens)
    assert pairs is not None
    assert len(pairs) == 50_000
    lines = [f"{byte_text(tokens[a])} {byte_text(tokens[b])}" for a, b in pairs.tolist()]
    assert merges_digest(lines) == KNOWN_MERGES[name][0]
    if name == "multilingual":  # Hugging Face's list lacks the first
        assert merges_digest(lines[1:]) == KNOWN_MERGES[name][1]
        assert lines[0] == "Ġ t"


def test_merges_are_not_recovered_from_a_vocabulary_out_of_order() -> None:
    letters = [bytes([byte]) for byte in range(256)]
    assert recover_merges([*letters, b"ab", b"abc"]) is not None
    assert recover_merges([*letters, b"abc", b"ab"]) is None
    assert recover_merges([*letters, b"ab", b"ab"]) is None
    assert recover_merges(letters[1:]) is None


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (b" the", [b" the"]),
        (b" transcription", [b" transcription"]),
        (b" (\xe2\x99\xaa", [b" (", b"\xe2\x99\xaa"]),
        (b"", []),
        (b"\xff", [b"\xff"]),
    ],
)
def test_encode_piece(text: bytes, tokens: list[bytes]) -> None:
    tokenizer = published(51_865)
    assert [tokenizer.tokens[i] for i in tokenizer.encode_piece(text)] == tokens


def test_explicit_merges_give_the_same_tokens_as_ids() -> None:
    tokens = published_vocabulary("gpt2")
    by_id = published(51_864)
    pairs = recover_merges(tokens)
    assert pairs is not None
    by_pairs = TokenizerData(by_id.tokens, by_id.special, pairs)
    for text in (b" extraordinary", b"unbelievably", b" \xe2\x99\xaa\xe2\x99\xaa", "日本語".encode(), b"((("):
        assert by_pairs.encode_piece(text) == by_id.encode_piece(text)


def test_offsets_and_data_hold_the_tokens() -> None:
    tokenizer = published(51_866)
    offsets, data = tokenizer.offsets, tokenizer.data
    assert (offsets.dtype, data.dtype, offsets.shape) == (np.uint32, np.uint8, (51_867,))
    for i in (0, 220, 256, 50_256, 50_257, 51_865):
        assert data[offsets[i] : offsets[i + 1]].tobytes() == tokenizer.tokens[i]


def test_stored_vocabularies_are_small_and_have_their_notice() -> None:
    files = {path.name: path.stat().st_size for path in vocabulary_folder().iterdir()}
    assert sum(files.values()) < 450_000
    assert "Copyright (c) 2022 OpenAI" in (vocabulary_folder() / "NOTICE").read_text()


# How many, and sha256 of the comma-separated ids, that Hugging Face and CTranslate2 publish as suppress_tokens.
PUBLISHED_SUPPRESSED = {
    51_864: (90, "f084ead54b6826d00ff742abdc61d7268df65ff39d53a61b5401ecf215be25d1"),
    51_865: (88, "14be0c7b8d409363702272321cdddc82c4e910c0f0a5bd1a562826b529665bc0"),
}


@pytest.mark.parametrize("n_vocab", sorted(PUBLISHED_SUPPRESSED))
def test_suppressed_tokens_by_rule_are_the_published_lists(n_vocab: int) -> None:
    suppressed = settings_of(n_vocab)["suppress_tokens"]
    digest = hashlib.sha256(",".join(map(str, suppressed)).encode()).hexdigest()
    assert (len(suppressed), digest) == PUBLISHED_SUPPRESSED[n_vocab]


def test_suppressed_tokens_equal_those_a_ctranslate2_config_states() -> None:
    for name, n_vocab in (("tiny.en-ct2", 51_864), ("base-ct2", 51_865)):
        folder = real_model(name, "any CTranslate2 conversion of that model")
        stated = read_json(folder / "config.json", 1 << 20)["suppress_ids"]
        assert settings_of(n_vocab)["suppress_tokens"] == sorted(stated), name


def test_non_speech_tokens_spare_ordinary_punctuation() -> None:
    tokenizer = published(51_865)
    suppressed = {tokenizer.tokens[i] for i in non_speech_tokens(tokenizer)}
    assert {b"[", b" (", b"\xe2\x99\xaa", b" -", b" '"} <= suppressed
    assert not {b".", b",", b"?", b"!", b"-", b"'", b" a"} & suppressed


def test_alignment_heads_of_every_published_size() -> None:
    for model in PUBLISHED:
        heads = {"n_text_state": model.n_text_state, "n_text_layer": model.n_text_layer, "n_vocab": model.n_vocab}
        config = {**heads, "n_text_head": model.n_text_state // 64}
        found = default_alignment_heads(config, f"openai-{model.name}.bin", lambda sha=model.sha256: sha)
        assert found == [list(pair) for pair in model.alignment_heads]
        assert all(layer < model.n_text_layer and head < model.n_text_state // 64 for layer, head in found)
        assert default_alignment_heads(config, f"ggml-{model.name}.bin") == found
        assert published_name(model.sha256) == model.name


def test_alignment_heads_of_an_unknown_size_are_the_later_half() -> None:
    config = {"n_text_state": 128, "n_text_layer": 3, "n_vocab": 51_865, "n_text_head": 2}
    assert default_alignment_heads(config) == [[1, 0], [1, 1], [2, 0], [2, 1]]


# --- against openai-whisper's own files -------------------------------------------------------------------------------


def openai_source() -> Path:
    """openai-whisper's package folder: installed, or unpacked as $ANYON_TEST_MODELS/oa/whisper."""
    spec = importlib.util.find_spec("whisper")
    places = [Path(spec.origin).parent] if spec and spec.origin else []
    if (folder := models_folder()) is not None:
        places.append(folder / "oa" / "whisper")
    for place in places:
        if (place / "assets" / "multilingual.tiktoken").exists():
            return place
    pytest.skip("openai-whisper not found: unpack its sdist as $ANYON_TEST_MODELS/oa, or pip install openai-whisper")


def literal(path: Path, name: str) -> Any:
    """The value of a literal assigned to `name` at the top of a Python file, without running it."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} assigns no {name}")


def test_stored_vocabularies_are_what_the_generator_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_vocabularies([str(openai_source() / "assets"), str(tmp_path)])
    printed = capsys.readouterr().out
    for name in N_TOKENS:
        written, stored = ((folder / f"{name}.vocab").read_bytes() for folder in (tmp_path, vocabulary_folder()))
        assert zlib.decompress(written) == zlib.decompress(stored)
        assert KNOWN_MERGES[name][0] in printed


def test_language_list_is_openais() -> None:
    theirs = literal(openai_source() / "tokenizer.py", "LANGUAGES")
    assert list(theirs.items()) == list(LANGUAGES)


def test_alignment_heads_and_hashes_are_openais() -> None:
    source = openai_source() / "__init__.py"
    masks, urls = literal(source, "_ALIGNMENT_HEADS"), literal(source, "_MODELS")
    for model in PUBLISHED:
        flat = np.frombuffer(gzip.decompress(base64.b85decode(masks[model.name])), bool)
        mask = flat.reshape(model.n_text_layer, model.n_text_state // 64)
        assert [tuple(pair) for pair in np.argwhere(mask).tolist()] == list(model.alignment_heads)
        assert urls[model.name].split("/")[-2] == model.sha256
    assert {model.name for model in PUBLISHED} == set(masks) - {"large", "turbo"}

"""Writes the expected values that the front ends' C++ tests read, from the reference implementations.

Needs transformers, torch, tokenizers, openai-whisper; run by hand when a case is added: python make_frontend_data.py
"""

import random
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def test_signal(samples: int) -> np.ndarray:
    """Deterministic noise with a swelling tone, float32 (samples,): the C++ tests compute the same."""
    state = 1
    out = np.empty(samples, np.float32)
    for i in range(samples):
        state = (state * 1664525 + 1013904223) % 2**32
        noise = np.float32(state >> 8) / np.float32(2**24) - np.float32(0.5)
        tone = np.float32((i * 7) % 100) / np.float32(100) - np.float32(0.5)  # a sawtooth of 1120 Hz
        out[i] = noise * np.float32(0.02) + tone * (np.float32(i % 8000) / np.float32(16000))
    return out


def write_log_mel() -> None:
    """WhisperFeatureExtractor's features of test_signal, a few frames: lines `n_mels frame band value`."""
    from transformers import WhisperFeatureExtractor

    samples = 40000
    frames = [0, 1, 2, 3, 57, 120, 247, 248, 249, 250, 251, 252, 2000, 2999]
    audio = np.pad(test_signal(samples), (0, 480000 - samples))
    lines = [f"# WhisperFeatureExtractor (numpy path) of test_signal({samples}): n_mels, frame, values of every band"]
    for n_mels in (80, 128):
        extractor = WhisperFeatureExtractor(feature_size=n_mels)
        features = extractor._np_extract_fbank_features(audio[None], "cpu")[0]
        for frame in frames:
            lines.append(f"{n_mels}\t{frame}\t" + " ".join(f"{v:.7g}" for v in features[:, frame]))
    (HERE / "log_mel.tsv").write_text("\n".join(lines) + "\n")


SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|notimestamps|>"]
TIMESTAMPS = ["<|0.00|>", "<|0.02|>"]
LANGUAGES = ["en", "fr", "ja", "zh", "th"]

TEXTS = [
    "",
    " ",
    "\n",
    "Hello, world! It's a test; we'll see: they've 'llama' I'd d'accord. Don't 'S 'x '",
    "  leading  spaces\n\n\tand tabs \r\n end  ",
    "The quick brown fox jumps over the lazy dog, and then the other dogs sleep there until the morning.",
    "¿Qué tal? Ça va très bien, merci. Größe ß Œuvre, l'été dernier nous étions à la mer.",
    "Привет, как дела? Всё хорошо — «да». Сегодня хорошая погода.",
    "日本語のテキストです。東京タワーに行きました。とても楽しかったです。",
    "中文文本,没有空格。你好!今天天气很好。",
    "한국어 텍스트 예제입니다.",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "العربية من اليمين إلى اليسار ١٢٣ עברית हिन्दी में पाठ ४५६",
    "emoji 👩‍👩‍👧‍👦 🇩🇪 ✨✨ ♪♪♪ 1234567890 3.14159 2026-11-23 ½ ² Ⅳ ①② 𝔘𝔫𝔦 𝟘𝟙",
    "a\u00a0b\u3000c\u2028d\u0085e\u200bf\u001cg \u0301e\u0301 \ufffd ﬁ",
    "<|endoftext|> <|startoftranscript|><|en|><|notimestamps|> hi <|0.00|> x <|nope|> <|en|",
    "AAAAaaaaAAAA" * 20,
    "... !!! ?! -- (parenthesised) [brackets] {braces} \"quoted\" 'single' e.g. 50% #1 @home a_b a/b",
]


def random_texts(count: int) -> list[str]:
    """Text of every script and of none."""
    generator = random.Random(1)
    ranges = [(0x20, 0x7F), (9, 14), (0x20, 0x21), (0xA0, 0x250), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE80)]
    ranges += [
        (0x2000, 0x2C00),
        (0x3000, 0x3200),
        (0x4E00, 0x4F00),
        (0x1D400, 0x1D800),
        (0x1F300, 0x1FA00),
        (0, 0x110000),
    ]
    texts = []
    for _ in range(count):
        text = ""
        while len(text) < generator.randint(1, 40):
            first, end = generator.choice(ranges)
            points = [generator.randrange(first, end) for _ in range(generator.choice((1, 1, 2, 5)))]
            text += "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)
        texts.append(text)
    return texts


def write_tokenizer() -> None:
    """A small byte-level BPE trained on TEXTS, and what tokenizers and openai-whisper make of texts with it.

    Lines: `encode|special <hex of UTF-8> <ids>`, `words <language> <ids> <words as hex> <tokens in each word>`.
    """
    import tiktoken
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from whisper.tokenizer import Tokenizer as WhisperTokenizer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 2, trainer)
    ordinary = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens(TIMESTAMPS)
    (HERE / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")

    lines = ["# what tokenizers and openai-whisper make of texts with tokenizer.json; see make_frontend_data.py"]
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.encode_special_tokens = True
    texts = TEXTS + random_texts(80)
    for text in texts:
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        lines.append(f"special\t{text.encode().hex()}\t{' '.join(map(str, ids))}")
        if not any(name in text for name in SPECIAL + TIMESTAMPS):
            ids = plain.encode(text).ids
            lines.append(f"encode\t{text.encode().hex()}\t{' '.join(map(str, ids))}")

    byte_of = {letter: byte for byte, letter in byte_letters().items()}
    ranks = {bytes(byte_of[letter] for letter in tokenizer.id_to_token(i)): i for i in range(ordinary)}
    special = {name: ordinary + i for i, name in enumerate(SPECIAL + TIMESTAMPS)}
    encoding = tiktoken.Encoding("small", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens=special)
    generator = random.Random(2)
    for text in texts[:40]:
        for language in LANGUAGES:
            whisper = WhisperTokenizer(encoding, 99, language=None, task=None)
            whisper.language = language
            ids = plain.encode(text).ids
            ids = ids[generator.choice((0, 0, len(ids) // 3, len(ids) // 2)) :]
            ids.append(special["<|endoftext|>"])
            words, groups = whisper.split_to_word_tokens(ids)
            if "\ufffd" in "".join(words):
                continue  # a broken character: openai-whisper may lose the tokens after it, we keep them
            fields = [language, " ".join(map(str, ids)), " ".join(word.encode().hex() for word in words)]
            lines.append("\t".join(["words", *fields, " ".join(str(len(group)) for group in groups)]))
    (HERE / "tokenizer.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_zlib() -> None:
    """Sizes that zlib gives: lines `<hex of the unit> <times it is repeated> <len(zlib.compress(...))>`."""
    generator = random.Random(3)
    units = [text.encode() for text in TEXTS if text] + [" ".join(TEXTS).encode()]
    units += [bytes(generator.randrange(256) for _ in range(size)) for size in (1, 2, 3, 20, 300)]
    units += [bytes(generator.choice(b"ab") for _ in range(size)) for size in (50, 400)]
    units += [" ".join(generator.choices(" ".join(TEXTS[3:9]).split(), k=60)).encode() for _ in range(20)]
    units += [b"a", b"you ", "♪".encode(), "はい。".encode(), b"Thank you. "]
    lines = ["# len(zlib.compress(unit * times)): hex of the unit, times, size", "\t1\t8"]
    for unit in units:
        for times in (1, 3, 40, 3000):
            if len(unit) * times <= 300000:
                lines.append(f"{unit.hex()}\t{times}\t{len(zlib.compress(unit * times))}")
    (HERE / "zlib.tsv").write_text("\n".join(lines) + "\n")


def byte_letters() -> dict[int, str]:
    """GPT-2's letter for every byte."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(0x100 + i) for i, byte in enumerate(shifted)}


if __name__ == "__main__":
    write_log_mel()
    write_tokenizer()
    write_zlib()

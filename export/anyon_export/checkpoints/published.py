"""What OpenAI published beside the weights: file hashes and which cross-attention heads follow the audio.

Source of both: openai-whisper 20250625 (MIT), whisper/__init__.py; the head masks there are base85 text of compressed
boolean arrays, here they stand as plain (layer, head) pairs. A test decodes the original and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Published:
    """One of OpenAI's models: `sha256` of its .pt, sizes that tell it from the others, its alignment heads."""

    name: str
    sha256: str
    n_text_state: int
    n_text_layer: int
    n_vocab: int
    alignment_heads: tuple[tuple[int, int], ...]


# fmt: off
PUBLISHED: Final[tuple[Published, ...]] = (
    Published(
        "tiny.en",
        "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03",
        384, 4, 51864,
        ((1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)),
    ),
    Published(
        "tiny",
        "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9",
        384, 4, 51865,
        ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)),
    ),
    Published(
        "base.en",
        "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead",
        512, 6, 51864,
        ((3, 3), (4, 7), (5, 1), (5, 5), (5, 7)),
    ),
    Published(
        "base",
        "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e",
        512, 6, 51865,
        ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)),
    ),
    Published(
        "small.en",
        "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872",
        768, 12, 51864,
        ((6, 6), (7, 0), (7, 3), (7, 8), (8, 2), (8, 5), (8, 7), (9, 0), (9, 4), (9, 8), (9, 10), (10, 0), (10,
         1), (10, 2), (10, 3), (10, 6), (10, 11), (11, 2), (11, 4)),
    ),
    Published(
        "small",
        "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794",
        768, 12, 51865,
        ((5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)),
    ),
    Published(
        "medium.en",
        "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f",
        1024, 24, 51864,
        ((11, 4), (14, 1), (14, 12), (14, 14), (15, 4), (16, 0), (16, 4), (16, 9), (17, 12), (17, 14), (18, 7),
         (18, 10), (18, 15), (20, 0), (20, 3), (20, 9), (20, 14), (21, 12)),
    ),
    Published(
        "medium",
        "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1",
        1024, 24, 51865,
        ((13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)),
    ),
    Published(
        "large-v1",
        "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a",
        1280, 32, 51865,
        ((9, 19), (11, 2), (11, 4), (11, 17), (22, 7), (22, 11), (22, 17), (23, 2), (23, 15)),
    ),
    Published(
        "large-v2",
        "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524",
        1280, 32, 51865,
        ((10, 12), (13, 17), (16, 11), (16, 12), (16, 13), (17, 15), (17, 16), (18, 4), (18, 11), (18, 19), (19,
         11), (21, 2), (21, 3), (22, 3), (22, 9), (22, 12), (23, 5), (23, 7), (23, 13), (25, 5), (26, 1), (26,
         12), (27, 15)),
    ),
    Published(
        "large-v3",
        "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb",
        1280, 32, 51866,
        ((7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6)),
    ),
    Published(
        "large-v3-turbo",
        "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a",
        1280, 4, 51866,
        ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)),
    ),
)
# fmt: on


def published_name(sha256: str) -> str | None:
    """The model whose .pt has this hash."""
    return next((model.name for model in PUBLISHED if model.sha256 == sha256), None)


def default_alignment_heads(
    config: Mapping[str, int], file_name: str = "", sha256: Callable[[], str] | None = None
) -> list[list[int]]:
    """Alignment heads for a checkpoint that states none: the published ones of its size, else every head of the later
    half of the decoder (what openai-whisper does).

    large-v1 and large-v2 have the same sizes: `sha256`, asked only then, tells the originals apart, then the file's
    name; large-v2 otherwise.
    """
    sizes = (config["n_text_state"], config["n_text_layer"], config["n_vocab"])
    found = [m for m in PUBLISHED if (m.n_text_state, m.n_text_layer, m.n_vocab) == sizes]
    if len(found) > 1:
        name = published_name(sha256()) if sha256 else None
        if name is None:
            name = "large-v1" if "large-v1" in file_name else "large-v2"
        found = [m for m in found if m.name == name]
    if found:
        return [[layer, head] for layer, head in found[0].alignment_heads]
    layers, heads = config["n_text_layer"], config["n_text_head"]
    return [[layer, head] for layer in range(layers // 2, layers) for head in range(heads)]

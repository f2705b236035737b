"""Every limit the checkpoint readers enforce before they allocate. All far above any published Whisper."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Text that is parsed into Python objects (a parsed byte can cost twenty-five).
MAX_CONFIG_JSON_BYTES: Final = 1 * MIB
MAX_INDEX_JSON_BYTES: Final = 4 * MIB
MAX_TOKENIZER_JSON_BYTES: Final = 8 * MIB  # published: 2.1 to 3.9 MB
MAX_SAFETENSORS_HEADER_BYTES: Final = 4 * MIB  # large-v3: 0.2 MB; the format itself allows 100 MB
MAX_README_BYTES: Final = 64 * KIB

# Containers.
MAX_TENSORS: Final = 10_000  # large-v3: 1,259
MAX_RANK: Final = 4
MAX_NAME_BYTES: Final = 512
MAX_DIMENSION: Final = 2**31 - 1
MAX_SHARDS: Final = 256
MAX_ZIP_ENTRIES: Final = 10_000
MAX_ZIP_DIRECTORY_BYTES: Final = 4 * MIB

# The tensor pickle inside an OpenAI .pt (large-v3: 0.2 MB, 50,000 steps).
MAX_PICKLE_BYTES: Final = 4 * MIB
MAX_PICKLE_STEPS: Final = 1_000_000

# Vocabularies.
MAX_VOCABULARY: Final = 262_144
MAX_TOKEN_BYTES: Final = 1_024

# Model sizes: field -> (smallest, largest).
CONFIG_RANGES: Final[dict[str, tuple[int, int]]] = {
    "n_mels": (1, 512),
    "n_audio_ctx": (1, 32_768),
    "n_audio_state": (1, 16_384),
    "n_audio_head": (1, 1_024),
    "n_audio_layer": (1, 128),
    "n_vocab": (1, MAX_VOCABULARY),
    "n_text_ctx": (1, 32_768),
    "n_text_state": (1, 16_384),
    "n_text_head": (1, 1_024),
    "n_text_layer": (1, 128),
}

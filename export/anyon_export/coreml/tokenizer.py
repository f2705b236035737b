"""tokenizer.json in the form of Hugging Face's tokenizers library, which Swift packages read too."""

from __future__ import annotations

import json

from anyon_export.checkpoints.tokenizer import TokenizerData, byte_text, recover_merges


def tokenizer_json(tokenizer: TokenizerData) -> str:
    """Byte-level BPE: ordinary tokens in the byte alphabet, special tokens and timestamps as they read."""
    special = set(tokenizer.special.values())
    ordinary = min(special, default=tokenizer.n_vocab)
    tokens = tokenizer.tokens
    pairs = recover_merges(tokens[:ordinary]) if isinstance(tokenizer.merges, str) else tokenizer.merges
    if pairs is None:
        raise ValueError("tokenizer: its merges are not those that its ids imply")
    split = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token,
                "content": tokens[token].decode(),
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": token in special,
            }
            for token in range(ordinary, tokenizer.n_vocab)
            if tokens[token]
        ],
        "normalizer": None,
        "pre_tokenizer": split,
        "post_processor": None,
        "decoder": split,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {byte_text(token): i for i, token in enumerate(tokens[:ordinary])},
            "merges": [[byte_text(tokens[left]), byte_text(tokens[right])] for left, right in pairs.tolist()],
        },
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

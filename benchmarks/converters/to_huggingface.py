"""Any checkpoint anyon reads -> a Hugging Face Whisper folder (f32 safetensors), which the other converters start from.

python to_huggingface.py CHECKPOINT OUTPUT      (run in the environment "torch")
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "export"))
from anyon_export.checkpoints import Checkpoint, load
from anyon_export.checkpoints.huggingface import published_to_ours

TASKS = {"transcribe": "<|transcribe|>", "translate": "<|translate|>"}


def config_of(checkpoint: Checkpoint) -> WhisperConfig:
    sizes, special = checkpoint.config, checkpoint.tokenizer.special
    width, end = sizes["n_audio_state"], special["<|endoftext|>"]
    return WhisperConfig(
        vocab_size=sizes["n_vocab"],
        num_mel_bins=sizes["n_mels"],
        d_model=width,
        encoder_layers=sizes["n_audio_layer"],
        encoder_attention_heads=sizes["n_audio_head"],
        encoder_ffn_dim=4 * width,
        decoder_layers=sizes["n_text_layer"],
        decoder_attention_heads=sizes["n_text_head"],
        decoder_ffn_dim=4 * width,
        max_source_positions=sizes["n_audio_ctx"],
        max_target_positions=sizes["n_text_ctx"],
        decoder_start_token_id=special["<|startoftranscript|>"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


def generation_of(checkpoint: Checkpoint) -> GenerationConfig:
    special, ours = checkpoint.tokenizer.special, checkpoint.generation
    end = special["<|endoftext|>"]
    multilingual = checkpoint.config["n_vocab"] >= 51865
    fields: dict[str, Any] = {
        "decoder_start_token_id": special["<|startoftranscript|>"],
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "max_length": checkpoint.config["n_text_ctx"],
        "max_initial_timestamp_index": 50,
        "no_timestamps_token_id": special["<|notimestamps|>"],
        "prev_sot_token_id": special["<|startofprev|>"],
        "return_timestamps": False,
        "is_multilingual": multilingual,
        "suppress_tokens": list(ours["suppress_tokens"]),
        "begin_suppress_tokens": list(ours["begin_suppress_tokens"]),
        "alignment_heads": [list(head) for head in ours["alignment_heads"]],
    }
    if multilingual:
        first, last = special["<|startoftranscript|>"] + 1, special["<|translate|>"]
        fields["lang_to_id"] = {name: token for name, token in special.items() if first <= token < last}
        fields["task_to_id"] = {task: special[name] for task, name in TASKS.items()}
    return GenerationConfig(**fields)


def main() -> None:
    source, output = Path(sys.argv[1]), Path(sys.argv[2])
    checkpoint = load(source)
    model = WhisperForConditionalGeneration(config_of(checkpoint))
    state = model.state_dict()
    with torch.no_grad():
        for name, parameter in state.items():
            ours = "decoder.token_embedding.weight" if name == "proj_out.weight" else published_to_ours(name)
            parameter.copy_(torch.from_numpy(np.array(checkpoint.tensors[ours], dtype=np.float32)))
    model.generation_config = generation_of(checkpoint)
    model.save_pretrained(output)
    WhisperFeatureExtractor(feature_size=checkpoint.config["n_mels"]).save_pretrained(output)
    tokenizer_file = source / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise SystemExit(f"{source}: no tokenizer.json, which OpenVINO's tokenizer is made from")
    names = {f"{role}_token": "<|endoftext|>" for role in ("bos", "eos", "pad", "unk")}
    WhisperTokenizer(tokenizer_file=str(tokenizer_file), **names).save_pretrained(output)


if __name__ == "__main__":
    main()

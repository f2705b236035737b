"""openai-whisper's .pt -> encoder.onnx and decoder.onnx for ONNX Runtime: dynamic int8, weights per channel.

python to_onnxruntime.py OPENAI_PT OUTPUT      (run in the environment "torch")

The graphs suit a tight greedy loop: the encoder ends with the cross-attention's keys and values in the layout the
decoder multiplies, the decoder's cache grows by concatenation, and only the last position meets the output head.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from onnx_tools import Axes, export, load_openai, quantise, tokenizer_of, write_tokens
from torch import Tensor, nn
from whisper.model import MultiHeadAttention, Whisper


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(batch, time, width) -> (batch, heads, time, head_dim)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(attention: MultiHeadAttention, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """keys (batch, heads, head_dim, past), values (batch, heads, past, head_dim)."""
    query = split_heads(attention.query(x), attention.n_head) * keys.shape[2] ** -0.5
    scores = query @ keys
    if mask is not None:
        scores = scores + mask
    return attention.out((scores.softmax(-1) @ values).transpose(1, 2).flatten(2))


class Encoder(nn.Module):
    def __init__(self, model: Whisper):
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor) -> list[Tensor]:
        audio = self.model.encoder(mel)
        crossed = []
        for block in self.model.decoder.blocks:
            heads = block.cross_attn.n_head
            crossed.append(split_heads(block.cross_attn.key(audio), heads).transpose(2, 3))
            crossed.append(split_heads(block.cross_attn.value(audio), heads))
        return crossed


class Decoder(nn.Module):
    def __init__(self, model: Whisper):
        super().__init__()
        self.decoder = model.decoder

    def forward(self, tokens: Tensor, past: list[Tensor], cross: list[Tensor]) -> list[Tensor]:
        start, time = past[1].shape[2], tokens.shape[1]
        x = self.decoder.token_embedding(tokens) + self.decoder.positional_embedding[start : start + time]
        mask = self.decoder.mask[start : start + time, : start + time]
        present = []
        for layer, block in enumerate(self.decoder.blocks):
            normed, heads = block.attn_ln(x), block.attn.n_head
            keys = torch.cat([past[2 * layer], split_heads(block.attn.key(normed), heads).transpose(2, 3)], 3)
            values = torch.cat([past[2 * layer + 1], split_heads(block.attn.value(normed), heads)], 2)
            present += [keys, values]
            x = x + attend(block.attn, normed, keys, values, mask)
            x = x + attend(block.cross_attn, block.cross_attn_ln(x), cross[2 * layer], cross[2 * layer + 1], None)
            x = x + block.mlp(block.mlp_ln(x))
        last = self.decoder.ln(x[:, -1:])
        return [last @ self.decoder.token_embedding.weight.T, *present]


def decoding(model: Whisper) -> dict[str, object]:
    """The prompt, and what openai-whisper suppresses at every step and at the first."""
    tokenizer = tokenizer_of(model)
    special = ("transcribe", "translate", "sot", "sot_prev", "sot_lm", "no_speech")
    timestamps = range(tokenizer.timestamp_begin, model.dims.n_vocab)
    return {
        "prompt": list(tokenizer.sot_sequence_including_notimestamps),
        "end": tokenizer.eot,
        "limit": model.dims.n_text_ctx // 2,
        "suppress": sorted({*tokenizer.non_speech_tokens, *(getattr(tokenizer, n) for n in special), *timestamps}),
        "suppress_first": [*tokenizer.encode(" "), tokenizer.eot],
    }


def main() -> None:
    model, output = load_openai(Path(sys.argv[1])), Path(sys.argv[2])
    output.mkdir(parents=True, exist_ok=True)
    dims = model.dims
    layers, heads = dims.n_text_layer, dims.n_text_head
    head_dim = dims.n_text_state // heads
    kinds = [f"{kind}_{layer}" for layer in range(layers) for kind in ("key", "value")]
    cross = [f"cross_{kind}" for kind in kinds]

    plain = output / "encoder.f32.onnx"
    export(Encoder(model), [torch.zeros(1, dims.n_mels, 3000)], plain, (["mel"], cross), {})
    quantise(plain, output / "encoder.onnx", ["MatMul"], per_channel=True)

    past_shapes = [(1, heads, head_dim, 5), (1, heads, 5, head_dim)] * layers
    cross_shapes = [(1, heads, head_dim, dims.n_audio_ctx), (1, heads, dims.n_audio_ctx, head_dim)] * layers
    axes: Axes = {"tokens": {1: "time"}}
    for index, kind in enumerate(kinds):
        axis = 3 if index % 2 == 0 else 2
        axes |= {f"past_{kind}": {axis: "past"}, f"present_{kind}": {axis: "present"}}
    plain = output / "decoder.f32.onnx"
    names = (
        ["tokens", *(f"past_{kind}" for kind in kinds), *cross],
        ["logits", *(f"present_{kind}" for kind in kinds)],
    )
    example = [
        torch.zeros(1, 3, dtype=torch.int64),
        [torch.zeros(shape) for shape in past_shapes],
        [torch.zeros(shape) for shape in cross_shapes],
    ]
    export(Decoder(model), example, plain, names, axes)
    quantise(plain, output / "decoder.onnx", ["MatMul", "Gather"], per_channel=True)
    write_tokens(model, output / "tokens.txt")
    (output / "decoding.json").write_text(json.dumps(decoding(model)))


if __name__ == "__main__":
    main()

"""openai-whisper's .pt -> encoder.onnx, decoder.onnx and tokens.txt as sherpa-onnx's Whisper recogniser loads them.

python to_sherpa.py OPENAI_PT OUTPUT      (run in the environment "torch")

sherpa-onnx fixes the graphs' inputs, outputs and metadata: keys and values of all layers stacked, a cache of the full
text length that goes in and comes out, and the number of cached tokens as `offset`. int8 as its published models.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from onnx_tools import add_metadata, export, load_openai, quantise, tokenizer_of, write_tokens
from torch import Tensor, nn
from torch.nn import functional
from whisper.model import Whisper


class Encoder(nn.Module):
    def __init__(self, model: Whisper):
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        audio = self._audio(mel)
        attentions = [block.cross_attn for block in self.model.decoder.blocks]
        return torch.stack([a.key(audio) for a in attentions]), torch.stack([a.value(audio) for a in attentions])

    def _audio(self, mel: Tensor) -> Tensor:
        """As the model's own encoder, of any length up to 30 s: sherpa-onnx pads the audio by 10 s at most."""
        encoder = self.model.encoder
        x = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).transpose(1, 2)
        x = x + encoder.positional_embedding[: x.shape[1]]
        for block in encoder.blocks:
            x = block(x)
        return encoder.ln_post(x)


class Decoder(nn.Module):
    """Caches and crossed keys and values are (layers, batch, text or audio length, width)."""

    def __init__(self, model: Whisper):
        super().__init__()
        self.decoder = model.decoder

    def forward(
        self, tokens: Tensor, keys: Tensor, values: Tensor, cross_keys: Tensor, cross_values: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        start = offset[0]
        end = start + tokens.shape[1]
        x = self.decoder.token_embedding(tokens) + self.decoder.positional_embedding[start:end]
        mask = self.decoder.mask[start:end, :end]
        new_keys, new_values = [], []
        for layer, block in enumerate(self.decoder.blocks):
            normed = block.attn_ln(x)
            key = torch.cat([keys[layer][:, :start], block.attn.key(normed)], 1)
            value = torch.cat([values[layer][:, :start], block.attn.value(normed)], 1)
            new_keys.append(torch.cat([key, keys[layer][:, end:]], 1))
            new_values.append(torch.cat([value, values[layer][:, end:]], 1))
            x = x + self._attend(block.attn, normed, key, value, mask)
            x = x + self._attend(block.cross_attn, block.cross_attn_ln(x), cross_keys[layer], cross_values[layer], None)
            x = x + block.mlp(block.mlp_ln(x))
        logits = self.decoder.ln(x) @ self.decoder.token_embedding.weight.T
        return logits, torch.stack(new_keys), torch.stack(new_values)

    @staticmethod
    def _attend(attention: nn.Module, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (attention.n_head, -1)).transpose(1, 2)

        query = split(attention.query(x))
        scores = query * query.shape[-1] ** -0.5 @ split(key).transpose(2, 3)
        if mask is not None:
            scores = scores + mask
        return attention.out((scores.softmax(-1) @ split(value)).transpose(1, 2).flatten(2))


def metadata(model: Whisper) -> dict[str, object]:
    tokenizer = tokenizer_of(model)
    facts: dict[str, object] = {
        name: getattr(model.dims, name)
        for name in (
            "n_mels",
            "n_audio_ctx",
            "n_audio_state",
            "n_audio_head",
            "n_audio_layer",
            "n_vocab",
            "n_text_ctx",
            "n_text_state",
            "n_text_head",
            "n_text_layer",
        )
    }
    facts |= {name: getattr(tokenizer, name) for name in ("sot", "eot", "no_speech", "transcribe", "translate")}
    facts |= {name: getattr(tokenizer, name) for name in ("sot_prev", "sot_lm", "no_timestamps")}
    lists = {
        "sot_sequence": tokenizer.sot_sequence,
        "all_language_tokens": tokenizer.all_language_tokens,
        "all_language_codes": tokenizer.all_language_codes,
        "non_speech_tokens": tokenizer.non_speech_tokens,
    }
    facts |= {name: ",".join(str(item) for item in items) for name, items in lists.items()}
    return facts | {
        "model_type": "whisper-int8",
        "version": 1,
        "sot_index": tokenizer.sot_sequence.index(tokenizer.sot),
        "blank_id": tokenizer.encode(" ")[0],
        "is_multilingual": int(model.is_multilingual),
    }


def main() -> None:
    model, output = load_openai(Path(sys.argv[1])), Path(sys.argv[2])
    output.mkdir(parents=True, exist_ok=True)
    dims = model.dims
    cross_names, cache_names = ["n_layer_cross_k", "n_layer_cross_v"], ["n_layer_self_k_cache", "n_layer_self_v_cache"]

    plain = output / "encoder.f32.onnx"
    axes = {"mel": {0: "n_audio", 2: "frames"}, **{name: {1: "n_audio", 2: "positions"} for name in cross_names}}
    export(Encoder(model), [torch.zeros(1, dims.n_mels, 3000)], plain, (["mel"], cross_names), axes)
    add_metadata(plain, metadata(model))
    quantise(plain, output / "encoder.onnx", ["MatMul"], per_channel=False)

    plain = output / "decoder.f32.onnx"
    cache = torch.zeros(dims.n_text_layer, 1, dims.n_text_ctx, dims.n_text_state)
    cross = torch.zeros(dims.n_text_layer, 1, dims.n_audio_ctx, dims.n_text_state)
    inputs = ["tokens", *(f"in_{name}" for name in cache_names), *cross_names, "offset"]
    outputs = ["logits", *(f"out_{name}" for name in cache_names)]
    axes = {"tokens": {0: "n_audio", 1: "n_tokens"}}
    axes |= {name: {1: "n_audio"} for name in [*inputs[1:3], *outputs[1:]]}
    axes |= {name: {1: "n_audio", 2: "positions"} for name in cross_names}
    example = [torch.zeros(1, 3, dtype=torch.int64), cache, cache, cross, cross, torch.zeros(1, dtype=torch.int64)]
    export(Decoder(model), example, plain, (inputs, outputs), axes)
    quantise(plain, output / "decoder.onnx", ["MatMul"], per_channel=False)
    write_tokens(model, output / "tokens.txt")


if __name__ == "__main__":
    main()

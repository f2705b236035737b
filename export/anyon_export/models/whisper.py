"""Whisper in PyTorch, written to be exported: explicit caches, two programs, every published size.

Architecture: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022). Parameter names are
those of the published state dicts, so a checkpoint loads without a map; other formats' maps live with their readers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class WhisperConfig:
    """Sizes of one Whisper model; the field names are those of the published checkpoints."""

    n_mels: int = 80
    n_audio_ctx: int = 1500
    n_audio_state: int = 384
    n_audio_head: int = 6
    n_audio_layer: int = 4
    n_vocab: int = 51864
    n_text_ctx: int = 448
    n_text_state: int = 384
    n_text_head: int = 6
    n_text_layer: int = 4

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            if not isinstance(value, int) or value <= 0:
                raise ValueError(f"WhisperConfig: {field} is {value!r}, it must be a positive whole number")
        if self.n_audio_state != self.n_text_state:
            raise ValueError("WhisperConfig: encoder and decoder must have the same width")
        if self.n_audio_state % self.n_audio_head or self.n_text_state % self.n_text_head:
            raise ValueError("WhisperConfig: the width must be a multiple of the number of heads")

    @property
    def head_dim(self) -> int:
        """Width of one decoder head."""
        return self.n_text_state // self.n_text_head


def _size(width: int, heads: int, layers: int, n_vocab: int, n_mels: int = 80, text_layers: int = 0) -> WhisperConfig:
    return WhisperConfig(
        n_mels=n_mels,
        n_audio_state=width,
        n_audio_head=heads,
        n_audio_layer=layers,
        n_vocab=n_vocab,
        n_text_state=width,
        n_text_head=heads,
        n_text_layer=text_layers or layers,
    )


# English-only models have 51864 tokens, multilingual ones 51865, large-v3 adds Cantonese and 128 mel bands.
PRESETS: Mapping[str, WhisperConfig] = {
    "tiny.en": _size(384, 6, 4, 51864),
    "tiny": _size(384, 6, 4, 51865),
    "base.en": _size(512, 8, 6, 51864),
    "base": _size(512, 8, 6, 51865),
    "small.en": _size(768, 12, 12, 51864),
    "small": _size(768, 12, 12, 51865),
    "medium.en": _size(1024, 16, 24, 51864),
    "medium": _size(1024, 16, 24, 51865),
    "large-v1": _size(1280, 20, 32, 51865),
    "large-v2": _size(1280, 20, 32, 51865),
    "large-v3": _size(1280, 20, 32, 51866, n_mels=128),
    "large-v3-turbo": _size(1280, 20, 32, 51866, n_mels=128, text_layers=4),
    "distil-small.en": _size(768, 12, 12, 51864, text_layers=4),
    "distil-medium.en": _size(1024, 16, 24, 51864, text_layers=2),
    "distil-large-v2": _size(1280, 20, 32, 51865, text_layers=2),
    "distil-large-v3": _size(1280, 20, 32, 51866, n_mels=128, text_layers=2),
}


class Attention(nn.Module):
    """Multi-head attention whose keys and values come from the caller, so that a cache can stand between."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split_heads(self, x: Tensor) -> Tensor:
        """(batch, time, width) -> (batch, heads, time, head_dim)."""
        batch, time, width = x.shape
        return x.view(batch, time, self.heads, width // self.heads).transpose(1, 2)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of x (batch, time, width), each (batch, heads, time, head_dim)."""
        return self.split_heads(self.key(x)), self.split_heads(self.value(x))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """query (batch, time, width) over key and value (rows, heads, length, head_dim) -> (batch, time, width).

        The batch may be a multiple of rows when there is no mask: the queries that share a row of keys then stand
        behind each other in time, so beams listen to one audio without copying its keys.
        """
        head_dim = query.shape[2] // self.heads
        grouped = query.reshape(key.shape[0], -1, self.heads, head_dim).transpose(1, 2)  # (rows, heads, time, head_dim)
        y = F.scaled_dot_product_attention(grouped, key, value, attn_mask=mask)
        merged: Tensor = self.out(y.transpose(1, 2).reshape(query.shape))
        return merged


class Block(nn.Module):
    """One pre-norm transformer layer; decoder layers have cross attention too."""

    def __init__(self, width: int, heads: int, cross: bool = False) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.attn_ln = nn.LayerNorm(width)
        if cross:
            self.cross_attn = Attention(width, heads)
            self.cross_attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)


def _stack(blocks: Iterable[Block]) -> Sequence[Block]:
    """nn.ModuleList with the type of what is in it."""
    return cast("Sequence[Block]", nn.ModuleList(blocks))


class AudioEncoder(nn.Module):
    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        width = config.n_audio_state
        self.conv1 = nn.Conv1d(config.n_mels, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.positional_embedding: Tensor
        self.register_buffer("positional_embedding", sinusoids(config.n_audio_ctx, width))
        self.blocks = _stack(Block(width, config.n_audio_head) for _ in range(config.n_audio_layer))
        self.ln_post = nn.LayerNorm(width)

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel (batch, n_mels, 2 * frames) f32 -> audio features (batch, frames, width); frames <= n_audio_ctx."""
        x = F.gelu(self.conv1(mel))  # (batch, width, 2 * frames)
        x = F.gelu(self.conv2(x)).transpose(1, 2)  # (batch, frames, width)
        x = x + self.positional_embedding[: x.shape[1]]
        for block in self.blocks:
            h = block.attn_ln(x)
            x = x + block.attn.attend(block.attn.query(h), *block.attn.keys_values(h))
            x = x + block.mlp(block.mlp_ln(x))
        features: Tensor = self.ln_post(x)
        return features


class TextDecoder(nn.Module):
    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        width = config.n_text_state
        self.token_embedding = nn.Embedding(config.n_vocab, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.n_text_ctx, width))
        self.blocks = _stack(Block(width, config.n_text_head, cross=True) for _ in range(config.n_text_layer))
        self.ln = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        select: Tensor,
        cross: list[tuple[Tensor, Tensor]],
        past: list[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, list[Tensor], list[tuple[Tensor, Tensor]]]:
        """One step, or a chunk of steps, of the decoder.

        tokens, positions: int64 (batch, time); positions are absolute, past .. past + time - 1.
        select: int64 (rows,), the indices along time whose logits are wanted.
        cross: per layer keys and values of the audio, (audio, heads, frames, head_dim); batch is a multiple of audio,
            and row b of the batch listens to audio row b // (batch / audio).
        past: per layer keys and values of earlier steps, (batch, heads, past, head_dim); past may be 0.
        Returns logits (batch, rows, n_vocab), the cross-attention query of each layer (batch, time, width) before
        scaling, and per layer the grown keys and values (batch, heads, past + time, head_dim).
        """
        time, length = tokens.shape[1], past[0][0].shape[2]
        x = self.token_embedding(tokens) + F.embedding(positions, self.positional_embedding)  # (batch, time, width)
        mask = torch.arange(length + time) <= torch.arange(length, length + time).unsqueeze(1)  # (time, past + time)
        cross_queries, present = [], []
        for block, (cross_key, cross_value), (past_key, past_value) in zip(self.blocks, cross, past, strict=True):
            h = block.attn_ln(x)
            key, value = block.attn.keys_values(h)
            key, value = torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)
            x = x + block.attn.attend(block.attn.query(h), key, value, mask)

            query = block.cross_attn.query(block.cross_attn_ln(x))  # (batch, time, width)
            x = x + block.cross_attn.attend(query, cross_key, cross_value)

            x = x + block.mlp(block.mlp_ln(x))
            cross_queries.append(query)
            present.append((key, value))
        x = self.ln(x.index_select(1, select))  # (batch, rows, width)
        return F.linear(x, self.token_embedding.weight), cross_queries, present


class Whisper(nn.Module):
    """Encoder and decoder with the published parameter names."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = AudioEncoder(config)
        self.decoder = TextDecoder(config)

    def encode(self, mel: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What is computed once per window: cross keys and values of every decoder layer.

        Log-mel (batch, n_mels, 2 * frames) float32 -> per layer two tensors (batch, heads, frames, head_dim).
        """
        audio = self.encoder(mel)
        return [block.cross_attn.keys_values(audio) for block in self.decoder.blocks]

    def empty_past(self, batch: int) -> list[tuple[Tensor, Tensor]]:
        """States before the first token."""
        shape = (batch, self.config.n_text_head, 0, self.config.head_dim)
        return [(torch.zeros(shape), torch.zeros(shape)) for _ in self.decoder.blocks]


class EncoderProgram(nn.Module):
    """What is exported as `encoder`: Whisper.encode."""

    def __init__(self, model: Whisper) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.decoder = model.decoder

    def forward(self, mel: Tensor) -> list[tuple[Tensor, Tensor]]:
        audio = self.encoder(mel)
        return [block.cross_attn.keys_values(audio) for block in self.decoder.blocks]


class DecoderProgram(nn.Module):
    """What is exported as `decoder`: see TextDecoder.forward."""

    def __init__(self, model: Whisper) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        select: Tensor,
        cross: list[tuple[Tensor, Tensor]],
        past: list[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, list[Tensor], list[tuple[Tensor, Tensor]]]:
        return self.decoder.forward(tokens, positions, select, cross, past)


def sinusoids(length: int, channels: int) -> Tensor:
    """Sine and cosine position table (length, channels) with log-spaced wavelengths up to 2 pi 10,000."""
    steps = math.log(10000.0) / (channels // 2 - 1)
    frequencies = torch.exp(-steps * torch.arange(channels // 2, dtype=torch.float32))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)

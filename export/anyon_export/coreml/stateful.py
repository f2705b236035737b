"""Whisper's decoder as Core ML wants it: one window, caches of fixed size in buffers that the program changes.

coremltools makes a state of every buffer that `forward` changes. The model with explicit caches (models/whisper.py)
stays the reference: the layers here are its layers, and only where keys are kept differs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyon_export.models.whisper import Whisper


@torch.library.custom_op("anyon::write_rows", mutates_args=())
def write_rows(cache: Tensor, rows: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """cache (1, heads, context, head_dim) with rows (1, heads, time, head_dim) in begin .. end of the context.

    begin and end (1,) int32. An op of its own because torch.export has no slice whose place is data: `convert` turns it
    into `slice_update`, the form of a cache update that Core ML does in place.
    """
    written = cache.clone()
    written[:, :, int(begin) : int(end)] = rows
    return written


@write_rows.register_fake
def _(cache: Tensor, rows: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    return torch.empty_like(cache)


def state_names(layers: int) -> list[str]:
    """As the states of a bundle's decoder are called."""
    return [f"self_{kind}_{layer}" for layer in range(layers) for kind in ("key", "value")]


class StatefulDecoder(nn.Module):
    """One chunk of tokens behind those that the states hold; greedy decoding needs the logits of its last token only.

    All keys of the context take part in each product, masked from the present on: the sizes of a step then never
    change, so Core ML plans it once, and 448 keys cost little beside the 1500 of the audio.
    """

    def __init__(self, model: Whisper) -> None:
        super().__init__()
        config = model.config
        self.decoder = model.decoder
        self.context = config.n_text_ctx
        for name in state_names(config.n_text_layer):
            self.register_buffer(name, torch.zeros(1, config.n_text_head, config.n_text_ctx, config.head_dim))

    def forward(self, tokens: Tensor, position: Tensor, cross: list[tuple[Tensor, Tensor]]) -> Tensor:
        """tokens (1, time) int32; position (1,) int32, the number of tokens before them; cross: per layer keys and
        values of the audio (1, heads, frames, head_dim). Returns logits (1, n_vocab) of the last token.

        The caller keeps position + time <= n_text_ctx.
        """
        decoder, time = self.decoder, tokens.shape[1]
        positions = position + torch.arange(time, dtype=torch.int32)  # (time,)
        end = position + time
        x = decoder.token_embedding(tokens) + F.embedding(positions, decoder.positional_embedding)
        mask = torch.arange(self.context, dtype=torch.int32) <= positions.unsqueeze(1)  # (time, context)
        for layer, (block, (cross_key, cross_value)) in enumerate(zip(decoder.blocks, cross, strict=True)):
            h = block.attn_ln(x)
            key, value = (
                self._keep(f"self_{kind}_{layer}", rows, position, end)
                for kind, rows in zip(("key", "value"), block.attn.keys_values(h), strict=True)
            )
            x = x + block.attn.attend(block.attn.query(h), key, value, mask)
            x = x + block.cross_attn.attend(block.cross_attn.query(block.cross_attn_ln(x)), cross_key, cross_value)
            x = x + block.mlp(block.mlp_ln(x))
        last = decoder.ln(x[:, -1])  # (1, width)
        return F.linear(last, decoder.token_embedding.weight)

    def _keep(self, name: str, rows: Tensor, begin: Tensor, end: Tensor) -> Tensor:
        state: Tensor = getattr(self, name)
        written: Tensor = write_rows(state, rows, begin, end)
        state.copy_(written)
        return written

"""The two Core ML programs of a Whisper model: modules, example inputs, and what every value is called and means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.export import Dim

from anyon_export.coreml.stateful import StatefulDecoder, state_names
from anyon_export.models.whisper import EncoderProgram, Whisper

Dtype = Literal["int32", "float16", "float32"]


@dataclass(frozen=True)
class Port:
    """An input, output or state: its name, and what Xcode shows for it. States are float16, whatever computes."""

    name: str
    dtype: Dtype
    meaning: str


@dataclass(frozen=True)
class Program:
    """Everything that converting needs; dynamic_shapes as torch.export takes them."""

    name: str
    meaning: str
    module: nn.Module
    example: tuple[Any, ...]
    dynamic_shapes: Any
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    states: Sequence[Port] = ()


def encoder_program(model: Whisper, compute: Dtype) -> Program:
    """mel (1, n_mels, 2 * frames) -> keys and values for the decoder's cross attention; whole windows only.

    One size, because that is what the Neural Engine runs; the model was trained on windows padded with silence anyway.
    """
    config = model.config
    frames = 2 * config.n_audio_ctx
    mel = f"log-mel spectrogram of one window, (1, {config.n_mels} bands, {frames} frames of 10 ms), about -1 to 1.5"
    return Program(
        name="WhisperEncoder",
        meaning="Whisper's audio encoder: one window of sound to what the decoder attends to.",
        module=EncoderProgram(model),
        example=(torch.zeros(1, config.n_mels, frames),),
        dynamic_shapes=None,
        inputs=[Port("mel", "float32", mel)],
        outputs=_cross(model, compute),
    )


def decoder_program(model: Whisper, compute: Dtype) -> Program:
    """See StatefulDecoder. Cross keys and values are inputs, not states: Core ML makes a state only of what the program
    itself changes, and gives each model states of its own, so a state would have to be copied in by hand once a window
    and could not be shared by two recordings. As inputs the encoder's outputs go in as they are, every step.
    """
    config = model.config
    audio = torch.zeros(1, config.n_text_head, config.n_audio_ctx, config.head_dim)
    cross = [(audio.clone(), audio.clone()) for _ in range(config.n_text_layer)]
    shape = f"(1, {config.n_text_head} heads, {config.n_text_ctx} tokens, {config.head_dim})"
    longest = min(config.n_text_ctx, 3)  # of the example; any other size serves as well
    return Program(
        name="WhisperDecoder",
        meaning="Whisper's text decoder: tokens to the logits of the next one, earlier tokens kept in its states.",
        module=StatefulDecoder(model),
        example=(torch.zeros(1, longest, dtype=torch.int32), torch.zeros(1, dtype=torch.int32), cross),
        dynamic_shapes=({1: Dim("time", min=1, max=config.n_text_ctx)}, None, [(None, None)] * config.n_text_layer),
        inputs=[
            Port("tokens", "int32", f"token ids below {config.n_vocab}, (1, time): 1 to {config.n_text_ctx} of them"),
            Port("position", "int32", f"how many tokens stand before them, (1); with time at most {config.n_text_ctx}"),
            *_cross(model, compute),
        ],
        outputs=[Port("logits", "float32", f"unnormalised log probability of each next token, (1, {config.n_vocab})")],
        states=[
            Port(
                name, "float16", f"self-attention {name.split('_')[1]}s of decoder layer {name.split('_')[2]}, {shape}"
            )
            for name in state_names(config.n_text_layer)
        ],
    )


def _cross(model: Whisper, compute: Dtype) -> list[Port]:
    config = model.config
    shape = f"(1, {config.n_text_head} heads, {config.n_audio_ctx} frames of 20 ms, {config.head_dim})"
    return [
        Port(f"cross_{kind}_{layer}", compute, f"cross-attention {kind}s of decoder layer {layer}, {shape}")
        for layer in range(config.n_text_layer)
        for kind in ("key", "value")
    ]

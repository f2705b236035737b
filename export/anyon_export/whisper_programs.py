"""The two programs of a Whisper model as the exporter wants them: examples, dimensions, names and states."""

from __future__ import annotations

import torch
from torch.export import Dim

from anyon_export.models.whisper import DecoderProgram, EncoderProgram, Whisper
from anyon_export.onnx_export import ProgramSpec, StateSpec

MAX_BATCH = 64


def encoder_spec(model: Whisper) -> ProgramSpec:
    """mel (batch, n_mels, 2 * frames) -> cross_key_i, cross_value_i (batch, heads, frames, head_dim)."""
    config = model.config
    batch, frames = Dim("batch", min=1, max=MAX_BATCH), Dim("frames", min=1, max=config.n_audio_ctx)
    return ProgramSpec(
        name="encoder",
        module=EncoderProgram(model),
        example=(torch.zeros(2, config.n_mels, 2 * min(10, config.n_audio_ctx)),),
        dynamic_shapes=({0: batch, 2: 2 * frames},),
        input_names=["mel"],
        output_names=_keys_values("cross", config.n_text_layer),
        dims={"batch": (1, MAX_BATCH), "frames": (1, config.n_audio_ctx)},
    )


def decoder_spec(model: Whisper) -> ProgramSpec:
    """See models.whisper.TextDecoder.forward."""
    config = model.config
    layers, heads, head_dim = config.n_text_layer, config.n_text_head, config.head_dim
    batch, audio = Dim("batch", min=1, max=MAX_BATCH), Dim("audio", min=1, max=MAX_BATCH)
    time, past = Dim("time", min=1, max=config.n_text_ctx), Dim("past", min=0, max=config.n_text_ctx)
    rows, frames = Dim("rows", min=1, max=config.n_text_ctx), Dim("frames", min=1, max=config.n_audio_ctx)
    # Example sizes differ from each other, so that no two dimensions can be taken for one.
    keys = torch.zeros(2, heads, min(11, config.n_audio_ctx), head_dim)
    kept = torch.zeros(8, heads, 5, head_dim)
    cross = [(keys.clone(), keys.clone()) for _ in range(layers)]
    past_states = [(kept.clone(), kept.clone()) for _ in range(layers)]
    tokens = torch.zeros(8, 3, dtype=torch.int64)
    states = _keys_values("self", layers)
    return ProgramSpec(
        name="decoder",
        module=DecoderProgram(model),
        example=(tokens, torch.zeros_like(tokens), torch.zeros(1, dtype=torch.int64), cross, past_states),
        dynamic_shapes=(
            {0: batch, 1: time},
            {0: batch, 1: time},
            {0: rows},
            [({0: audio, 2: frames}, {0: audio, 2: frames})] * layers,
            [({0: batch, 2: past}, {0: batch, 2: past})] * layers,
        ),
        input_names=["tokens", "positions", "select", *_keys_values("cross", layers), *states],
        output_names=[
            "logits",
            *(f"cross_query_{layer}" for layer in range(layers)),
            *(f"{state}_next" for state in states),
        ],
        dims={
            "batch": (1, MAX_BATCH),
            "time": (1, config.n_text_ctx),
            "past": (0, config.n_text_ctx),
            "rows": (1, config.n_text_ctx),
            "frames": (1, config.n_audio_ctx),
        },
        states=[StateSpec(name, f"{name}_next", axis=2, capacity=config.n_text_ctx) for name in states],
        broadcast={"audio": "batch"},
    )


def _keys_values(prefix: str, layers: int) -> list[str]:
    return [f"{prefix}_{kind}_{layer}" for layer in range(layers) for kind in ("key", "value")]

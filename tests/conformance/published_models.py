"""Small configurations of published architectures with random weights: (module, inputs, dynamic dimensions)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.export import Dim

Case = tuple[nn.Module, dict[str, torch.Tensor], dict[str, Any]]


def _tokens(vocabulary: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(1))


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def vit() -> Case:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128, image_size=32, patch_size=8
    )
    model = ViTModel(config)
    return model, {"pixel_values": _noise(2, 3, 32, 32)}, {"pixel_values": {0: Dim("batch", max=64)}}


def bert() -> Case:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=100, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=96
    )
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 5:] = 0
    batch, time = Dim("batch", max=64), Dim("time", max=512)
    return (
        BertModel(config),
        {"input_ids": _tokens(100, 2, 7), "attention_mask": mask},
        {"input_ids": {0: batch, 1: time}, "attention_mask": {0: batch, 1: time}},
    )


def gpt2() -> Case:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=100, n_positions=64, n_embd=64, n_layer=1, n_head=4, use_cache=False)
    model = GPT2LMHeadModel(config)
    return model, {"input_ids": _tokens(100, 2, 7)}, {"input_ids": {0: Dim("batch", max=64), 1: Dim("time", max=64)}}


def llama() -> Case:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=100,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        use_cache=False,
    )
    model = LlamaForCausalLM(config)
    return model, {"input_ids": _tokens(100, 2, 7)}, {"input_ids": {0: Dim("batch", max=64), 1: Dim("time", max=64)}}


def t5() -> Case:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=100, d_model=64, d_kv=16, d_ff=96, num_layers=1, num_heads=4, use_cache=False)
    model = T5ForConditionalGeneration(config)
    batch = Dim("batch", max=64)
    return (
        model,
        {"input_ids": _tokens(100, 2, 9), "decoder_input_ids": _tokens(100, 2, 5)},
        {
            "input_ids": {0: batch, 1: Dim("time", max=128)},
            "decoder_input_ids": {0: batch, 1: Dim("decoded", max=128)},
        },
    )


def resnet() -> Case:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 2], layer_type="bottleneck")
    model = ResNetModel(config)
    return model, {"pixel_values": _noise(2, 3, 64, 64)}, {"pixel_values": {0: Dim("batch", max=64)}}


def convnext() -> Case:
    from transformers import ConvNextConfig, ConvNextModel

    config = ConvNextConfig(num_stages=2, hidden_sizes=[16, 32], depths=[1, 2])
    model = ConvNextModel(config)
    return model, {"pixel_values": _noise(2, 3, 64, 64)}, {"pixel_values": {0: Dim("batch", max=64)}}


def wav2vec2() -> Case:
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config(
        vocab_size=32,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=96,
        conv_dim=(32, 32, 32),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    model = Wav2Vec2ForCTC(config)
    return model, {"input_values": _noise(1, 4000)}, {"input_values": {1: Dim("samples", min=400, max=160_000)}}


def _extra_padding(conv: Any, hidden_states: torch.Tensor) -> int:
    """What EncodecConv1d computes with tensors, which torch.export cannot follow into a branch."""
    length, kernel, stride, padding = hidden_states.shape[-1], *conv.sizes
    frames = -(-(length - kernel + padding) // stride)
    return int(frames * stride + kernel - padding - length)


class EncodecRoundTrip(nn.Module):
    """Waveform -> codes -> waveform."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_values: torch.Tensor) -> dict[str, torch.Tensor]:
        embeddings = self.model.encoder(input_values)  # (batch, dim, frames)
        codes = self.model.quantizer.encode(embeddings, self.model.config.target_bandwidths[0])
        return {"codes": codes, "audio": self.model.decoder(self.model.quantizer.decode(codes))}


def encodec() -> Case:
    from transformers import EncodecConfig, EncodecModel
    from transformers.models.encodec.modeling_encodec import EncodecConv1d

    config = EncodecConfig(num_filters=8, hidden_size=32, codebook_size=64, codebook_dim=32, upsampling_ratios=[4, 2])
    model = EncodecModel(config)
    for module in model.modules():
        if isinstance(module, EncodecConv1d):
            sizes = int(module.kernel_size), int(module.stride), int(module.padding_total)
            module.sizes = sizes
            del module.padding_total
            module.padding_total = sizes[2]
            module._get_extra_padding_for_conv1d = _extra_padding.__get__(module)
    for layer in model.quantizer.layers:  # codebooks begin as zeros, which no two engines tell apart
        layer.codebook.embed.normal_(generator=torch.Generator().manual_seed(2))
    return EncodecRoundTrip(model), {"input_values": _noise(1, 1, 1600)}, {}


def vits() -> Case:
    from transformers import VitsConfig, VitsModel

    config = VitsConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=64,
        flow_size=32,
        spectrogram_bins=33,
        prior_encoder_num_flows=1,
        upsample_initial_channel=32,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        depth_separable_num_layers=1,
        duration_predictor_num_flows=2,
        use_stochastic_duration_prediction=False,
        noise_scale=0.0,
    )
    model = VitsModel(config)
    return model, {"input_ids": _tokens(40, 1, 9)}, {}


def unet() -> Case:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    inputs = {
        "sample": _noise(2, 4, 16, 16),
        "timestep": torch.tensor([10, 500]),
        "encoder_hidden_states": _noise(2, 5, 24),
    }
    batch = Dim("batch", max=16)
    return model, inputs, {name: {0: batch} for name in inputs}


def dit() -> Case:
    from diffusers import DiTTransformer2DModel

    model = DiTTransformer2DModel(
        num_attention_heads=4, attention_head_dim=16, num_layers=1, sample_size=16, patch_size=2, num_embeds_ada_norm=50
    )
    inputs = {
        "hidden_states": _noise(2, 4, 16, 16),
        "timestep": torch.tensor([10, 500]),
        "class_labels": torch.tensor([3, 7]),
    }
    batch = Dim("batch", max=16)
    return model, inputs, {name: {0: batch} for name in inputs}


MODELS: dict[str, Callable[[], Case]] = {
    case.__name__: case for case in (vit, bert, gpt2, llama, t5, resnet, convnext, wav2vec2, encodec, vits, unet, dit)
}

"""What the two ONNX converters share: export through tracing, dynamic int8, the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
import whisper
from onnxruntime.quantization import QuantType, quantize_dynamic

Axes = dict[str, dict[int, str]]
OPSET = 17


def load_openai(path: Path) -> whisper.model.Whisper:
    # The fused attention op of PyTorch does not trace into plain MatMul and Softmax.
    whisper.model.MultiHeadAttention.use_sdpa = False
    return whisper.load_model(str(path), device="cpu").eval()


def export(
    module: torch.nn.Module, inputs: Sequence[Any], path: Path, names: tuple[list[str], list[str]], axes: Axes
) -> None:
    with torch.no_grad():
        torch.onnx.export(
            module,
            tuple(inputs),
            str(path),
            input_names=names[0],
            output_names=names[1],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def add_metadata(path: Path, values: dict[str, object]) -> None:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: str(value) for key, value in values.items()})
    onnx.save(model, path)


def quantise(source: Path, output: Path, operators: list[str], per_channel: bool) -> None:
    """int8 weights, activations quantised at run time; convolutions stay f32 (ConvInteger is slower than Conv)."""
    quantize_dynamic(
        source, output, op_types_to_quantize=operators, weight_type=QuantType.QInt8, per_channel=per_channel
    )
    source.unlink()


def tokenizer_of(model: whisper.model.Whisper) -> whisper.tokenizer.Tokenizer:
    languages = model.num_languages
    return whisper.tokenizer.get_tokenizer(model.is_multilingual, num_languages=languages, language="en")


def write_tokens(model: whisper.model.Whisper, path: Path) -> None:
    """A line for each ordinary token: its bytes in base64, and its id."""
    vocabulary = "multilingual" if model.is_multilingual else "gpt2"
    text = (Path(whisper.__file__).parent / "assets" / f"{vocabulary}.tiktoken").read_text()
    path.write_text("".join(f"{line}\n" for line in text.splitlines() if line))

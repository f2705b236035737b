"""Core ML packages of tiny.en and of a small random model, and how far what they compute is from PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mil_interpreter import Interpreter, spread
from mil_package import Array, Package, read_package

# Products of 32 and 64 columns, so that int4 finds its blocks; everything else as small as it can be.
SMALL = {
    "n_mels": 16,
    "n_audio_ctx": 30,
    "n_audio_state": 64,
    "n_audio_head": 2,
    "n_audio_layer": 2,
    "n_vocab": 300,
    "n_text_ctx": 32,
    "n_text_state": 64,
    "n_text_head": 2,
    "n_text_layer": 2,
}


@cache
def small_model() -> Any:
    """Random, but of weights so large that attention and masks matter to the logits."""
    import torch

    from anyon_export.models.whisper import Whisper, WhisperConfig

    torch.manual_seed(0)
    model = Whisper(WhisperConfig(**SMALL)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * (0.2 if parameter.dim() > 1 else 0.5))
    return model


@cache
def small_trace() -> Any:
    from anyon_export.compare import record
    from anyon_export.engines import TorchEngine

    mel = np.random.default_rng(0).standard_normal((1, SMALL["n_mels"], 2 * SMALL["n_audio_ctx"])).astype(np.float32)
    return record(TorchEngine(small_model()), mel, [1, 2, 3], steps=20)


@dataclass(frozen=True)
class Packages:
    """What was saved, as it was read back."""

    encoder: Package
    decoder: Package


@cache
def _converted(model: Any, half: bool) -> list[tuple[Any, Any]]:
    """(program, MLModel before compression): converting is the slow part, and all compressions start from it."""
    from anyon_export.coreml.convert import convert
    from anyon_export.coreml.programs import decoder_program, encoder_program

    made = [make(model, "float16" if half else "float32") for make in (encoder_program, decoder_program)]
    return [(program, convert(program, half)) for program in made]


@cache
def packages(model: Any, compression: str, folder: Path) -> Packages:
    """Saved into `folder` and read back."""
    from anyon_export.coreml.compress import COMPRESSIONS, compress, prepared
    from anyon_export.coreml.package import write_package

    read = []
    for program, converted in _converted(prepared(model, compression), COMPRESSIONS[compression].half):
        path = folder / f"{compression}-{id(model)}" / f"{program.name}.mlpackage"
        write_package(compress(converted, compression), program, path, author="", licence="", facts={})
        read.append(read_package(path))
    return Packages(*read)


@dataclass(frozen=True)
class Errors:
    """Against PyTorch: of the encoder's outputs (largest, and root mean square), and of the logits at every step."""

    encoder: float
    encoder_rms: float
    steps: list[float]


def errors(packages: Packages, trace: Any, exact: bool = False) -> Errors:
    """Runs the recorded inputs; the decoder gets the recorded keys of the audio, so errors do not add up."""
    encoder = Interpreter(packages.encoder, exact)
    found = encoder.run({"mel": trace.mel})
    differences = [found[name] - value for name, value in zip(packages.encoder.outputs, trace.cross, strict=True)]
    flat = np.concatenate([difference.ravel() for difference in differences]).astype(np.float64)
    return Errors(
        encoder=float(np.abs(flat).max()),
        encoder_rms=float(np.sqrt(np.square(flat).mean())),
        steps=step_errors(Interpreter(packages.decoder, exact), packages.encoder.outputs, trace),
    )


def step_errors(decoder: Interpreter, cross_names: list[str], trace: Any) -> list[float]:
    """A run of the prompt, 20 of one token, one of three; the logits of the last token of each."""
    cross = {
        name: value.astype(np.float16 if decoder.package.inputs[name].dtype == "FLOAT16" else np.float32)
        for name, value in zip(cross_names, trace.cross, strict=True)
    }
    position, found = 0, []
    for (tokens, _, _), outputs in zip(trace.inputs, trace.outputs, strict=True):
        logits = decode(decoder, tokens[0].tolist(), position, cross)
        found.append(float(np.abs(logits - outputs[0][0, -1]).max()))
        position += tokens.shape[1]
    return found


def decode(decoder: Interpreter, tokens: list[int], position: int, cross: dict[str, Array]) -> Array:
    """Logits (n_vocab,) behind the last token."""
    inputs = {"tokens": np.array([tokens], np.int32), "position": np.array([position], np.int32)}
    logits: Array = decoder.run({**inputs, **cross})["logits"][0]
    return logits


def without(package: Package, kind: str, number: int | None = None) -> Package:
    """The program without its operations of a kind, or without one of them."""
    found = [i for i, op in enumerate(package.operations) if op.kind == kind]
    assert found
    dropped = set(found if number is None else [found[number]])
    return replace(package, operations=[op for i, op in enumerate(package.operations) if i not in dropped])


def stored_weights(packages: Packages, model: Any) -> dict[str, Array]:
    """Parameter or buffer -> the values that the packages hold for it, decompressed."""
    constants = {**Interpreter(packages.encoder).constants, **Interpreter(packages.decoder).constants}
    return _by_parameter(constants, model)


def stored_scales(packages: Packages, model: Any) -> dict[str, Array]:
    """Parameter -> the scales of its rounded weights, spread to its shape."""
    operations = [*packages.encoder.operations, *packages.decoder.operations]
    scaled = [op for op in operations if op.kind == "constexpr_blockwise_shift_scale"]
    return _by_parameter(
        {
            name: spread(np.asarray(op.inputs["scale"][0], np.float32), op.inputs["data"][0].shape)
            for op in scaled
            for name, _ in op.outputs
        },
        model,
    )


def _by_parameter(values: dict[str, Any], model: Any) -> dict[str, Array]:
    """Values under the names that torch.export and coremltools give to what they hold -> the model's names."""
    named = [("p", name) for name, _ in model.named_parameters()] + [("b", name) for name, _ in model.named_buffers()]
    stems = {f"{kind}_{name.replace('.', '_')}": name for kind, name in named}
    endings = ("", "_to_fp16", "_to_fp16_quantized", "_to_fp16_palettized")
    return {
        name: values[stem + ending] for stem, name in stems.items() for ending in endings if stem + ending in values
    }


def model_with(model: Any, weights: dict[str, Array]) -> Any:
    """A copy in PyTorch with these weights; every parameter must be there."""
    import copy

    import torch

    changed = copy.deepcopy(model)
    state = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in weights.items()}
    changed.load_state_dict(state, strict=True)
    return changed


def trace_of(model: Any, like: Any) -> Any:
    """What `model` computes for the tokens of another trace."""
    from anyon_export.engines import TorchEngine

    engine = TorchEngine(model)
    cross = engine.encode(like.mel)
    return replace(like, cross=cross, outputs=[engine.decode(*run, cross) for run in like.inputs])

"""Writes the golden bundles: small Whispers with random weights in every recipe, a graph, and what they compute.

Run by hand when a new version of the format, a layout or a recipe comes: `python tests/golden/make_bundles.py VERSION`
writes into bundles/vVERSION. What an older version wrote is never written again: it must load for ever.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import anyon
from anyon import _native
from anyon_export.blueprints import whisper_blueprint
from anyon_export.bundle import make_bundle
from anyon_export.models.whisper import Whisper, WhisperConfig
from anyon_export.quantize import quantize
from anyon_quantization.recipes import standard

FOLDER = Path(__file__).parent / "bundles"
RECIPES = ("f32", "f16", "int8", "int4")

# One second of audio at a time; letters, then Whisper's control tokens, then its timestamps of 20 ms each.
LETTERS = "abcdefghijklmnopqrstuvwxyz .,?"
CONTROL = ("endoftext", "startoftranscript", "en", "translate", "transcribe", "startoflm", "startofprev", "nospeech")
FIRST_CONTROL = len(LETTERS)
NO_TIMESTAMPS = FIRST_CONTROL + len(CONTROL)
CONFIG = WhisperConfig(
    n_mels=80,
    n_audio_ctx=50,
    n_audio_state=16,
    n_audio_head=2,
    n_audio_layer=1,
    n_vocab=NO_TIMESTAMPS + 1 + 51,
    n_text_ctx=24,
    n_text_state=16,
    n_text_head=2,
    n_text_layer=2,
)


# Every token is the likeliest, and the end is never chosen, so that windows are full of tokens to compare.
OPTIONS: dict[str, Any] = {
    "beam_size": 1,
    "temperature": 0,
    "no_speech_threshold": None,
    "log_prob_threshold": None,
    "compression_ratio_threshold": None,
    "speech_gate": False,
    "without_timestamps": True,
    "suppress_tokens": [FIRST_CONTROL],
    "max_new_tokens": 8,
}


@dataclass
class Tokenizer:
    merges: str
    n_vocab: int
    special: dict[str, int]
    offsets: npt.NDArray[np.uint32]
    data: npt.NDArray[np.uint8]


@dataclass
class RandomCheckpoint:
    """What make_bundle reads of a checkpoint."""

    tensors: dict[str, npt.NDArray[Any]]
    config: dict[str, int]
    tokenizer: Tokenizer
    generation: dict[str, Any]
    source: dict[str, Any]


def tokenizer() -> Tokenizer:
    names = [*CONTROL, "notimestamps"]
    special = {f"<|{name}|>": FIRST_CONTROL + index for index, name in enumerate(names)}
    pieces = [letter.encode() for letter in LETTERS] + [text.encode() for text in special]
    offsets = np.cumsum([0, *map(len, pieces)], dtype=np.uint32)
    return Tokenizer("id", CONFIG.n_vocab, special, offsets, np.frombuffer(b"".join(pieces), np.uint8))


def generation() -> dict[str, Any]:
    ids = {name: FIRST_CONTROL + index for index, name in enumerate(CONTROL)}
    return {
        "multilingual": False,
        "languages": {},
        "n_text_ctx": CONFIG.n_text_ctx,
        "n_audio_ctx": CONFIG.n_audio_ctx,
        "n_layers": CONFIG.n_text_layer,
        "n_heads": CONFIG.n_text_head,
        "head_dim": CONFIG.head_dim,
        "eot": ids["endoftext"],
        "sot": ids["startoftranscript"],
        "translate": ids["translate"],
        "transcribe": ids["transcribe"],
        "sot_lm": ids["startoflm"],
        "sot_prev": ids["startofprev"],
        "no_speech": ids["nospeech"],
        "no_timestamps": NO_TIMESTAMPS,
        "timestamp_begin": NO_TIMESTAMPS + 1,
        "suppress_tokens": [],
        "begin_suppress_tokens": [LETTERS.index(" "), ids["endoftext"]],
        "alignment_heads": [[0, 1], [1, 0]],
    }


def checkpoint(seed: int) -> RandomCheckpoint:
    random = np.random.default_rng(seed)
    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, value in Whisper(CONFIG).state_dict().items():
        shape = tuple(value.shape)
        # Larger than trained weights, so that attention and logits are far from uniform and a wrong op changes tokens.
        scale = 0.1 if len(shape) == 1 else 2.0 / np.sqrt(np.prod(shape[1:]))
        offset = 1.0 if name.endswith(("ln.weight", "ln_post.weight")) else 0.0
        tensors[name] = (offset + scale * random.standard_normal(shape)).astype(np.float32)
    source = {"format": "random", "path": "random", "sha256": "0" * 64, "licence": "Apache-2.0"}
    return RandomCheckpoint(tensors, asdict(CONFIG), tokenizer(), generation(), source)


def signal() -> npt.NDArray[np.float32]:
    """2.5 s that never repeat: a tone that rises, in bursts."""
    time = np.arange(40_000) / 16_000
    return (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) * (np.sin(2 * np.pi * 3 * time) > -0.5)).astype(
        np.float32
    )


def transcript(path: Path, isa: str) -> list[list[int]]:
    """The tokens of each segment."""
    result = anyon.load(path, threads=1, isa=isa, verify=True).transcribe(signal(), **OPTIONS)
    return [[int(token) for token in segment.tokens] for segment in result.segments]


class Graph(torch.nn.Module):
    """A bit of everything that graph programs are made of."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv = torch.nn.Conv1d(3, 8, 3, padding=1)
        self.linear = torch.nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.linear(torch.relu(self.conv(x)).transpose(1, 2)), dim=-1).cumsum(dim=1)


def graph_input() -> npt.NDArray[np.float32]:
    return np.sin(np.arange(2 * 3 * 7, dtype=np.float32)).reshape(2, 3, 7)


def write_whispers(folder: Path, seed: int) -> dict[str, list[list[int]]] | None:
    """The tokens of each bundle; None when instruction sets disagree: rounding must not decide between two tokens."""
    blueprint = whisper_blueprint("golden", CONFIG)
    blueprint = replace(blueprint, frontend=blueprint.frontend | {"chunk_seconds": 1})
    expected = {}
    for recipe in RECIPES:
        path = folder / f"whisper-{recipe}.anyon"
        stored = blueprint if recipe == "f32" else quantize(blueprint, standard(recipe))
        make_bundle(stored, checkpoint(seed), path)  # type: ignore[arg-type]
        seen = [transcript(path, isa) for isa in _native.supported_isas()]
        if any(tokens != seen[0] for tokens in seen) or len({token for row in seen[0] for token in row}) < 6:
            return None
        expected[path.name] = seen[0]
    return expected


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    seeds = ((seed, write_whispers(folder, seed)) for seed in range(1, 1000))
    seed, whispers = next((seed, tokens) for seed, tokens in seeds if tokens is not None)
    expected: dict[str, Any] = {**whispers}
    print(f"seed {seed}")
    module, path = Graph().eval().requires_grad_(False), folder / "graph.anyon"
    batch = torch.export.Dim("batch", max=4)
    anyon.export(module, (torch.from_numpy(graph_input()),), dynamic_shapes={"x": {0: batch}}, path=path)
    expected[path.name] = [round(float(value), 7) for value in module(torch.from_numpy(graph_input())).flatten()]
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("version", type=int, help="the bundle format's")
    write(FOLDER / f"v{arguments.parse_args().version}")


if __name__ == "__main__":
    main()

"""Coverage-guided fuzzing of the checkpoint readers, with atheris (pip install atheris): every exception that a reader
raises but CheckpointError is a finding.

    python tests/fuzz/fuzz_checkpoints.py FORMAT [libFuzzer options] [corpus folders]

FORMAT: safetensors, openai, pickle, ctranslate2, ggml, tokenizer, config. Seeds are made by the tests' own writers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for folder in ("tests/unit", "sdk", "export", "quantization"):
    sys.path.insert(0, str(ROOT / folder))

# An editable installation finds modules in its own way, which atheris cannot instrument; the folders above have all.
sys.meta_path[:] = [finder for finder in sys.meta_path if "ScikitBuild" not in type(finder).__name__]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["anyon_export.checkpoints"]):
    from anyon_export.checkpoints import CheckpointError, load
    from anyon_export.checkpoints.ctranslate2 import parse_model_bin
    from anyon_export.checkpoints.ggml import parse_ggml
    from anyon_export.checkpoints.openai_pt import parse_openai_pt
    from anyon_export.checkpoints.safetensors import read_safetensors
    from anyon_export.checkpoints.tensor_pickle import load_tensor_pickle
    from anyon_export.checkpoints.tokenizer import read_tokenizer_json

import checkpoint_writers as writers  # noqa: E402

# As small as the formats allow, so that most bytes are structure.
TOY = {**writers.SMALL, "n_audio_layer": 1, "n_audio_state": 2, "n_text_state": 2, "n_audio_head": 1, "n_text_head": 1}
TOY |= {"n_vocab": 3, "n_mels": 1, "n_audio_ctx": 1, "n_text_ctx": 1}


def read_all(tensors: Any) -> None:
    for name in tensors:
        assert tensors[name].shape == tensors.entries[name].shape


def from_file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], None]:
    """A reader of paths, fed with bytes. Every input gets a new file, since readers keep theirs mapped."""
    folder = Path(tempfile.mkdtemp(prefix="anyon-fuzz-"))

    def run(content: bytes) -> None:
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        read(path)

    return run


def pickle_reader(content: bytes) -> None:
    load_tensor_pickle(content, Path("data.pkl"))


def config_reader() -> Callable[[bytes], None]:
    """config.json beside weights and a tokenizer that are right."""
    folder = Path(tempfile.mkdtemp(prefix="anyon-fuzz-"))
    sizes = {**TOY, "n_vocab": writers.TINY_VOCABULARY}
    writers.write_huggingface(folder, sizes, writers.random_tensors(sizes))

    def run(content: bytes) -> None:
        (folder / "config.json").write_bytes(content)
        read_all(load(folder).tensors)

    return run


def ctranslate2_int8() -> bytes:
    variables = writers.ctranslate2_variables(TOY, writers.random_tensors(TOY))
    for name in [name for name in variables if name.endswith("weight")]:
        variables[name] = variables[name].astype("int8")
        variables[f"{name}_scale"] = writers.np.ones(len(variables[name]), "float32")
    return writers.ctranslate2_bytes(variables)


def formats() -> dict[str, tuple[Callable[[], Callable[[bytes], None]], Callable[[], list[bytes]]]]:
    """Each format's reader and seeds, made when they are asked for."""
    tensors = writers.random_tensors(TOY)
    sizes = {**TOY, "n_vocab": writers.TINY_VOCABULARY}

    def tokenizer(path: Path) -> None:
        read_tokenizer_json(path, writers.TINY_VOCABULARY).encode_piece(b" the")

    return {
        "safetensors": (
            lambda: from_file("model.safetensors", read_safetensors),
            lambda: [writers.safetensors_bytes(tensors, {"format": "pt"}), writers.safetensors_bytes({})],
        ),
        "openai": (
            lambda: from_file("model.pt", lambda path: read_all(parse_openai_pt(path)[1])),
            lambda: [writers.openai_bytes(TOY, tensors)],
        ),
        "pickle": (
            lambda: pickle_reader,
            lambda: [writers.openai_pickle(TOY, tensors)],
        ),
        "ctranslate2": (
            lambda: from_file("model.bin", lambda path: read_all(parse_model_bin(path)[1])),
            lambda: [writers.ctranslate2_bytes(writers.ctranslate2_variables(TOY, tensors)), ctranslate2_int8()],
        ),
        "ggml": (
            lambda: from_file("model.bin", lambda path: read_all(parse_ggml(path)[1])),
            lambda: [writers.ggml_bytes(TOY, tensors, [b"a", b"bc", b""])],
        ),
        "tokenizer": (
            lambda: from_file("tokenizer.json", tokenizer),
            lambda: [json.dumps(writers.tiny_tokenizer_json()).encode()],
        ),
        "config": (config_reader, lambda: [json.dumps(writers.huggingface_config(sizes)).encode()]),
    }


def main() -> None:
    known = formats()
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        sys.exit(f"expected a format: {', '.join(known)}")
    make_reader, make_seeds = known[sys.argv[1]]
    read = make_reader()
    seeds = Path(tempfile.mkdtemp(prefix="anyon-fuzz-seeds-"))
    for number, seed in enumerate(make_seeds()):
        read(seed)
        (seeds / str(number)).write_bytes(seed)

    def one_input(content: bytes) -> None:
        try:
            read(content)
        except CheckpointError:
            return

    # libFuzzer writes what it finds into the first folder.
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(seeds)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

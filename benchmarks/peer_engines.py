"""The table of engines: what each is started with, and how its model is made from the one checkpoint."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peer_environments import interpreter, make_environment

CONVERTERS = Path(__file__).resolve().parent / "converters"


@dataclass(frozen=True)
class Peer:
    """An engine: its worker, the environment it runs in ("" is anyon's), its model's name and its settings."""

    name: str
    worker: str
    environment: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)


PEERS = (
    Peer("anyon f32", "anyon", "", "checkpoint", {"recipe": "f32"}),
    Peer("anyon int8", "anyon", "", "checkpoint", {"recipe": "int8"}),
    Peer("anyon int4", "anyon", "", "checkpoint", {"recipe": "int4"}),
    Peer("anyon-ort", "anyon", "", "checkpoint", {"backend": "onnxruntime"}),
    Peer("faster-whisper f32", "faster_whisper", "engines", "ct2-f16", {"compute_type": "float32"}),
    Peer("faster-whisper int8", "faster_whisper", "engines", "ct2-int8", {"compute_type": "int8"}),
    Peer("whisper.cpp f16", "whisper_cpp", "engines", "ggml-f16.bin"),
    Peer("whisper.cpp q8_0", "whisper_cpp", "engines", "ggml-q8_0.bin"),
    Peer("whisper.cpp q5_1", "whisper_cpp", "engines", "ggml-q5_1.bin"),
    Peer("openvino int8", "openvino", "engines", "openvino-int8"),
    Peer("onnxruntime int8", "onnxruntime", "engines", "onnxruntime-int8"),
    Peer("openai-whisper f32", "openai", "torch", "openai.pt"),
    Peer("sherpa-onnx int8", "sherpa", "engines", "sherpa-int8"),
)
BY_NAME = {peer.name: peer for peer in PEERS}
DEFAULT = tuple(peer.name for peer in PEERS if peer.name != "anyon-ort")


class Models:
    """The checkpoint in every peer's format, under root/models/<name>; each made on first use and kept."""

    def __init__(self, root: Path, name: str, checkpoint: Path) -> None:
        self.root, self.checkpoint = root, checkpoint
        self.folder = root / "models" / name
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, model: str) -> Path:
        """Raises CalledProcessError when a converter fails."""
        if model == "checkpoint" or (model == "ct2-f16" and (self.checkpoint / "model.bin").is_file()):
            return self.checkpoint
        output = self.folder / model
        if not output.exists():
            print(f"making {output}", file=sys.stderr)
            partial = self.folder / f"partial-{model}"
            if partial.is_dir():
                shutil.rmtree(partial)
            RECIPES[model](self, partial)
            partial.rename(output)
        return output

    def script(self, name: str, *arguments: Path | str) -> None:
        self.run(interpreter(self.root, "torch"), CONVERTERS / name, *arguments)

    def tool(self, name: str, *arguments: Path | str) -> None:
        """A command that a package of the environment "torch" brings."""
        self.run(interpreter(self.root, "torch").parent / name, *arguments)

    def run(self, *command: Path | str) -> None:
        make_environment(self.root, "torch")
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)


def _ggml(kind: str) -> Callable[[Models, Path], None]:
    return lambda models, out: models.script("to_ggml.py", models.checkpoint, out, kind)


def _ctranslate2(quantisation: str) -> Callable[[Models, Path], None]:
    return lambda models, out: models.tool(
        "ct2-transformers-converter",
        *("--model", models.path("huggingface"), "--quantization", quantisation, "--output_dir", out),
        *("--copy_files", "tokenizer.json", "preprocessor_config.json"),
    )


RECIPES: dict[str, Callable[[Models, Path], None]] = {
    "ggml-f16.bin": _ggml("f16"),
    "ggml-q8_0.bin": _ggml("q8_0"),
    "ggml-q5_1.bin": _ggml("q5_1"),
    "huggingface": lambda models, out: models.script("to_huggingface.py", models.checkpoint, out),
    "openai.pt": lambda models, out: models.script("to_openai.py", models.checkpoint, out),
    "onnxruntime-int8": lambda models, out: models.script("to_onnxruntime.py", models.path("openai.pt"), out),
    "sherpa-int8": lambda models, out: models.script("to_sherpa.py", models.path("openai.pt"), out),
    "openvino-int8": lambda models, out: models.tool(
        "optimum-cli",
        *("export", "openvino", "--model", models.path("huggingface"), "--weight-format", "int8"),
        *("--task", "automatic-speech-recognition-with-past", out),
    ),
    "ct2-f16": _ctranslate2("float16"),
    "ct2-int8": _ctranslate2("int8"),
}
# What an engine reads of a folder; the rest is left over from the conversion.
_READ = {
    "openvino-int8": ("openvino_*.bin", "openvino_*.xml", "*config.json"),
}


def model_bytes(path: Path) -> int:
    """Bytes of the files an engine loads."""
    if path.is_file():
        return path.stat().st_size
    files = {file for pattern in _READ.get(path.name, ("*",)) for file in path.glob(pattern) if file.is_file()}
    return sum(file.stat().st_size for file in files)

"""Generates the blueprints that the wheel carries: `python -m anyon_export.blueprints [NAME ...]`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import onnx

from anyon_export.assemble import assemble
from anyon_export.blueprint import SUFFIX, Blueprint
from anyon_export.lowering import lower
from anyon_export.models.whisper import PRESETS, Whisper, WhisperConfig
from anyon_export.onnx_export import MINIMUM_OPSET, export_onnx, fake_weights
from anyon_export.whisper_programs import decoder_spec, encoder_spec

FOLDER = Path(__file__).resolve().parents[2] / "sdk" / "anyon" / "blueprints"

# large-v1 and large-v2 are the same architecture.
NAMES = tuple(name for name in PRESETS if name != "large-v1")


def whisper_frontend(config: WhisperConfig) -> dict[str, int]:
    """Log-mel settings every Whisper model was trained with (hop and window in samples at 16 kHz)."""
    return {"sample_rate": 16000, "n_fft": 400, "hop_length": 160, "n_mels": config.n_mels, "chunk_seconds": 30}


def whisper_blueprint(
    name: str,
    config: WhisperConfig,
    opset: int = MINIMUM_OPSET,
    inspect: Callable[[str, onnx.ModelProto], None] | None = None,
) -> Blueprint:
    """Exports and lowers both programs of one architecture at full depth, without allocating its weights.

    inspect: called with each program's name and ONNX graph (shape annotations included).
    """
    with fake_weights():
        model = Whisper(config)
        specs = [encoder_spec(model), decoder_spec(model)]
        graphs = {spec.name: export_onnx(spec, opset) for spec in specs}
    if inspect is not None:
        for program, graph in graphs.items():
            inspect(program, graph)
    return assemble(
        name=f"whisper-{name}",
        family="whisper",
        task="transcribe",
        recipe="f32",
        config=asdict(config),
        frontend=whisper_frontend(config),
        lowered={spec.name: lower(graphs[spec.name], spec) for spec in specs},
        graphs=graphs,
    )


def blueprint_path(name: str, folder: Path = FOLDER) -> Path:
    return folder / f"whisper-{name}{SUFFIX}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Regenerate the Whisper blueprints.")
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], help="architectures; default all", metavar="NAME")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write them")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or NAMES:
        start = time.perf_counter()
        content = whisper_blueprint(name, PRESETS[name]).to_bytes()
        path = blueprint_path(name, arguments.folder)
        path.write_bytes(content)
        print(f"{path.name}  {len(content):,} bytes  {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

"""Core ML: two ML program packages of a Whisper model, its tokenizer, and Swift that transcribes with them.

Deployment target iOS 18 / macOS 15, the first with states. Nothing here runs Core ML; the saved packages are proved by
an interpreter of their own in the tests.
"""

from __future__ import annotations

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from anyon_export.draft import drafted
from anyon_export.target import Artefact

if TYPE_CHECKING:
    from anyon_export.checkpoints import Checkpoint
    from anyon_export.coreml.source import Source

INSTALL = "pip install 'anyon[export,coreml]'"
TOKENIZER, SWIFT = "tokenizer.json", "Transcribe.swift"


def write(checkpoint: Checkpoint, folder: str | os.PathLike[str], compression: str = "f16") -> Artefact:
    """Writes WhisperEncoder.mlpackage, WhisperDecoder.mlpackage, tokenizer.json and Transcribe.swift into `folder`.

    compression: f32, f16, int8 (per output channel), int4 (blocks of 32 inputs) or palette4 (16 values for each output
    channel); from the checkpoint's own weights, because those of a bundle may be rounded already.
    Existing files of these names are replaced once all new ones are written; the same input gives the same bytes.
    Raises ExportError and CheckpointError; then `folder` holds what it held.
    """
    from anyon_export.export import ExportError

    missing = next((name for name in ("torch", "coremltools") if find_spec(name) is None), None)
    if missing:
        raise ExportError(f"coreml: {missing} is not installed; {INSTALL}")
    from anyon_export.coreml.compress import COMPRESSIONS
    from anyon_export.coreml.source import source_of

    if compression not in COMPRESSIONS:
        raise ExportError(f"coreml: compression {compression!r}: expected {', '.join(COMPRESSIONS)}")
    source = source_of(checkpoint)
    place = Path(folder)
    try:
        with drafted(place) as draft:
            names = _write_all(source, draft, compression)
    except OSError as error:
        raise ExportError(f"{place}: cannot be written: {error.strerror or error} (is there space?)") from error
    return Artefact(
        target="coreml",
        files=tuple(place / name for name in names),
        states=f"{2 * source.model.config.n_text_layer}, float16, in place",
        notes=f"iOS 18 / macOS 15, not run here; {COMPRESSIONS[compression].notes}",
    )


def _write_all(source: Source, folder: Path, compression: str) -> list[str]:
    """The names of what was written."""
    from anyon_export.coreml.compress import COMPRESSIONS, compress, prepared
    from anyon_export.coreml.convert import convert
    from anyon_export.coreml.package import write_package
    from anyon_export.coreml.programs import decoder_program, encoder_program
    from anyon_export.coreml.tokenizer import tokenizer_json
    from anyon_export.export import ExportError

    half = COMPRESSIONS[compression].half
    facts = {
        "anyon.model": source.name,
        "anyon.source": source.origin,
        "anyon.source_sha256": source.sha256,
        "anyon.compression": compression,
        "anyon.loop": json.dumps(source.loop, sort_keys=True, separators=(",", ":")),
    }
    names = []
    prepared_model = prepared(source.model, compression)
    for make in (encoder_program, decoder_program):
        program = make(prepared_model, "float16" if half else "float32")
        name = f"{program.name}.mlpackage"
        try:
            model = compress(convert(program, half), compression)
        except Exception as error:  # torch.export's and coremltools' classes share no base
            raise ExportError(
                f"coreml: {program.name} cannot be converted: {error} (is it coremltools 9.0?)"
            ) from error
        write_package(model, program, folder / name, author=source.origin, licence=source.licence, facts=facts)
        names.append(name)
    (folder / TOKENIZER).write_text(tokenizer_json(source.tokenizer), encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name(SWIFT), folder / SWIFT)
    return [*names, TOKENIZER, SWIFT]

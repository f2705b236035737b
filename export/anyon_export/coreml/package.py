"""Writes an .mlpackage whose bytes depend on the model alone: no dates, no random ids, no versions of tools.

The format is Core ML's package: a manifest, the model's specification (protobuf), and its weights beside it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anyon_export.coreml.convert import quiet
from anyon_export.coreml.programs import Port, Program

# Of the names and meaning of inputs and outputs; a program that reads packages may ask for it.
VERSION = "1"
_DATA = "com.apple.CoreML"
_ITEMS = {"model.mlmodel": "CoreML Model Specification", "weights": "CoreML Model Weights"}


def write_package(
    model: Any, program: Program, path: Path, *, author: str, licence: str, facts: Mapping[str, str]
) -> None:
    """Writes a coremltools MLModel to the folder `path` (*.mlpackage), which must not exist yet.

    facts: what the package says of itself beside author and licence, name -> text.
    """
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "saved.mlpackage"
        with quiet():
            import coremltools as ct

            model.save(str(saved))
            spec = ct.models.utils.load_spec(str(saved))
        describe(spec, program, author, licence, facts)
        data = path / "Data" / _DATA
        data.mkdir(parents=True)
        (data / "model.mlmodel").write_bytes(spec.SerializeToString(deterministic=True))
        shutil.copytree(saved / "Data" / _DATA / "weights", data / "weights", copy_function=shutil.copyfile)
    (path / "Manifest.json").write_text(manifest(), encoding="utf-8")


def describe(spec: Any, program: Program, author: str, licence: str, facts: Mapping[str, str]) -> None:
    """Fills in what Xcode shows of a model, in place of what coremltools noted about its own run."""
    spec.mlProgram.attributes.pop("buildInfo", None)
    description, metadata = spec.description, spec.description.metadata
    metadata.shortDescription, metadata.author, metadata.license = program.meaning, author, licence
    metadata.versionString = VERSION
    metadata.userDefined.clear()
    for name, text in sorted(facts.items()):
        metadata.userDefined[name] = text
    for features, ports in (
        (description.input, program.inputs),
        (description.output, program.outputs),
        (description.state, program.states),
    ):
        _explain(features, ports)


def _explain(features: Any, ports: Sequence[Port]) -> None:
    meanings = {port.name: port.meaning for port in ports}
    names = [feature.name for feature in features]
    if sorted(names) != sorted(meanings):
        raise ValueError(f"coremltools made values {names}, the program has {list(meanings)}")
    for feature in features:
        feature.shortDescription = meanings[feature.name]


def manifest() -> str:
    """Manifest.json; each item is known by a UUID, here one that follows from its name."""
    ids = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, f"{_DATA}/{name}")) for name in _ITEMS}
    content = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            ids[name]: {"author": _DATA, "description": meaning, "name": name, "path": f"{_DATA}/{name}"}
            for name, meaning in _ITEMS.items()
        },
        "rootModelIdentifier": ids["model.mlmodel"],
    }
    return json.dumps(content, indent=4) + "\n"

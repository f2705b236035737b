"""Whisper for apps that carry TVM's small C++ runtime: machine code for each target, bytecode, and a description.

The weights stay in the bundle, whose layout the code reads as it lies in the mapped file; nothing is stored twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon_export.draft import drafted
from anyon_export.target import Artefact

if TYPE_CHECKING:
    from anyon_export.tvm.program import Weight

INSTALL = "pip install 'anyon[tvm]'"
_DTYPES = {"f32": "float32", "f16": "float16"}
BYTECODE, DESCRIPTION = "programs.vm", "tvm.json"


class TvmExportError(Exception):
    """The artefact cannot be made; says what, where, and what to try."""


def write(bundle: Path, folder: Path, targets: Sequence[str] = ("host",)) -> Artefact:
    """Compiles the programs of a bundle (recipes f32 and f16) into `folder`; its files appear when all are done.

    <target>.o     object code that registers itself when it is linked (see examples/tvm_cpp)
    programs.vm    the bytecode that calls it
    tvm.json       names of all arguments in order, and the sha256 of the bundle's data

    targets: names of anyon_export.tvm.targets.NAMES. Raises TvmExportError; an older artefact is then still there.
    """
    try:
        import tvm
    except ImportError as error:
        raise TvmExportError(f"export for tvm: {error.name} is not installed; {INSTALL}") from error
    from anyon_export.tvm.compiler import SYSTEM_PREFIX, compile_programs
    from anyon_export.tvm.errors import UnsupportedProgramError
    from anyon_export.tvm.targets import target

    manifest, weights = read_manifest(bundle)
    with drafted(folder) as draft:
        for name in targets:
            try:
                chosen = target(name)
                compiled = compile_programs(manifest["programs"], weights, chosen, static=True)
            except (UnsupportedProgramError, ValueError) as error:
                raise TvmExportError(f"{bundle}: {error}") from error
            compiled.code.write_to_file(str(draft / f"{name}.o"), "o")
            (draft / BYTECODE).write_bytes(compiled.bytecode)
            description = {
                "tvm": str(tvm.__version__),
                "data_sha256": manifest["data_sha256"],
                "system_prefix": SYSTEM_PREFIX,
                "programs": {
                    program: {"inputs": signature.inputs, "states": signature.states, "weights": signature.weights}
                    for program, signature in compiled.signatures.items()
                },
            }
            (draft / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n")
    states = sum(len(program["states"]) for program in manifest["programs"].values())
    return Artefact(
        target="tvm",
        files=tuple(folder / name for name in (*(f"{name}.o" for name in targets), BYTECODE, DESCRIPTION)),
        states=f"{states}, arguments written in place",
        notes=f"TVM {tvm.__version__}; the weights are those of the bundle, map it beside the code",
    )


def read_manifest(bundle: Path) -> tuple[dict[str, Any], dict[str, Weight]]:
    """A bundle's manifest and the tensors that a product or a table can be. Raises TvmExportError."""
    from anyon_export.bundle_reader import BundleReader
    from anyon_export.tvm.program import Weight

    try:
        reader = BundleReader(bundle)
    except ValueError as error:
        raise TvmExportError(str(error)) from error
    return reader.manifest, {
        name: Weight(_DTYPES[dtype], shape) for name, (dtype, shape) in reader.tensors().items() if dtype in _DTYPES
    }

"""Golden probes: what a program computes here, beside what it must compute. Engines that differ are refused."""

from __future__ import annotations

import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon import _native, atomic
from anyon.errors import BackendError, BundleError, translated
from anyon.machine import fingerprint
from anyon.placement import Placement

if TYPE_CHECKING:
    from anyon.backends.base import Backend
    from anyon.bundle import Bundle

# An engine that computes in 16 bits: 8 or 11 bits of mantissa through up to a hundred products.
_COARSE = {"bf16": 0.1, "f16": 0.03}


class WrongResultError(BackendError):
    """A backend computes something else than it must."""


def check(
    bundle: Bundle, program: str, session: _native.Session, placement: Placement, backend: Backend, cache: Path | None
) -> None:
    """Runs the bundle's probe of a program. Raises WrongResultError, with the difference, when the outcome is wrong.

    What was right once is not run again until the bundle, the engine or the machine is another one. A bundle without a
    probe passes.
    """
    section = bundle.manifest.get("probe")
    if not isinstance(section, dict) or program not in section.get("runs", {}):
        return
    version = backend.probe().version
    passed = None if cache is None else cache / "probes" / _name(bundle, placement, version)
    if passed is not None and passed.is_file():
        return
    computes_in = placement.precision.rpartition(" in ")[2]  # "f32 weights in bf16"
    limit = max(float(section["tolerance"]), _COARSE.get(computes_in, 0.0))
    try:
        difference = _difference(bundle, section, program, session)
    except (KeyError, IndexError, TypeError) as error:
        raise BundleError(
            f"{bundle.path}: the probe of program {program!r} is damaged: {error!r} (make the bundle again)"
        ) from error
    if not difference <= limit:
        raise WrongResultError(
            f"backend {placement.backend} computes program {program!r} wrongly on this machine: its probe is off by "
            f"{difference:.2g} of its size, {limit:g} is allowed ({placement.device}, version {version}: "
            "update it, or name another backend)"
        )
    if passed is not None:
        with suppress(OSError):
            passed.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(passed, f"{difference:.3g}\n".encode())


def _difference(bundle: Bundle, section: dict[str, Any], program: str, session: _native.Session) -> float:
    """Of the worst output of the worst run."""
    from anyon_export import probe

    def tensor(name: str) -> Any:
        with translated():
            return bundle.native.tensor(name)

    expected = iter(tensor(str(section["tensor"])))
    for before, runs in section["runs"].items():
        if before == program:
            break
        for run in runs:
            for _ in run["outputs"]:
                next(expected)
    names = [row[0] for row in session.outputs]
    dtypes = {row[0]: row[1] for row in session.outputs}
    worst = 0.0
    session.reset_states()
    try:
        for run in section["runs"][program]:
            inputs = probe.inputs_of(bundle.programs[program], run, tensor)
            with translated():
                outputs = dict(zip(names, session.run(list(inputs.values())), strict=True))
            for name in run["outputs"]:
                worst = max(worst, probe.distance(outputs[name], next(expected), dtypes[name]))
    finally:
        # The base class also clears the poisoning of sessions that are written in Python.
        _native.Session.reset_states(session)
    return worst


def _name(bundle: Bundle, placement: Placement, version: str) -> str:
    """A file's name that changes with everything the outcome may depend on."""
    runtime = os.stat(_native.__file__)
    parts = [
        *(placement.device, placement.isa, placement.precision, version),
        *(str(runtime.st_size), str(runtime.st_mtime_ns), fingerprint()),
    ]
    rest = zlib.crc32("\n".join(parts).encode())
    digest = str(bundle.manifest.get("data_sha256", ""))[:32]
    return f"{digest}-{placement.backend}-{re.sub(r'[^a-zA-Z0-9_]+', '-', placement.program)[:60]}-{rest:08x}"

"""Core ML runs the packages that an export writes, in apps on Apple's systems; from Python nothing runs here."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING

from anyon.backends.base import Capability, Prepared, Resources
from anyon.errors import BackendError

if TYPE_CHECKING:
    from anyon.bundle import Bundle

INSTALL = "pip install 'anyon[export,coreml]'"
_WRITES = "anyon export --target coreml writes packages here"


class CoreMlBackend:
    name = "coreml"

    def probe(self) -> Capability:
        """Never available; says which coremltools would write packages."""
        try:
            version = importlib.metadata.version("coremltools")
        except importlib.metadata.PackageNotFoundError:
            reason = f"{_runs()}; to write packages for it, coremltools is missing"
            return Capability(self.name, False, "", (), (), reason, INSTALL)
        return Capability(self.name, False, version, (), (), f"{_runs()}; {_WRITES} (coremltools {version})")

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> Prepared:
        raise BackendError(
            f"{bundle.path}: backend coreml does not run program {program!r}: {_runs()} "
            f"({_WRITES}, with the Swift that runs them; use backend='native')"
        )


def _runs() -> str:
    if sys.platform == "darwin":
        return "Core ML runs packages in an app, not bundles from Python"
    return "Core ML runs on macOS and iOS"


BACKEND = CoreMlBackend()

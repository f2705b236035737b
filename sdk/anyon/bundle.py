"""A bundle as the SDK sees it: the mapped file and its manifest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from anyon import _native
from anyon.errors import BundleError, translated


class Bundle:
    """One `.anyon` file, validated and mapped by the runtime; immutable, shared by any number of threads.

    The file must stay as it is while a model uses it: replace it by renaming another over it, or delete it, but never
    write into it. One that was cut is refused before each session and each transcription (BundleError); one that is
    cut while a transcription reads it ends the process (SIGBUS).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens a bundle. Raises BundleError when it is damaged, of another version, or no bundle at all."""
        self.path = Path(path)
        with translated():
            self.native = _native.Bundle(str(self.path))
        try:
            # The runtime has validated this text already: depth, sizes and every field it uses.
            self.manifest: dict[str, Any] = json.loads(self.native.manifest)
        except (ValueError, RecursionError) as error:
            raise BundleError(
                f"{self.path}: the manifest is not JSON: {error} (convert the checkpoint again)"
            ) from error

    @property
    def family(self) -> str:
        return str(self.manifest.get("family", ""))

    @property
    def recipe(self) -> str:
        return str(self.manifest.get("recipe", ""))

    @property
    def programs(self) -> dict[str, Any]:
        programs = self.manifest.get("programs", {})
        return programs if isinstance(programs, dict) else {}

    @property
    def precision(self) -> str:
        """What the weights are: the recipe's name until recipes mix precisions."""
        return self.recipe or "f32"

    def verify(self) -> None:
        """Reads all data and compares it with the manifest's sha256. Raises BundleError when they differ."""
        with translated():
            self.native.verify()

    def verify_signature(self, signature: bytes, public_key: bytes) -> None:
        """Reads the whole file and checks that `signature` is of these bytes and this file's name, made with that key.

        signature: what `model_signing sign key` wrote; public_key: PEM, ECDSA P-256. Raises SignatureError, or
        OptionError for a key that is none.
        """
        with translated():
            self.native.verify_signature(signature, public_key)

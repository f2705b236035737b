"""Files of an export that appear together when all of them are done, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder`; what was written there is moved into `folder`, or removed after an error.

    Files and folders of the same names are replaced, others in `folder` stay.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    draft.mkdir()
    try:
        yield draft
        folder.mkdir(exist_ok=True)
        for path in sorted(draft.iterdir()):
            _replace(path, folder / path.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace(new: Path, old: Path) -> None:
    """os.replace for folders too; what was there goes away with the draft."""
    if old.is_dir() and not old.is_symlink():
        os.replace(old, new.with_name(f"{new.name}.old"))
    os.replace(new, old)

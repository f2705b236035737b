"""The one exception of the checkpoint readers: what is wrong, where, and what to try."""

from __future__ import annotations

import os


class CheckpointError(Exception):
    """A checkpoint cannot be used: missing, damaged, hostile, or in a format that is not read here.

    `path` is the file or folder, `where` the place inside it (a tensor, a field, a byte offset), `hint` what to try.
    """

    def __init__(self, path: str | os.PathLike[str], where: str, what: str, hint: str = "") -> None:
        self.path = os.fspath(path)
        self.where = where
        self.what = what
        self.hint = hint
        text = ": ".join(part for part in (self.path, where, what) if part)
        super().__init__(f"{text} ({hint})" if hint else text)


DAMAGED = "an incomplete download or a damaged file? fetch it again"

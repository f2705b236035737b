"""Recordings to calibrate on, from files, folders and tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from anyon.calibration import Recording
from anyon.errors import OptionError

_SUFFIXES = {".aac", ".flac", ".m4a", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"}


def find_recordings(paths: Sequence[Path]) -> list[Recording]:
    """Files as they are, every recording below a folder, and the rows of a .tsv table with the columns `path` (beside
    the table), and if it has them `reference` and `language`. Raises OptionError for what holds none."""
    found: list[Recording] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
            if not inside:
                raise OptionError(f"{path}: no recordings in this folder (known are {', '.join(sorted(_SUFFIXES))})")
            found += [Recording(file) for file in inside]
        elif path.suffix.lower() == ".tsv":
            found += _table(path)
        elif path.is_file():
            found.append(Recording(path))
        else:
            raise OptionError(f"{path}: no such file or folder")
    return found


def _table(path: Path) -> list[Recording]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(f"{path}: cannot be read as a table: {error}") from error
    found = []
    for number, row in enumerate(rows, 2):
        name = row.get("path")
        if not name:
            raise OptionError(f"{path}: line {number}: no `path` (the first line names the columns, tabs between them)")
        recording = path.parent / name
        if not recording.is_file():
            raise OptionError(f"{path}: line {number}: {recording}: no such file")
        found.append(Recording(recording, row.get("reference") or "", row.get("language") or ""))
    if not found:
        raise OptionError(f"{path}: the table has no rows")
    return found

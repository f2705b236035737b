"""Where transcripts go: stdout, or one file per format in a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyon.errors import OutputError
from anyon.writers import FORMATS, render, write

if TYPE_CHECKING:
    from anyon.results import Transcript

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The formats asked for, the folder (None: stdout), and how subtitles are laid out."""

    formats: list[str]
    folder: Path | None
    layout: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Input → file name without the format's extension."""

    @property
    def streams_text(self) -> bool:
        """Whether segments are printed as they come."""
        return self.folder is None and self.formats == ["txt"]

    def save(self, transcript: Transcript, source: str) -> list[str]:
        """Writes one recording's transcript; returns the paths written."""
        if self.folder is None:
            if not self.streams_text:
                sys.stdout.write(render(transcript, self.formats[0], **self.layout))
                sys.stdout.flush()
            return []
        written = []
        for format in self.formats:
            path = self.folder / f"{self.names[source]}.{format}"
            layout = self.layout if format not in ("txt", "json") else {}
            written.append(str(write(transcript, path, format=format, **layout)))
        return written


def plan_outputs(files: Sequence[str], formats: Sequence[str], folder: str | None, layout: dict[str, Any]) -> Outputs:
    """Checks before any work that every transcript has a place of its own. Raises click.UsageError, OutputError."""
    chosen = _formats(formats)
    if folder is None:
        if len(chosen) > 1:
            raise click.UsageError(f"{len(chosen)} formats do not fit on stdout: give --output-dir DIR")
        if len(files) > 1 and chosen != ["txt"]:
            raise click.UsageError(
                f"{len(files)} recordings as {chosen[0]} do not fit on stdout: give --output-dir DIR"
            )
        if layout and chosen[0] in ("txt", "json"):
            raise click.UsageError(f"--{_option(layout)} is for srt, vtt, tsv and lrc: choose one with --output-format")
        return Outputs(chosen, None, layout)
    if layout and all(format in ("txt", "json") for format in chosen):
        raise click.UsageError(f"--{_option(layout)} is for srt, vtt, tsv and lrc: choose one with --output-format")
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be created: {error.strerror} (choose another --output-dir)") from error
    return Outputs(chosen, path, layout, _names(files))


def _formats(formats: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    for text in formats or ["txt"]:
        for format in text.split(","):
            wanted = list(FORMATS) if format == "all" else [format]
            if wanted[0] not in FORMATS:
                raise click.UsageError(f"--output-format {format}: expected {', '.join(FORMATS)} or all")
            chosen += [name for name in wanted if name not in chosen]
    return chosen


def _names(files: Sequence[str]) -> dict[str, str]:
    """talk.mp3 → talk; where two recordings would share a name, talk.mp3 and talk.wav keep their extension."""
    stems = ["stdin" if file == STDIN else Path(file).stem for file in files]
    names: dict[str, str] = {}
    for file, stem in zip(files, stems, strict=True):
        name = stem if stems.count(stem) == 1 or file == STDIN else Path(file).name
        if name in names.values():
            raise click.UsageError(
                f"{file}: another recording has the same name: transcribe them into different folders"
            )
        names[file] = name
    return names


def _option(layout: dict[str, Any]) -> str:
    return next(iter(layout)).replace("_", "-")

"""Finds the speech used by benchmarks and tests: the shared data folder, or the recordings inside a pip package."""

from __future__ import annotations

import csv
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

REPOSITORY = Path(__file__).resolve().parent.parent
LANGUAGE_ID_LANGUAGES = ("fr", "es", "it", "ru", "de", "ja")

# Ten English files of several sources, rates and lengths, for word times.
WORD_FILES = (
    "librispeech_test_other/1688-142285-0001.flac",
    "librispeech_test_other/2033-164914-0006.flac",
    "librispeech_test_other/2609-156975-0002.flac",
    "librispeech_test_other/3080-5032-0000.flac",
    "librispeech_test_other/367-130732-0002.flac",
    "ljspeech/LJ001-0001.flac",
    "ljspeech/LJ001-0014.flac",
    "whisper/jfk.flac",
    "moonshine/two_cities.flac",
    "asterisk/en/basic-pbx-ivr-main.flac",
)
LONG_FILE = "long/librispeech_5readers_a.flac"

# What moonshine_voice's two recordings say: the opening of A Tale of Two Cities, and a line of Worstward Ho.
TWO_CITIES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way, in short, the period was "
    "so far like the present period, that some of its noisiest authorities insisted on its being received, for good "
    "or for evil, in the superlative degree of comparison only."
)
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."


@dataclass(frozen=True)
class Utterance:
    path: Path
    seconds: float
    language: str
    reference: str
    source: str  # first folder of the path: librispeech_test_other, ljspeech, ...

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"


@dataclass(frozen=True)
class Turn:
    """One line of an .stm file: who spoke what between start and end (seconds)."""

    speaker: str
    start: float
    end: float
    text: str


def data_root() -> Path | None:
    """ANYON_TEST_DATA, else shared/data beside or inside the checkout; None where neither exists."""
    candidates = [
        os.environ.get("ANYON_TEST_DATA"),
        REPOSITORY.parent / "shared" / "data",
        REPOSITORY / "shared" / "data",
    ]
    for candidate in candidates:
        if candidate and (Path(candidate) / "speech" / "manifest.tsv").is_file():
            return Path(candidate)
    return None


def need_data() -> Path:
    root = data_root()
    if root is None:
        raise SystemExit("speech data not found: set ANYON_TEST_DATA to a folder with speech/manifest.tsv")
    return root


def utterances(root: Path) -> list[Utterance]:
    """Every row of the manifest except the long recording, in file order."""
    with open(root / "speech" / "manifest.tsv", encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        Utterance(
            root / "speech" / row["path"],
            float(row["seconds"]),
            row["language"],
            row["reference"],
            row["path"].split("/")[0],
        )
        for row in rows
        if not row["path"].startswith("long/")
    ]


def english(root: Path) -> list[Utterance]:
    return [utterance for utterance in utterances(root) if utterance.language == "en"]


def word_files(root: Path) -> list[Utterance]:
    return [u for u in utterances(root) if u.path.relative_to(root / "speech").as_posix() in WORD_FILES]


def language_files(root: Path) -> list[Utterance]:
    return [u for u in utterances(root) if u.language in LANGUAGE_ID_LANGUAGES]


def no_speech_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "no_speech").iterdir() if path.suffix in {".flac", ".mp3", ".wav", ".ogg"})


def turns(stm: Path) -> list[Turn]:
    """Reads an .stm: name, channel, speaker, start, end, text; ';;' starts a comment."""
    found = []
    for line in stm.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith(";;"):
            _, _, speaker, start, end, text = line.split(maxsplit=5)
            found.append(Turn(speaker, float(start), float(end), text))
    return found


def read_audio(path: Path) -> npt.NDArray[np.float32]:
    """Mono 16 kHz float32 samples of any file FFmpeg reads."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=16000)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)


def sound_bounds(samples: npt.NDArray[np.float32], turns: list[Turn]) -> list[tuple[float, float]]:
    """Start and end of what is heard of each turn, in seconds: its 10 ms that are louder than half-way, in decibels,
    between its quiet parts (5th percentile) and its loud parts (95th)."""
    bounds = []
    for turn in turns:
        part = samples[int(turn.start * 16000) : int(turn.end * 16000)]
        part = part[: len(part) // 160 * 160].reshape(-1, 160)
        level = np.log10(np.mean(part.astype(np.float64) ** 2, axis=1) + 1e-10)
        loud = np.flatnonzero(level > (np.percentile(level, 5) + np.percentile(level, 95)) / 2)
        bounds.append((float(turn.start + loud[0] * 0.01), float(turn.start + (loud[-1] + 1) * 0.01)))
    return bounds


def packaged_speech() -> dict[str, tuple[Path, str]]:
    """{"two_cities": (wav, text), "beckett": ...} of the pip package moonshine-voice; empty where it is missing."""
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        return {}
    assets = Path(spec.origin).parent / "assets"
    pairs = {"two_cities": (assets / "two_cities.wav", TWO_CITIES), "beckett": (assets / "beckett.wav", BECKETT)}
    return {name: pair for name, pair in pairs.items() if pair[0].is_file()}

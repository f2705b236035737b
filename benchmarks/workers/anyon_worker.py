"""anyon as a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol import Audio, Samples, serve


class Anyon:
    def import_library(self) -> None:
        import anyon  # noqa: F401

    def load(self, model: str, threads: int, backend: str = "native", **settings: Any) -> None:
        """`settings`: whatever else anyon.load takes, such as recipe="int8"."""
        import anyon

        self.model = anyon.load(model, backend=backend, threads=threads, **settings)

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        """timings["encoder"] of whole transcriptions of one token: the program as it runs in use, cross-attention's
        keys and values included."""
        options = {"beam_size": 1, "temperature": 0.0, "without_timestamps": True, "max_new_tokens": 1}
        found = []
        for _ in range(repeats):
            timings = self.model.transcribe(audio, sample_rate=16000, language="en", **options).timings
            assert timings["windows"] == 1, timings
            found.append(timings["encoder"])
        return found

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        arguments = dict(options)
        if not isinstance(audio, str):
            arguments["sample_rate"] = 16000
        if arguments.pop("only_language", False):
            # The language is decided before the first token; one token of text is the least that can be asked for.
            found = self.model.transcribe(audio, beam_size=1, temperature=0.0, max_new_tokens=1, **arguments)
            return {"language": found.language, "language_probability": found.language_probability}
        transcript = self.model.transcribe(audio, **arguments)
        segments = [
            {
                "start": segment.start,
                "end": segment.end,
                "text": segment.text,
                "tokens": [int(token) for token in segment.tokens],
                "words": [{"start": word.start, "end": word.end, "word": word.word} for word in segment.words or []],
            }
            for segment in transcript.segments
        ]
        return {
            "text": transcript.text.strip(),
            "language": transcript.language,
            "segments": segments,
            "generated": int(transcript.timings["tokens"]),
            "inside": transcript.timings,
        }

    def versions(self) -> dict[str, str]:
        import anyon

        return {"anyon": anyon.__version__, "placement": str(self.model.placement), "bundle": self.model.info["bundle"]}


if __name__ == "__main__":
    serve(Anyon())

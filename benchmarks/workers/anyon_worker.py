"""anyon as a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol import Audio, serve


class Anyon:
    def load(self, model: str, threads: int, backend: str = "native") -> None:
        import anyon

        self.model = anyon.load(model, backend=backend, threads=threads)

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
        return {"text": transcript.text.strip(), "language": transcript.language, "segments": segments}

    def versions(self) -> dict[str, str]:
        import anyon

        return {"anyon": anyon.__version__, "placement": str(self.model.placement)}


if __name__ == "__main__":
    serve(Anyon())

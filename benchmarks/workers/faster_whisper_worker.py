"""faster-whisper as a worker (CTranslate2 on the CPU)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from protocol import Audio, Samples, serve, timed


class FasterWhisper:
    def import_library(self) -> None:
        import faster_whisper  # noqa: F401

    def load(self, model: str, threads: int, compute_type: str = "float32") -> None:
        from faster_whisper import WhisperModel

        self.model = WhisperModel(model, device="cpu", compute_type=compute_type, cpu_threads=threads, num_workers=1)

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        features = self.model.feature_extractor(audio)[:, :3000]
        return timed(lambda: self.model.encode(features), repeats)

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        arguments = dict(options)
        if "logprob_threshold" in arguments:
            arguments["log_prob_threshold"] = arguments.pop("logprob_threshold")
        if arguments.pop("only_language", False):
            from faster_whisper.audio import decode_audio

            samples = decode_audio(audio) if isinstance(audio, str) else audio
            language, probability, _ = self.model.detect_language(samples)
            return {"language": language, "language_probability": float(probability)}
        if "max_new_tokens" in arguments:
            # CTranslate2 stops at half of prompt and limit together, or at the limit, whichever comes first.
            wanted, prompt = arguments["max_new_tokens"], 4 if self.model.model.is_multilingual else 2
            arguments["max_new_tokens"] = max(wanted, 2 * wanted - prompt)
        iterator, info = self.model.transcribe(audio, **arguments)
        segments = [
            {
                "start": segment.start,
                "end": segment.end,
                "text": segment.text,
                "tokens": segment.tokens,
                "words": [
                    {"start": float(word.start), "end": float(word.end), "word": word.word}
                    for word in segment.words or []
                ],
            }
            for segment in iterator
        ]
        return {
            "text": "".join(s["text"] for s in segments).strip(),
            "language": info.language,
            "segments": segments,
            "generated": sum(len(s["tokens"]) for s in segments),
        }

    def versions(self) -> dict[str, str]:
        return {name: version(name) for name in ("faster-whisper", "ctranslate2")}


if __name__ == "__main__":
    serve(FasterWhisper())

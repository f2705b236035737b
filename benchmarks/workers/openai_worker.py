"""openai-whisper as a worker (PyTorch, f32)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from protocol import Audio, Samples, need_samples, serve, timed


class OpenAi:
    def import_library(self) -> None:
        import whisper  # noqa: F401

    def load(self, model: str, threads: int) -> None:
        import torch
        import whisper

        torch.set_num_threads(threads)
        self.model = whisper.load_model(model, device="cpu")

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        import torch
        import whisper

        features = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio), self.model.dims.n_mels)[None]
        with torch.inference_mode():
            return timed(lambda: self.model.encoder(features), repeats)

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        samples = need_samples(audio)
        arguments = dict(options)
        if arguments.get("beam_size") == 1:
            # Its beam search runs for a beam of one too; None is greedy.
            arguments["beam_size"] = None
            arguments.pop("patience", None)
        if "max_new_tokens" in arguments:
            arguments["sample_len"] = arguments.pop("max_new_tokens")
        result = self.model.transcribe(samples, fp16=False, verbose=None, **arguments)
        segments = [
            {"start": s["start"], "end": s["end"], "text": s["text"], "tokens": s["tokens"], "words": []}
            for s in result["segments"]
        ]
        return {
            "text": result["text"].strip(),
            "language": result["language"],
            "segments": segments,
            "generated": sum(len(s["tokens"]) for s in segments),
        }

    def versions(self) -> dict[str, str]:
        return {name: version(name) for name in ("openai-whisper", "torch")}


if __name__ == "__main__":
    serve(OpenAi())

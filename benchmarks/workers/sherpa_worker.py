"""sherpa-onnx as a worker. It decodes one window of 30 s at a time and has no limit on tokens."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from protocol import Audio, NotOffered, Samples, need_greedy, need_samples, serve, windows


class Sherpa:
    def import_library(self) -> None:
        import sherpa_onnx  # noqa: F401

    def load(self, model: str, threads: int) -> None:
        from sherpa_onnx import OfflineRecognizer

        folder = Path(model)
        files = [str(folder / name) for name in ("encoder.onnx", "decoder.onnx", "tokens.txt")]
        self.recognizer = OfflineRecognizer.from_whisper(*files, language="en", num_threads=threads)

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        raise NotOffered("sherpa-onnx does not run the encoder alone")

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        samples = need_samples(audio)
        need_greedy(options)
        if options.get("max_new_tokens"):
            raise NotOffered("sherpa-onnx has no limit on tokens")
        texts = []
        for window in windows(samples):
            stream = self.recognizer.create_stream()
            stream.accept_waveform(16000, window)
            self.recognizer.decode_stream(stream)
            texts.append(stream.result.text.strip())
        return {"text": " ".join(texts), "segments": []}

    def versions(self) -> dict[str, str]:
        return {"sherpa-onnx": version("sherpa-onnx")}


if __name__ == "__main__":
    serve(Sherpa())

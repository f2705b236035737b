"""whisper.cpp through pywhispercpp as a worker."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from protocol import Audio, Samples, serve, timed


class WhisperCpp:
    def import_library(self) -> None:
        import pywhispercpp.model  # noqa: F401

    def load(self, model: str, threads: int) -> None:
        from pywhispercpp.model import Model

        self.models: dict[int, Any] = {}
        self.path, self.threads, self.model_class = model, threads, Model
        self._model(strategy=0)

    def _model(self, strategy: int) -> Any:
        # The sampling strategy (0 greedy, 1 beam search) is fixed when a model is made.
        if strategy not in self.models:
            self.models[strategy] = self.model_class(
                self.path,
                params_sampling_strategy=strategy,
                redirect_whispercpp_logs_to=None,
                n_threads=self.threads,
                print_progress=False,
                print_timestamps=False,
            )
        return self.models[strategy]

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        """Includes the keys and values of cross-attention: whisper.cpp makes them in the same call."""
        import _pywhispercpp

        context = self._model(strategy=0)._ctx
        _pywhispercpp.whisper_pcm_to_mel(context, audio, len(audio), self.threads)
        return timed(lambda: _pywhispercpp.whisper_encode(context, 0, self.threads), repeats)

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        temperature = options.get("temperature", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
        beam_size = options.get("beam_size") or 1
        arguments: dict[str, Any] = {
            "language": options.get("language") or "auto",
            "no_timestamps": bool(options.get("without_timestamps", False)),
            "no_context": not options.get("condition_on_previous_text", True),
            "temperature": 0.0,
            # A single temperature means: no fallback.
            "temperature_inc": 0.0 if isinstance(temperature, (int, float)) else 0.2,
            "suppress_nst": True,
            # Of a segment, 0: any number. Without timestamps a segment is a window.
            # One token more than this comes out.
            "max_tokens": options.get("max_new_tokens") or 0,
        }
        if beam_size > 1:
            arguments["beam_search"] = {"beam_size": beam_size, "patience": -1.0}
        else:
            arguments["greedy"] = {"best_of": options.get("best_of") or 1}
        segments = [
            {"start": segment.t0 / 100, "end": segment.t1 / 100, "text": segment.text, "words": []}
            for segment in self._model(1 if beam_size > 1 else 0).transcribe(audio, **arguments)
        ]
        return {"text": " ".join(s["text"].strip() for s in segments).strip(), "segments": segments}

    def versions(self) -> dict[str, str]:
        return {"pywhispercpp": version("pywhispercpp")}


if __name__ == "__main__":
    serve(WhisperCpp())

"""OpenVINO GenAI's WhisperPipeline as a worker."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from protocol import Audio, Samples, need_greedy, need_samples, serve, timed


class OpenVino:
    def import_library(self) -> None:
        import openvino_genai  # noqa: F401

    def load(self, model: str, threads: int, precision: str = "f32") -> None:
        import openvino_genai

        self.folder = Path(model)
        # Without the hint OpenVINO computes in bf16 where the machine has it.
        self.properties = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        self.pipeline = openvino_genai.WhisperPipeline(model, "CPU", **self.properties)
        self.multilingual = self.pipeline.get_generation_config().is_multilingual
        self.encoder: Any = None

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        """The encoder's file compiled a second time, with the pipeline's settings."""
        if self.encoder is None:
            import openvino

            sys.path.append(str(Path(__file__).parents[1]))
            from log_mel import LogMel

            path = self.folder / "openvino_encoder_model.xml"
            self.encoder = openvino.Core().compile_model(str(path), "CPU", self.properties).create_infer_request()
            n_mels = json.loads((self.folder / "preprocessor_config.json").read_text())["feature_size"]
            self.features = openvino.Tensor(LogMel(n_mels)(audio))
        self.encoder.set_input_tensor(self.features)
        return timed(self.encoder.infer, repeats)

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        samples = need_samples(audio)
        need_greedy(options)
        arguments: dict[str, Any] = {"max_new_tokens": options.get("max_new_tokens") or 448}
        if self.multilingual:
            arguments |= {"language": f"<|{options.get('language') or 'en'}|>", "task": "transcribe"}
        result = self.pipeline.generate(samples, **arguments)
        metrics = result.perf_metrics
        return {
            "text": " ".join(text.strip() for text in result.texts),
            "segments": [],
            "generated": metrics.get_num_generated_tokens(),
            "inside": {"ms_per_token": metrics.get_tpot().mean},
        }

    def versions(self) -> dict[str, str]:
        return {"openvino-genai": version("openvino-genai"), "openvino": version("openvino")}


if __name__ == "__main__":
    serve(OpenVino())

"""ONNX Runtime as a worker: the graphs of converters/to_onnxruntime.py in a greedy loop without copies."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from protocol import Audio, Samples, need_greedy, need_samples, serve, timed, windows

sys.path.append(str(Path(__file__).parents[1]))
from log_mel import LogMel


class OnnxRuntime:
    def import_library(self) -> None:
        import onnxruntime  # noqa: F401

    def load(self, model: str, threads: int) -> None:
        folder = Path(model)
        self.encoder = self._session(folder / "encoder.onnx", threads)
        self.decoder = self._session(folder / "decoder.onnx", threads)
        rules = json.loads((folder / "decoding.json").read_text())
        self.prompt, self.end, self.limit = rules["prompt"], rules["end"], rules["limit"]
        n_vocab = self.decoder.get_outputs()[0].shape[-1]
        self.suppressed, self.suppressed_first = (self._mask(rules[k], n_vocab) for k in ("suppress", "suppress_first"))
        with open(folder / "tokens.txt") as lines:
            self.tokens = [base64.b64decode(line.split()[0]) for line in lines]
        self.log_mel = LogMel(self.encoder.get_inputs()[0].shape[1])
        self.outputs = [output.name for output in self.decoder.get_outputs()]
        self.crossed = [output.name for output in self.encoder.get_outputs()]
        past = {i.name: i.shape for i in self.decoder.get_inputs() if i.name.startswith("past_")}
        self.empty = {
            name: np.zeros([size if isinstance(size, int) else 0 for size in shape], np.float32)
            for name, shape in past.items()
        }

    @staticmethod
    def _session(path: Path, threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    @staticmethod
    def _mask(tokens: list[int], n_vocab: int) -> Samples:
        mask = np.zeros(n_vocab, np.float32)
        mask[tokens] = -np.inf
        return mask

    def encode(self, audio: Samples, repeats: int) -> list[float]:
        """Includes the keys and values of cross-attention, which this export's encoder makes."""
        features = self.log_mel(audio)
        return timed(lambda: self.encoder.run(None, {"mel": features}), repeats)

    def _window(self, samples: Samples, limit: int) -> list[int]:
        """Greedy tokens of one window. Values stay in ONNX Runtime's memory from step to step."""
        from onnxruntime import OrtValue

        mel = OrtValue.ortvalue_from_numpy(self.log_mel(samples))
        values = dict(zip(self.crossed, self.encoder.run_with_ort_values(self.crossed, {"mel": mel}), strict=True))
        values |= {name: OrtValue.ortvalue_from_numpy(array) for name, array in self.empty.items()}
        tokens, found = self.prompt, []
        while len(found) < limit:
            values["tokens"] = OrtValue.ortvalue_from_numpy(np.array([tokens], np.int64))
            logits, *present = self.decoder.run_with_ort_values(self.outputs, values)
            scores = logits.numpy()[0, -1] + self.suppressed
            if not found:
                scores += self.suppressed_first
            token = int(scores.argmax())
            if token == self.end:
                break
            found.append(token)
            tokens = [token]
            values |= {name.replace("present_", "past_"): v for name, v in zip(self.outputs[1:], present, strict=True)}
        return found

    def transcribe(self, audio: Audio, options: Mapping[str, Any]) -> dict[str, Any]:
        samples = need_samples(audio)
        need_greedy(options)
        limit = min(self.limit, options.get("max_new_tokens") or self.limit)
        found = [self._window(window, limit) for window in windows(samples)]
        texts = [b"".join(self.tokens[t] for t in tokens if t < len(self.tokens)) for tokens in found]
        return {
            "text": " ".join(text.decode("utf-8", "replace").strip() for text in texts),
            "segments": [],
            "generated": sum(map(len, found)),
        }

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": version("onnxruntime")}


if __name__ == "__main__":
    serve(OnnxRuntime())

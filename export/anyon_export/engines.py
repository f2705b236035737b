"""Runs the two programs of a Whisper model on PyTorch, ONNX Runtime or the native runtime, for comparing them."""

from __future__ import annotations

import contextlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from anyon_export.expressions import Array
from anyon_export.models.whisper import Whisper, WhisperConfig


class Engine(ABC):
    """encode once per window, then decode chunk by chunk; the states are the engine's own."""

    name: str

    @abstractmethod
    def encode(self, mel: Array) -> list[Array]:
        """mel (batch, n_mels, 2 * frames) -> cross_key_0, cross_value_0, ... and the states are empty again."""

    @abstractmethod
    def decode(self, tokens: Array, positions: Array, select: Array, cross: Sequence[Array]) -> list[Array]:
        """-> logits (batch, rows, n_vocab), cross_query_0, ...; see models.whisper.TextDecoder.forward."""


@contextlib.contextmanager
def plain_arithmetic() -> Iterator[None]:
    """PyTorch without its fused CPU kernels, whose rounding reaches 5e-4 in Whisper's encoder; without them 5e-5."""
    with warnings.catch_warnings(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("ignore")  # torch warns about TF32 whenever oneDNN is switched
        with torch.backends.mkldnn.flags(enabled=False):
            yield


class TorchEngine(Engine):
    name = "pytorch"

    def __init__(self, model: Whisper) -> None:
        self._model = model.eval()
        self._past = model.empty_past(1)

    def encode(self, mel: Array) -> list[Array]:
        self._past = []
        with plain_arithmetic():
            pairs = self._model.encode(torch.from_numpy(mel))
        return [tensor.numpy() for pair in pairs for tensor in pair]

    def decode(self, tokens: Array, positions: Array, select: Array, cross: Sequence[Array]) -> list[Array]:
        past = self._past or self._model.empty_past(len(tokens))
        values = [torch.from_numpy(array) for array in cross]
        pairs = list(zip(values[0::2], values[1::2], strict=True))
        inputs = torch.from_numpy(tokens), torch.from_numpy(positions), torch.from_numpy(select)
        with plain_arithmetic():
            logits, queries, self._past = self._model.decoder(*inputs, pairs, past)
        return [logits.numpy(), *(query.numpy() for query in queries)]


class OnnxRuntimeEngine(Engine):
    """graphs: program -> serialized graph with external initializers; weights: program -> initializer name -> array;
    types: initializers of a type that numpy lacks (see bundle.unpack_initializer); fuse: False computes node by node,
    else products of quantised weights get quantised inputs."""

    name = "onnxruntime"

    def __init__(
        self,
        config: WhisperConfig,
        graphs: Mapping[str, bytes],
        weights: Mapping[str, Mapping[str, Array]],
        threads: int = 0,
        types: Mapping[str, str] | None = None,
        fuse: bool = True,
    ) -> None:
        import onnxruntime
        from onnx import TensorProto

        def value(name: str, array: Array) -> Any:
            if (types or {}).get(name) == "uint4":
                return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, TensorProto.UINT4)
            return onnxruntime.OrtValue.ortvalue_from_numpy(array)

        self._config = config
        self._sessions = {}
        self._weights = weights  # ONNX Runtime reads them from this memory
        for program, graph in graphs.items():
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = threads
            if not fuse:
                options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            arrays = weights[program]
            values = [value(name, array) for name, array in arrays.items()]
            options.add_external_initializers(list(arrays), values)
            self._sessions[program] = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._states: list[Array] = []

    def encode(self, mel: Array) -> list[Array]:
        self._states = []
        return list(self._sessions["encoder"].run(None, {"mel": mel}))

    def decode(self, tokens: Array, positions: Array, select: Array, cross: Sequence[Array]) -> list[Array]:
        config, session = self._config, self._sessions["decoder"]
        empty = np.zeros((len(tokens), config.n_text_head, 0, config.head_dim), np.float32)
        states = self._states or [empty] * (2 * config.n_text_layer)
        names = [value.name for value in session.get_inputs()]
        outputs = session.run(None, dict(zip(names, [tokens, positions, select, *cross, *states], strict=True)))
        self._states = outputs[1 + config.n_text_layer :]
        return list(outputs[: 1 + config.n_text_layer])


class SessionEngine(Engine):
    """Two sessions of any backend; see anyon._native.Session."""

    def __init__(self, name: str, encoder: Any, decoder: Any) -> None:
        self.name = name
        self.encoder, self.decoder = encoder, decoder

    def encode(self, mel: Array) -> list[Array]:
        self.decoder.reset_states()
        return [np.array(output) for output in self.encoder.run([np.ascontiguousarray(mel)])]

    def decode(self, tokens: Array, positions: Array, select: Array, cross: Sequence[Array]) -> list[Array]:
        values: list[Any] = [np.ascontiguousarray(array) for array in (tokens, positions, select, *cross)]
        return [np.array(output) for output in self.decoder.run(values)]


def native_engine(bundle: Path) -> SessionEngine:
    """A bundle on the native runtime, with two threads; ImportError where the extension is not built."""
    from anyon import _native

    pool, opened = _native.ThreadPool(2), _native.Bundle(str(bundle))
    return SessionEngine("native", opened.session("encoder", pool), opened.session("decoder", pool))

"""ONNX Runtime runs a bundle's graphs, driven by the same C++ loops. `pip install anyon[onnxruntime]` brings it."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyon import _native
from anyon.backends.base import Capability, Prepared, Resources, batch_of, value_rows, weights_in
from anyon.errors import BackendError, BundleError
from anyon.weights import graph_of, initializer

if TYPE_CHECKING:
    from anyon.bundle import Bundle
    from anyon_export.onnxruntime_graph import Weight

INSTALL = "pip install 'anyon[onnxruntime]'"
_CPU = "CPUExecutionProvider"
# Device -> ONNX Runtime's provider, and what brings a build that has it.
_PROVIDERS = {
    "cpu": (_CPU, INSTALL),
    "cuda": ("CUDAExecutionProvider", "pip install onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "pip install onnxruntime-gpu, and TensorRT"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "nnapi": ("NnapiExecutionProvider", "onnxruntime-android"),
    "qnn": ("QNNExecutionProvider", "pip install onnxruntime-qnn"),
    "xnnpack": ("XnnpackExecutionProvider", "onnxruntime-android, or a build with --use_xnnpack"),
    "directml": ("DmlExecutionProvider", "pip install onnxruntime-directml, on Windows"),
}
# Where states stay between runs; the CPU's memory for the others.
_MEMORY = {"cuda": "cuda", "tensorrt": "cuda"}
# onnx.TensorProto's numbers of the types that numpy lacks.
_FOREIGN_TYPES = (16, 21)  # bfloat16, uint4

Array = NDArray[Any]


class OnnxRuntimeBackend:
    name = "onnxruntime"

    def probe(self) -> Capability:
        try:
            version = importlib.metadata.version("onnxruntime")
        except importlib.metadata.PackageNotFoundError:
            return Capability(self.name, False, "", (), (), "not installed", INSTALL)
        try:
            import onnxruntime
        except Exception as error:
            return Capability(self.name, False, version, (), (), f"cannot be imported: {error}", INSTALL)
        found = onnxruntime.get_available_providers()
        if _CPU not in found:
            return Capability(self.name, False, version, (), (), f"has no {_CPU}", INSTALL)
        devices = tuple(device for device, (provider, _) in _PROVIDERS.items() if provider in found)
        return Capability(self.name, True, version, devices, ("f32",), f"installed; uses {_CPU}")

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> Prepared:
        """Builds ONNX Runtime's session from the bundle's graph and weights. Raises BackendError."""
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f"backend onnxruntime is not installed: {error} ({INSTALL})") from error
        device = resources.device or "cpu"
        provider = _provider(device, onnxruntime.get_available_providers())
        if resources.precision not in (None, "f32"):
            raise BackendError(
                f"precision={resources.precision!r}: backend onnxruntime computes as its graph says, in f32 "
                "(leave precision out)"
            )
        graph, weights = _graph_and_weights(bundle, program, device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = resources.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        values = [_value(weight.array, weight.type) for weight in weights.values()]
        options.add_external_initializers(list(weights), values)
        try:
            session = onnxruntime.InferenceSession(graph, options, providers=[provider])
        except Exception as error:  # onnxruntime's classes share no base
            raise BackendError(
                f"{bundle.path}: onnxruntime {onnxruntime.__version__} does not load program {program!r}: {error} "
                "(use backend='native')"
            ) from error
        taken = session.get_providers()
        if taken[0] != provider:
            raise BackendError(
                f"device={device!r}: onnxruntime could not start its {provider} and took {', '.join(taken)} "
                "(are its driver and libraries installed?)"
            )
        arrays = [weight.array for weight in weights.values()]
        made = OnnxSession(session, bundle.programs[program], arrays, _MEMORY.get(device, "cpu"))
        return Prepared(made, _device_names(taken), weights_in(bundle.precision, "f32"))


def _provider(device: str, found: list[str]) -> str:
    if device not in _PROVIDERS:
        raise BackendError(f"device={device!r}: backend onnxruntime runs on {', '.join(_PROVIDERS)}")
    provider, brings = _PROVIDERS[device]
    if provider not in found:
        raise BackendError(
            f"device={device!r}: the installed onnxruntime has no {provider}, only {', '.join(found)} ({brings})"
        )
    return provider


def _device_names(taken: list[str]) -> str:
    """Our names of the providers of a session. The first has the nodes that it knows, the next the others."""
    names = {provider: device for device, (provider, _) in _PROVIDERS.items()}
    return ", then ".join(names.get(provider, provider) for provider in taken)


def _graph_and_weights(bundle: Bundle, program: str, device: str) -> tuple[bytes, dict[str, Weight]]:
    """Other providers than the CPU's get the bundle's graph as it is: their kernels know standard ONNX."""
    from anyon_export.onnx_nodes import read_graph
    from anyon_export.onnxruntime_graph import Weight, fused_graph

    graph, rows = graph_of(bundle, program), bundle.manifest["onnx"][program].get("initializers", {})
    try:
        if device == "cpu":
            return fused_graph(graph, rows, lambda name, row: initializer(bundle, program, name, row))
        types = {name: tensor.type for name, tensor in read_graph(graph).weights.items()}
    except (ValueError, KeyError) as error:
        raise BundleError(f"{bundle.path}: onnx graph of program {program!r}: {error} (convert it again)") from error
    return graph, {n: Weight(initializer(bundle, program, n, row), types[n]) for n, row in rows.items()}


class OnnxSession(_native.Session):
    """One program on ONNX Runtime. States are inputs and outputs that are fed back without a copy.

    Inputs marked "broadcast" go in as they are: the exported graph takes a batch of audio that divides its own.
    """

    def __init__(self, session: Any, program: dict[str, Any], weights: list[Array], memory: str) -> None:
        super().__init__(value_rows(program["inputs"]), value_rows(program["outputs"]))
        self._session = session
        # ONNX Runtime reads external initializers from this memory as long as the session lives.
        self._weights = weights
        self._memory = memory
        self._input_specs: list[dict[str, Any]] = program["inputs"]
        self._output_names = [spec["name"] for spec in program["outputs"]]
        self._state_specs: list[dict[str, Any]] = program.get("states", [])
        self._states: dict[str, Any] = {}

    def run(self, inputs: list[Array]) -> list[Array]:
        batch = batch_of(inputs, self._input_specs)
        binding = self._session.io_binding()
        for array, spec in zip(inputs, self._input_specs, strict=True):
            binding.bind_cpu_input(spec["name"], array)
        for spec in self._state_specs:
            state = self._states.get(spec["name"])
            if state is None:
                state = _value(np.zeros(_empty_shape(spec, batch), np.float32))
            binding.bind_ortvalue_input(spec["onnx_input"], state)
        for name in self._output_names:
            binding.bind_output(name, "cpu")
        for spec in self._state_specs:
            binding.bind_output(spec["onnx_output"], self._memory)
        self._session.run_with_iobinding(binding)
        outputs = binding.get_outputs()
        first_state = len(self._output_names)
        for spec, value in zip(self._state_specs, outputs[first_state:], strict=True):
            self._states[spec["name"]] = value
        return [value.numpy() for value in outputs[:first_state]]

    def reset_states(self) -> None:
        self._states.clear()

    def reorder_states(self, rows: list[int]) -> None:
        for name, value in self._states.items():
            array = value.numpy()
            if rows != list(range(len(array))):
                self._states[name] = _value(np.ascontiguousarray(array[rows]))

    def truncate_states(self, length: int) -> None:
        for spec in self._state_specs:
            value = self._states.get(spec["name"])
            if value is None or value.shape()[spec["axis"]] <= length:
                continue
            kept = (slice(None),) * int(spec["axis"]) + (slice(0, length),)
            self._states[spec["name"]] = _value(np.ascontiguousarray(value.numpy()[kept]))

    def state_length(self) -> int:
        for spec in self._state_specs:
            value = self._states.get(spec["name"])
            return 0 if value is None else int(value.shape()[spec["axis"]])
        return 0


def _value(array: Array, type_number: int = 0) -> Any:
    """type_number: ONNX's, for what the array holds when numpy has no such type."""
    import onnxruntime

    if type_number in _FOREIGN_TYPES:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, type_number)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _empty_shape(spec: dict[str, Any], batch: int) -> list[int]:
    sizes = {"batch": batch, "past": 0}
    return [sizes[dim] if isinstance(dim, str) else int(dim) for dim in spec["shape"]]


BACKEND = OnnxRuntimeBackend()

"""ONNX Runtime runs a bundle's graphs, driven by the same C++ loops. `pip install anyon[onnxruntime]` brings it."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyon import _native
from anyon.backends.base import Capability, Resources, batch_of, value_rows
from anyon.errors import BackendError
from anyon.placement import Placement
from anyon.weights import graph_of, initializers

if TYPE_CHECKING:
    from anyon.bundle import Bundle

INSTALL = "pip install 'anyon[onnxruntime]'"
_PROVIDER = "CPUExecutionProvider"
# onnx.TensorProto's numbers of the types that numpy lacks
_ONNX_TYPES = {"uint4": 21, "bfloat16": 16}

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
        if _PROVIDER not in onnxruntime.get_available_providers():
            return Capability(self.name, False, version, (), (), f"has no {_PROVIDER}", INSTALL)
        return Capability(self.name, True, version, ("cpu",), ("f32",), f"installed; uses {_PROVIDER}")

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> _native.Session:
        """Builds ONNX Runtime's session from the bundle's graph and weights. Raises BackendError."""
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f"backend onnxruntime is not installed: {error} ({INSTALL})") from error
        if resources.device not in (None, "cpu"):
            raise BackendError(f"device={resources.device!r}: backend onnxruntime runs on cpu (leave device out)")
        if resources.precision not in (None, "f32"):
            raise BackendError(f"precision={resources.precision!r}: backend onnxruntime computes in f32")
        graph = graph_of(bundle, program)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = resources.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Products of quantised weights with activations of 8 bits, as our kernels do; the other levels are slower.
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "4")
        weights = initializers(bundle, program)
        rows = bundle.manifest["onnx"][program].get("initializers", {})
        values = [_value(array, rows[name].get("dtype")) for name, array in weights.items()]
        options.add_external_initializers(list(weights), values)
        try:
            session = onnxruntime.InferenceSession(graph, options, providers=[_PROVIDER])
        except Exception as error:  # onnxruntime's classes share no base
            raise BackendError(
                f"{bundle.path}: onnxruntime {onnxruntime.__version__} does not load program {program!r}: {error} "
                "(use backend='native')"
            ) from error
        return OnnxSession(session, bundle.programs[program], weights)

    def place(self, bundle: Bundle, program: str, resources: Resources, reason: str) -> Placement:
        return Placement(program, self.name, "cpu", "", bundle.precision, reason)


class OnnxSession(_native.Session):
    """One program on ONNX Runtime. States are inputs and outputs that are fed back without a copy.

    Inputs marked "broadcast" go in as they are: the exported graph takes a batch of audio that divides its own.
    """

    def __init__(self, session: Any, program: dict[str, Any], weights: dict[str, Array]) -> None:
        super().__init__(value_rows(program["inputs"]), value_rows(program["outputs"]))
        self._session = session
        # ONNX Runtime reads external initializers from this memory as long as the session lives.
        self._weights = weights
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
        for name in [*self._output_names, *(spec["onnx_output"] for spec in self._state_specs)]:
            binding.bind_output(name, "cpu")
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


def _value(array: Array, dtype: str | None = None) -> Any:
    """dtype: what the array holds when numpy has no such type."""
    import onnxruntime

    if dtype in _ONNX_TYPES:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, _ONNX_TYPES[dtype])
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _empty_shape(spec: dict[str, Any], batch: int) -> list[int]:
    sizes = {"batch": batch, "past": 0}
    return [sizes[dim] if isinstance(dim, str) else int(dim) for dim in spec["shape"]]


BACKEND = OnnxRuntimeBackend()

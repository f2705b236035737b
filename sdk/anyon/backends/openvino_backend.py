"""OpenVINO runs a bundle's graphs, driven by the same C++ loops. `pip install anyon[openvino]` brings it."""

from __future__ import annotations

import ctypes
import importlib.metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyon import _native
from anyon.backends.base import Capability, Prepared, Resources, batch_of, value_rows, weights_in
from anyon.errors import BackendError
from anyon.weights import graph_of, initializer

if TYPE_CHECKING:
    from anyon.bundle import Bundle

INSTALL = "pip install 'anyon[openvino]'"
_DEVICES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU", "auto": "AUTO"}
_CAPABILITIES = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}

# f64 would be computed in f32, and numpy has no bf16.
_REFUSED_TYPES = ("f64", "bf16")
# OpenVINO computes them in 32 bits with a sign.
_NARROWED = {"i64", "u64", "u32"}
_LARGEST = 2**31 - 1

Array = NDArray[Any]


class OpenVinoBackend:
    name = "openvino"

    def __init__(self) -> None:
        self._core: Any = None

    def probe(self) -> Capability:
        try:
            version = importlib.metadata.version("openvino")
        except importlib.metadata.PackageNotFoundError:
            return Capability(self.name, False, "", (), (), "not installed", INSTALL)
        try:
            core = self._opened()
            found = {name.partition(".")[0] for name in core.available_devices}
            devices = tuple(name for name, theirs in _DEVICES.items() if theirs in found or theirs == "AUTO")
            full = core.get_property("CPU", "FULL_DEVICE_NAME") if "CPU" in found else "no CPU"
        except Exception as error:
            return Capability(self.name, False, version, (), (), f"cannot be used: {error}", INSTALL)
        return Capability(self.name, True, version, devices, self._precisions("CPU"), f"installed; {full.strip()}")

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> Prepared:
        """Compiles the bundle's graph, or takes what was compiled before from the cache. Raises BackendError."""
        from anyon.backends import openvino_cache

        core = self._opened()
        graph = graph_of(bundle, program)
        _refuse_types(bundle, program)
        device = self._device(resources.device)
        precision = self._precision(device, resources.precision)
        properties = _properties(device, precision, resources.threads)
        try:
            compiled, kept = openvino_cache.compiled(
                core,
                bundle,
                program,
                device=device,
                full_name=self._full_name(device),
                properties=properties,
                root=resources.cache,
                build=lambda: _model(bundle, program, graph),
            )
            session = OpenVinoSession(compiled, bundle.programs[program], kept)
        except (RuntimeError, ValueError, KeyError) as error:
            raise BackendError(
                f"{bundle.path}: OpenVINO {core.get_versions(device)[device].build_number} does not take program "
                f"{program!r}: {error} (use backend='native' or 'onnxruntime')"
            ) from error
        return Prepared(session, self._real_device(device, compiled), weights_in(bundle.precision, precision))

    def _opened(self) -> Any:
        """openvino.Core, which finds the devices when it is first asked."""
        if self._core is None:
            try:
                import openvino
            except ImportError as error:
                raise BackendError(f"backend openvino is not installed: {error} ({INSTALL})") from error
            self._core = openvino.Core()
        return self._core

    def _device(self, asked: str | None) -> str:
        name = _DEVICES.get(asked or "cpu")
        found = sorted({device.partition(".")[0] for device in self._core.available_devices})
        here = [ours for ours, theirs in _DEVICES.items() if theirs in found or theirs == "AUTO"]
        if name is None:
            raise BackendError(
                f"device={asked!r}: backend openvino runs on {', '.join(_DEVICES)}; here: {', '.join(here)}"
            )
        if name != "AUTO" and name not in found:
            raise BackendError(
                f"device={asked!r}: OpenVINO finds no such device on this machine, only {', '.join(here)} "
                "(is its driver installed?)"
            )
        return name

    def _precisions(self, device: str) -> tuple[str, ...]:
        able = self._core.get_property("CPU" if device == "AUTO" else device, "OPTIMIZATION_CAPABILITIES")
        return tuple(ours for ours, theirs in _CAPABILITIES.items() if theirs in able)

    def _precision(self, device: str, asked: str | None) -> str:
        """OpenVINO itself takes one that the device lacks, and computes in another."""
        able = self._precisions(device)
        if asked is None:
            return able[0] if able else "f32"
        if asked not in able:
            raise BackendError(f"precision={asked!r}: {self._full_name(device)} computes in {', '.join(able)}")
        return asked

    def _full_name(self, device: str) -> str:
        return f"{device} ({str(self._core.get_property(device, 'FULL_DEVICE_NAME')).strip()})"

    def _real_device(self, device: str, compiled: Any) -> str:
        if device != "AUTO":
            return self._full_name(device)
        return ", ".join(self._full_name(name) for name in compiled.get_property("EXECUTION_DEVICES"))


def _properties(device: str, precision: str, threads: int) -> dict[str, Any]:
    # Without the hint OpenVINO rounds to bf16 or f16 by itself wherever the device has them, and keys and values to 8
    # bits.
    properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    of_cpu: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "KV_CACHE_PRECISION": precision}
    if device == "AUTO":
        return properties | {"DEVICE_PROPERTIES": {"CPU": of_cpu}}
    return properties | of_cpu if device == "CPU" else properties


def _refuse_types(bundle: Bundle, program: str) -> None:
    """OpenVINO would compute in fewer bits than the program says, without a word."""
    spec = bundle.programs[program]
    for port in [*spec["inputs"], *spec["outputs"]]:
        if port["dtype"] in _REFUSED_TYPES:
            raise BackendError(
                f"{bundle.path}: {port['name']!r} of program {program!r} is {port['dtype']}, which OpenVINO does not "
                "compute in (use backend='native' or 'onnxruntime')"
            )


def _model(bundle: Bundle, program: str, graph: bytes) -> Any:
    from anyon_export.openvino import build_model

    rows = bundle.manifest["onnx"][program].get("initializers", {})
    states = bundle.programs[program].get("states", [])
    return build_model(graph, rows, lambda name, row: initializer(bundle, program, name, row), states)


class OpenVinoSession(_native.Session):
    """One program as an OpenVINO infer request. States are variables inside it.

    Rows of the states are chosen by the input `beam_idx` of the next run, so that reordering costs nothing of its own.
    """

    def __init__(self, compiled: Any, program: dict[str, Any], kept: Any) -> None:
        super().__init__(value_rows(program["inputs"]), value_rows(program["outputs"]))
        from anyon_export.openvino import BEAMS, variable_of

        # The compiled model may read its weights from there.
        self._kept = kept
        self._request = compiled.create_infer_request()
        self._specs: list[dict[str, Any]] = program["inputs"]
        self._outputs = [spec["name"] for spec in program["outputs"]]
        states = program.get("states", [])
        self._axes = {variable_of(spec): int(spec["axis"]) for spec in states}
        self._beams = BEAMS if states else ""
        # Rows that the next run takes; None: as they are.
        self._rows: list[int] | None = None
        self._chosen = np.empty(0, np.int32)
        self._empty = True
        # (address, shape) of what the request has as each input: what the caller holds from run to run is set once.
        self._given: dict[str, tuple[int, tuple[int, ...]]] = {}

    def run(self, inputs: list[Array]) -> list[Array]:
        for array, spec in zip(inputs, self._specs, strict=True):
            if spec["dtype"] in _NARROWED and array.size and not -_LARGEST <= array.min() <= array.max() <= _LARGEST:
                raise BackendError(
                    f"input {spec['name']!r} has values beyond 32 bits, in which OpenVINO computes whole numbers "
                    "(use backend='native' or 'onnxruntime')"
                )
            self._give(spec["name"], array)
        if self._beams:
            batch = batch_of(inputs, self._specs)
            chosen = range(batch) if self._rows is None or self._empty else self._rows
            if len(self._chosen) != len(chosen):
                self._chosen = np.empty(len(chosen), np.int32)
            self._chosen[:] = chosen
            self._give(self._beams, self._chosen)
        try:
            self._request.infer()
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed while it ran: {error}") from error
        self._rows, self._empty = None, False
        # Copies: the request writes its next results into the same memory.
        return [np.array(self._request.get_tensor(name).data) for name in self._outputs]

    def _give(self, name: str, array: Array) -> None:
        where = (array.ctypes.data, array.shape)
        if self._given.get(name) != where:
            self._request.set_tensor(name, _tensor_over(array))
            self._given[name] = where

    def reset_states(self) -> None:
        self._request.reset_state()
        self._rows, self._empty = None, True

    def reorder_states(self, rows: list[int]) -> None:
        before = self._rows
        self._rows = list(rows) if before is None else [before[row] for row in rows]

    def truncate_states(self, length: int) -> None:
        import openvino

        if length == 0:
            self.reset_states()
        if self._empty:
            return
        for state in self._request.query_state():
            axis = self._axes[state.name]
            value = state.state
            if value.shape[axis] > length:
                kept = (slice(None),) * axis + (slice(0, length),)
                state.state = openvino.Tensor(np.ascontiguousarray(value.data[kept]))

    def state_length(self) -> int:
        if self._empty or not self._axes:
            return 0
        state = self._request.query_state()[0]
        return int(state.state.shape[self._axes[state.name]])


def _tensor_over(array: Array) -> Any:
    """A tensor in the array's memory, which must live until the run is over.

    openvino refuses arrays that are read-only, as the inputs of a loop are, though it only reads inputs.
    """
    import openvino

    if not array.flags.writeable and array.nbytes:
        memory = (ctypes.c_ubyte * array.nbytes).from_address(array.ctypes.data)
        array = np.ctypeslib.as_array(memory).view(array.dtype).reshape(array.shape)
    return openvino.Tensor(array, shared_memory=True)


BACKEND = OpenVinoBackend()

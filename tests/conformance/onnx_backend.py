"""The native backend as ONNX's own test runner drives a backend: import, bundle, session, run."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep
from onnx.helper import tensor_dtype_to_np_dtype

from anyon import _native
from anyon_export.bundle import bundle_bytes
from anyon_export.graph.functions import expand_functions
from anyon_export.graph.program import GraphError, to_program

UNSUPPORTED_OP = 301  # Status::kUnsupportedOp of the runtime
POOL = _native.ThreadPool(2)
NATIVE_OPS = {name for name, _, _ in _native.graph_ops()}


class NativeModel(BackendRep):
    """A model in a session of the native backend. Unsupported ops, types and attributes are unittest.SkipTest."""

    def __init__(self, model: onnx.ModelProto) -> None:
        try:
            program = to_program(expand_functions(model, NATIVE_OPS))
        except GraphError as error:
            raise unittest.SkipTest(str(error)) from error
        self._bundle = _native.Bundle.from_bytes(
            bundle_bytes({"programs": {"main": program.section}}, program.tensors), "case"
        )
        self._outputs = list(model.graph.output)
        self._section = program.section
        self._session = self._supported(lambda: self._bundle.session("main", POOL))

    def run(self, inputs: Sequence[Any], **_: Any) -> tuple[Any, ...]:
        arrays = [
            self._stored(array, port["dtype"]) for array, port in zip(inputs, self._section["inputs"], strict=False)
        ]
        results = self._supported(lambda: self._session.run(arrays))
        return tuple(
            self._typed(array, info.type.tensor_type.elem_type)
            for array, info in zip(results, self._outputs, strict=True)
        )

    @staticmethod
    def _supported(call: Any) -> Any:
        try:
            return call()
        except _native.AnyonNativeError as error:
            if error.status == UNSUPPORTED_OP:
                raise unittest.SkipTest(str(error).splitlines()[-1].split("program 'main': ")[-1].strip()) from error
            raise

    @staticmethod
    def _stored(array: Any, dtype: str) -> Any:
        """Values of narrow types lie in a wider one; numpy has no bfloat16, its bits are handed over."""
        if dtype == "bf16":
            return np.array(array, order="C").view(np.uint16)
        wide = {"i8": np.int8, "u8": np.uint8, "f32": np.float32}.get(dtype)
        array = np.asarray(array)
        return np.array(array.astype(wide) if wide is not None else array, order="C", copy=None)

    @staticmethod
    def _typed(array: Any, elem_type: int) -> Any:
        dtype = tensor_dtype_to_np_dtype(elem_type)
        if elem_type == onnx.TensorProto.BFLOAT16:
            return array.view(dtype)
        return array.astype(dtype, copy=False)


class NativeBackend(Backend):
    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> NativeModel:
        return NativeModel(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"

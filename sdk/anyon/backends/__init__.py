"""The engines that can run a bundle's programs. One file each, imported when somebody asks for it."""

from __future__ import annotations

import importlib

from anyon.backends.base import Backend
from anyon.errors import OptionError

# In the order in which backend="auto" tries them where nothing was measured. ONNX Runtime computes whole numbers of 64
# bits as they are, OpenVINO does not.
NAMES = ("native", "onnxruntime", "openvino")
# These, and those that are only used when they are asked for by name.
KNOWN = (*NAMES, "tvm", "coreml")


def get_backend(name: str) -> Backend:
    """The backend of that name; OptionError when there is none. Its library is not loaded yet."""
    if name not in KNOWN:
        raise OptionError(f"backend={name!r}: expected auto, {', '.join(KNOWN)}")
    module = importlib.import_module(f"anyon.backends.{name}_backend")
    backend: Backend = module.BACKEND
    return backend

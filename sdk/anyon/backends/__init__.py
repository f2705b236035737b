"""The engines that can run a bundle's programs. One file each, imported when somebody asks for it."""

from __future__ import annotations

import importlib

from anyon.backends.base import Backend, Capability
from anyon.errors import OptionError

# In the order in which backend="auto" tries them.
NAMES = ("native", "onnxruntime")
# Known, never chosen: what is exported for them runs elsewhere.
EXPORT_ONLY = ("coreml",)


def get_backend(name: str) -> Backend:
    """The backend of that name; OptionError when there is none. Its library is not loaded yet."""
    if name not in (*NAMES, *EXPORT_ONLY):
        raise OptionError(f"backend={name!r}: expected auto, {', '.join(NAMES)}")
    module = importlib.import_module(f"anyon.backends.{name}_backend")
    backend: Backend = module.BACKEND
    return backend


def probe_all() -> list[Capability]:
    """What each backend can do on this machine."""
    return [get_backend(name).probe() for name in (*NAMES, *EXPORT_ONLY)]

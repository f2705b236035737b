"""The runtime of this project: C++ kernels, nothing to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyon import _native
from anyon.backends.base import Capability, Prepared, Resources
from anyon.errors import BackendError, translated

if TYPE_CHECKING:
    from anyon.bundle import Bundle


class NativeBackend:
    name = "native"

    def probe(self) -> Capability:
        info = _native.build_info()
        return Capability(
            backend=self.name,
            available=True,
            version=str(info.get("version", "")),
            devices=("cpu",),
            precisions=("f32", "int8"),
            reason=f"built in; can use {', '.join(_native.supported_isas())}",
            isa=selected_isa(None),
        )

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> Prepared:
        if resources.device not in (None, "cpu"):
            raise BackendError(f"device={resources.device!r}: backend native runs on cpu (name a backend that has it)")
        if resources.precision is not None:
            raise BackendError(
                f"precision={resources.precision!r}: backend native computes as the recipe says "
                "(leave precision out, and choose with recipe=)"
            )
        with translated():
            session = bundle.native.session(program, resources.pool, resources.isa)
        return Prepared(session, "cpu", bundle.precision, isa=selected_isa(resources.isa))


def selected_isa(isa: str | None) -> str:
    """The ISA kernels will use: the argument, else ANYON_ISA, else the best. BackendError for one that is not here."""
    supported = _native.supported_isas()
    if isa is not None and isa not in supported:
        raise BackendError(f"isa={isa!r}: this machine supports {', '.join(supported)}")
    with translated():
        return isa or _native.isa()


BACKEND = NativeBackend()

"""What every backend answers: can it run here, and a session for a program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from anyon.placement import Placement

if TYPE_CHECKING:
    from anyon import _native
    from anyon.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Capability:
    """What a backend can do on this machine."""

    backend: str
    available: bool
    version: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    reason: str
    """Why it is available, or why not."""
    install: str = ""
    """The command that would make it available; "" when nothing is missing."""
    isa: str = ""
    """Instruction set it will use; "" where the engine chooses and does not say."""


# What `device=` and `precision=` may say; which of them a backend has, its probe tells.
DEVICES = (
    *("cpu", "gpu", "npu", "auto"),
    *("cuda", "tensorrt", "coreml", "nnapi", "qnn", "xnnpack", "directml"),
)
PRECISIONS = ("f32", "bf16", "f16")


@dataclass(frozen=True, slots=True)
class Resources:
    """What an engine may use, and what was asked of it."""

    threads: int
    pool: _native.ThreadPool
    """What our own code runs on."""
    isa: str | None
    """Of the native kernels; None: the best."""
    device: str | None = None
    """One of DEVICES; None: the backend's own choice. A backend that lacks it raises BackendError."""
    precision: str | None = None
    """What the engine computes in, one of PRECISIONS; None: the backend's own choice."""
    cache: Path | None = None
    """Folder for what an engine compiles; None: the user's cache folder."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session, and what the engine really took for it; as in Placement."""

    session: _native.Session
    device: str
    precision: str
    isa: str = ""
    note: str = ""
    """Added to the placement's reason."""

    def placement(self, program: str, backend: str, reason: str) -> Placement:
        told = f"{reason}; {self.note}" if self.note else reason
        return Placement(program, backend, self.device, self.isa, self.precision, told)


class Backend(Protocol):
    """An engine. `prepare` raises BackendError when it is missing or cannot run this program."""

    name: str

    def probe(self) -> Capability: ...

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> Prepared: ...


def value_rows(specs: list[dict[str, Any]]) -> list[_native.ValueRow]:
    """Inputs or outputs of a program in the manifest, as a session declares them."""
    return [(spec["name"], spec["dtype"], [str(dim) for dim in spec["shape"]]) for spec in specs]


def batch_of(inputs: list[Any], specs: list[dict[str, Any]]) -> int:
    """Rows of a run: what the inputs have that are no broadcast ones."""
    for array, spec in zip(inputs, specs, strict=True):
        if spec["shape"][:1] == ["batch"] and not spec.get("broadcast"):
            return len(array)
    return 1


def weights_in(weights: str, arithmetic: str) -> str:
    """A placement's precision: what weights are stored as and what products are computed in."""
    return weights if weights == arithmetic else f"{weights} weights in {arithmetic}"

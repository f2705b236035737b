"""What TVM compiles for: LLVM's description of each target, and how many vectors its registers hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOST = "host"
# Vectors of 16 floats beside what feeds them: 24 of 32 registers with AVX-512, 24 of 32 quarter ones on ARM, 12 of 16
# halves with AVX2.
_WIDE, _NARROW = 24, 6


@dataclass(frozen=True)
class Target:
    """llvm: TVM's target as a mapping; accumulators: see tile.Registers."""

    name: str
    llvm: dict[str, Any]
    accumulators: int

    @property
    def key(self) -> str:
        """The same for equal targets, on any machine."""
        return json.dumps([self.llvm, self.accumulators], sort_keys=True)


_CROSS: Mapping[str, dict[str, Any]] = {
    "aarch64-linux": {"mtriple": "aarch64-linux-gnu"},
    "aarch64-linux-android": {"mtriple": "aarch64-linux-android"},
    "arm64-apple-ios": {"mtriple": "arm64-apple-ios13.0.0"},
    "wasm32": {"mtriple": "wasm32-unknown-unknown-wasm", "mattr": ["+simd128"]},
}
NAMES = (HOST, *_CROSS)


def target(name: str) -> Target:
    """The target of that name; "host" is this machine's processor. ValueError when there is none."""
    if name != HOST and name not in _CROSS:
        raise ValueError(f"tvm target {name!r}: expected {', '.join(NAMES)}")
    if name != HOST:
        return Target(name, {"kind": "llvm", **_CROSS[name]}, _NARROW)
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    llvm = {"kind": "llvm", "mcpu": str(codegen.llvm_get_system_cpu())}
    wide = bool(codegen.target_has_features("avx512f", TvmTarget(llvm)))
    return Target(name, llvm, _WIDE if wide else _NARROW)

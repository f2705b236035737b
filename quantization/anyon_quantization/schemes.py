"""Schemes by name."""

from __future__ import annotations

import re

from anyon_quantization.float16 import Float16
from anyon_quantization.float32 import Float32
from anyon_quantization.int4 import Int4
from anyon_quantization.int8 import Int8
from anyon_quantization.matrix import QuantizationError, Scheme

_INT4 = re.compile(r"int4(?:-g(\d+))?(-sym)?")
_OTHERS: dict[str, Scheme] = {scheme.name: scheme for scheme in (Float32(), Float16(), Int8())}
NAMES = (*_OTHERS, "int4", "int4-g32", "int4-g64", "int4-g128", "int4-g64-sym")


def scheme(name: str) -> Scheme:
    """f32, f16, int8, int4 (groups of 64), int4-g32, int4-g128-sym, ... QuantizationError for anything else."""
    if name in _OTHERS:
        return _OTHERS[name]
    found = _INT4.fullmatch(name)
    if found is None:
        raise QuantizationError(f"scheme {name!r}: expected one of {', '.join(NAMES)}")
    return Int4(int(found[1] or 64), bool(found[2]))

"""Vectors of 16 floats in TVM's tensor IR: loads, stores, sums, exp and GELU.

16 is the width of the panels in which bundles keep their weights; LLVM splits it where registers are narrower. The
polynomials are those of runtime_cpp/kernels/simd_math.h, where their errors stand.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

LANES = 16
VECTOR = f"float32x{LANES}"
LOWEST = -3.4e38

Vector = Any
Buffer = Any

_BYTES = {"float32": 4, "float16": 2, "int64": 8}
_LOG2_E = 1.44269504
_EXP2 = (0.0013264727, 0.009671513, 0.055507336, 0.24022242, 0.693147, 1.0)
_GELU = (
    3.445653e-08,
    -1.0530155e-06,
    1.1458026e-05,
    -2.750899e-05,
    -0.0005901695,
    0.0077658934,
    -0.053079184,
    -0.45897335,
    -1.1511395,
    -1.0,
)


def argument(name: str, shape: tuple[Any, ...], dtype: str) -> Buffer:
    """An argument of the function that is being built; callers need not align it to more than its elements."""
    return T.match_buffer(T.arg(name, T.handle()), shape, dtype, align=_BYTES[dtype])


def all_lanes(value: Any) -> Vector:
    """A number in every lane; Python numbers become f32."""
    return T.broadcast(T.float32(value) if isinstance(value, float) else value, LANES)


def load(buffer: Buffer, *index: Any) -> Vector:
    """16 values from `index` on along the last dimension, as f32."""
    place = (*index[:-1], T.ramp(index[-1], 1, LANES))
    value = buffer[place]
    return value if str(buffer.dtype) == "float32" else T.cast(value, VECTOR)


def store(buffer: Buffer, value: Vector, *index: Any) -> None:
    T.buffer_store(buffer, value, [*index[:-1], T.ramp(index[-1], 1, LANES)])


def small_buffer(size: int) -> Buffer:
    """Up to 255 floats that LLVM can keep in registers: larger ones, and other scopes, are taken from the heap."""
    return T.alloc_buffer((size,), "float32", scope="global")


def sum_lanes(value: Vector) -> Any:
    return _fold(value, lambda a, b: a + b)


def max_lanes(value: Vector) -> Any:
    return _fold(value, T.max)


def _fold(value: Vector, join: Any) -> Any:
    """Halves joined until one number is left: an order of its own, the same on every machine."""
    width = LANES
    while width > 2:
        width //= 2
        half = f"float32x{width}"
        bound = T.Bind(value)
        value = join(T.vectorlow(half, bound), T.vectorhigh(half, bound))
    bound = T.Bind(value)
    return T.Bind(join(tirx.Shuffle([bound], [0]), tirx.Shuffle([bound], [1])))


def exp(x: Vector) -> Vector:
    """e^x for x <= 0; 0 below -87."""
    return _exp2(T.Bind(T.max(x * all_lanes(_LOG2_E), all_lanes(-127.0))))


def gelu(x: Vector) -> Vector:
    """x * Phi(x) = max(x, 0) - t * Q(t), t = |x| and Q the Gaussian tail, whose -log2 is a polynomial."""
    t = T.Bind(T.min(T.max(x, -x), all_lanes(8.0)))
    power = T.Bind(T.max(_polynomial(_GELU, t), all_lanes(-127.0)))
    return T.fma(-t, _exp2(power), T.max(x, all_lanes(0.0)))


def _exp2(x: Vector) -> Vector:
    """2^x for -127 <= x <= 127."""
    whole = T.Bind(T.nearbyint(x))
    fraction = T.Bind(x - whole)
    exponent = T.cast(whole, f"int32x{LANES}") + T.broadcast(T.int32(127), LANES)
    bits = exponent << T.broadcast(T.int32(23), LANES)
    return _polynomial(_EXP2, fraction) * T.reinterpret(VECTOR, bits)


def _polynomial(coefficients: tuple[float, ...], x: Vector) -> Vector:
    value = all_lanes(coefficients[0])
    for coefficient in coefficients[1:]:
        value = T.Bind(T.fma(value, x, all_lanes(coefficient)))
    return value

// Four 16-bit floats as 32 bits, exactly, on WebAssembly's vectors: half_value.h's arithmetic.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

namespace anyon {

inline v128_t half_vector(const uint16_t* x) {
  const v128_t bits = wasm_u32x4_load16x4(x);
  const v128_t sign = wasm_i32x4_shl(wasm_v128_and(bits, wasm_i32x4_const_splat(0x8000)), 16);
  const v128_t size = wasm_v128_and(bits, wasm_i32x4_const_splat(0x7FFF));
  const v128_t moved = wasm_f32x4_mul(wasm_i32x4_shl(size, 13), wasm_i32x4_const_splat(239 << 23));
  const v128_t is_special = wasm_i32x4_gt(size, wasm_i32x4_const_splat(0x7BFF));
  const v128_t special = wasm_v128_and(is_special, wasm_i32x4_const_splat(0x7F800000));
  return wasm_v128_or(wasm_v128_or(moved, special), sign);
}

}  // namespace anyon

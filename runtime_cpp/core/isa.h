// Which instruction set the kernels use: detected once, forced by the environment variable ANYON_ISA.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anyon {

// In rising order of preference on one machine; kScalar is plain C++ and runs everywhere. Those with integer dot
// products contain the one before them without.
enum class Isa : uint8_t {
  kScalar,
  kNeon,
  kNeonDot,   // dotprod: 4 products of 8 bits into each 32-bit lane
  kNeonI8mm,  // i8mm: 2 x 2 sums of 8 products
  kAvx2,
  kAvxVnni,  // AVX2 with AVX-VNNI
  kAvx512,   // F, BW, DQ, VL
  kAvx512Vnni,
  kWasmSimd,  // WebAssembly's fixed-width vectors
};

// "scalar", "neon", "neondot", "neoni8mm", "avx2", "avxvnni", "avx512", "avx512vnni" or "wasmsimd".
const char* name(Isa isa);

// The ISA whose code runs where there is none for `isa`, or `isa` itself when there is none to fall back to.
Isa fallback(Isa isa);

// `isa` without integer dot products: what code in floating point is written for.
Isa float_isa(Isa isa);

// What this build contains and this machine can run, slowest first; never empty.
std::vector<Isa> supported_isas();

// The fastest of supported_isas(); an emulated ISA (test builds) is never the best one.
Isa best_isa();

// The ISA called `text`. Throws Error(kUnsupportedIsa), naming those supported, when it is unknown or cannot run here.
Isa parse_isa(std::string_view text);

// best_isa(), or what ANYON_ISA names if it is set and not empty (throws as parse_isa).
Isa selected_isa();

}  // namespace anyon

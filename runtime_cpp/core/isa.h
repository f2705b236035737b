// Which instruction set the kernels use: detected once, forced by the environment variable ANYON_ISA.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anyon {

// In rising order of preference on one machine; kScalar is plain C++ and runs everywhere.
enum class Isa : uint8_t { kScalar, kNeon, kAvx2, kAvx512 };

// "scalar", "neon", "avx2" or "avx512".
const char* name(Isa isa);

// What this build contains and this machine can run, slowest first; never empty.
std::vector<Isa> supported_isas();

// The fastest of supported_isas(); an emulated ISA (test builds) is never the best one.
Isa best_isa();

// The ISA called `text`. Throws Error(kUnsupportedIsa), naming those supported, when it is unknown or cannot run here.
Isa parse_isa(std::string_view text);

// best_isa(), or what ANYON_ISA names if it is set and not empty (throws as parse_isa).
Isa selected_isa();

}  // namespace anyon

// CPU detection and the ANYON_ISA override.
#include "core/isa.h"

#include <cstdlib>

#include "core/status.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace anyon {
namespace {

#if defined(__x86_64__)
bool has_avx2() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
  // __builtin_cpu_supports also asks whether the operating system saves the wide registers.
  return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

std::vector<Isa> native_isas() {
  std::vector<Isa> isas = {Isa::kScalar};
#if defined(__aarch64__)
  isas.push_back(Isa::kNeon);  // every AArch64 core has it
#elif defined(__x86_64__)
  if (has_avx2()) isas.push_back(Isa::kAvx2);
  if (has_avx512()) isas.push_back(Isa::kAvx512);
#endif
  return isas;
}

}  // namespace

const char* name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kNeon:
      return "neon";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas = native_isas();
#if defined(ANYON_EMULATE_AVX512)
  if (isas.back() != Isa::kAvx512) isas.push_back(Isa::kAvx512);
#endif
  return isas;
}

Isa best_isa() {
  return native_isas().back();
}

Isa parse_isa(std::string_view text) {
  std::string known;
  for (const Isa isa : supported_isas()) {
    if (text == name(isa)) return isa;
    if (!known.empty()) known += ", ";
    known += name(isa);
  }
  throw Error(Status::kUnsupportedIsa, "isa: '" + std::string(text) +
                                           "' cannot run here: this build on this machine supports " + known +
                                           "; use one of these or leave ANYON_ISA unset");
}

Isa selected_isa() {
  const char* forced = std::getenv("ANYON_ISA");
  return forced == nullptr || *forced == '\0' ? best_isa() : parse_isa(forced);
}

}  // namespace anyon

// CPU detection and the ANYON_ISA override.
#include "core/isa.h"

#include <cstdlib>

#include "core/status.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
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

bool has_avx_vnni() {
  constexpr unsigned kAvxVnniBit = 1u << 4;  // leaf 7, subleaf 1, EAX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnniBit) != 0;
}

bool has_avx512_vnni() {
  return has_avx512() && __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
// Linux tells in the auxiliary vector; every Apple core since the M1 has dotprod.
bool has_dotprod() {
#if defined(__linux__)
  constexpr unsigned long kAsimdDotProduct = 1ul << 20;
  return (getauxval(AT_HWCAP) & kAsimdDotProduct) != 0;
#elif defined(__APPLE__)
  return true;
#else
  return false;
#endif
}

bool has_i8mm() {
#if defined(__linux__)
  constexpr unsigned long kInt8MatrixMultiply = 1ul << 13;
  return has_dotprod() && (getauxval(AT_HWCAP2) & kInt8MatrixMultiply) != 0;
#else
  return false;
#endif
}
#endif

std::vector<Isa> native_isas() {
  std::vector<Isa> isas = {Isa::kScalar};
#if defined(__aarch64__)
  isas.push_back(Isa::kNeon);  // every AArch64 core has it
#if !defined(ANYON_WITHOUT_NEONDOT)
  if (has_dotprod()) isas.push_back(Isa::kNeonDot);
#endif
#if !defined(ANYON_WITHOUT_NEONI8MM)
  if (has_i8mm()) isas.push_back(Isa::kNeonI8mm);
#endif
#elif defined(__x86_64__)
  if (has_avx2()) isas.push_back(Isa::kAvx2);
#if !defined(ANYON_WITHOUT_AVXVNNI)
  if (has_avx_vnni()) isas.push_back(Isa::kAvxVnni);
#endif
#if !defined(ANYON_WITHOUT_AVX512)
  if (has_avx512()) isas.push_back(Isa::kAvx512);
#endif
#if !defined(ANYON_WITHOUT_AVX512VNNI)
  if (has_avx512_vnni()) isas.push_back(Isa::kAvx512Vnni);
#endif
#elif defined(__wasm_simd128__)
  isas.push_back(Isa::kWasmSimd);  // a module with vectors is refused as a whole where there are none
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
    case Isa::kNeonDot:
      return "neondot";
    case Isa::kNeonI8mm:
      return "neoni8mm";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kWasmSimd:
      return "wasmsimd";
  }
  return "unknown";
}

Isa fallback(Isa isa) {
  switch (isa) {
    case Isa::kNeonI8mm:
      return Isa::kNeonDot;
    case Isa::kNeonDot:
      return Isa::kNeon;
    case Isa::kAvx512Vnni:
      return Isa::kAvx512;
    case Isa::kAvx512:
    case Isa::kAvxVnni:
      return Isa::kAvx2;
    default:
      return isa;
  }
}

Isa float_isa(Isa isa) {
  if (isa == Isa::kAvx512Vnni) return Isa::kAvx512;
  if (isa == Isa::kAvxVnni) return Isa::kAvx2;
  return isa == Isa::kNeonDot || isa == Isa::kNeonI8mm ? Isa::kNeon : isa;
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas = native_isas();
#if defined(ANYON_EMULATE_AVX512)
  if (isas.back() < Isa::kAvx512) isas.push_back(Isa::kAvx512);
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
  throw_error(Status::kUnsupportedIsa, {"isa: '", text, "' cannot run here: this build on this machine supports ",
                                        known, "; use one of these or leave ANYON_ISA unset"});
}

Isa selected_isa() {
  const char* forced = std::getenv("ANYON_ISA");
  return forced == nullptr || *forced == '\0' ? best_isa() : parse_isa(forced);
}

}  // namespace anyon

// How the rows of a kernels.inc become a dispatch table: ANYON_KERNEL(function, isa, op), one row per kernel.
// A kernel exists if and only if it has a row; dispatch, tests and benchmarks iterate over the rows.
#pragma once

#include <span>
#include <string>

#include "core/isa.h"
#include "core/status.h"

namespace anyon {

template <class Function>
struct KernelRow {
  const char* name;
  Isa isa;
  Function* function;
};

// The first row for `isa`, or for the nearest ISA it contains. Throws Error(kUnsupportedIsa) when this build has none.
template <class Function>
Function* kernel_for(std::span<const KernelRow<Function>> rows, Isa isa, const char* op) {
  for (Isa wanted = isa;; wanted = fallback(wanted)) {
    for (const KernelRow<Function>& row : rows) {
      if (row.isa == wanted) return row.function;
    }
    if (fallback(wanted) == wanted) break;
  }
  throw_error(Status::kUnsupportedIsa,
              {op, ": this build has no kernel for ", name(isa), "; pick one of supported_isas()"});
}

}  // namespace anyon

// The structs that callers fill: defaults, sizes of other versions, and what they mean to the runtime.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "anyon/anyon.h"
#include "capi/guard.h"
#include "core/status.h"
#include "pipelines/transcribe_options.h"

namespace anyon::capi {

// Far beyond any struct of any version: a size that was never set.
inline constexpr size_t kLargestParams = 4096;

// The caller's struct as this version knows it: what the caller's version lacks has its default. Throws Error
// kInvalidArgument for a size that cannot be, kUnsupportedOption for fields of a newer version that are not zero.
template <class Params>
Params read_params(const Params* given, Params defaults, const char* name) {
  if (given == nullptr) return defaults;
  const size_t size = given->size;
  if (size < sizeof(size_t) || size > kLargestParams || size % alignof(Params) != 0) {
    refuse({name, ": size is ", size, ": take the struct from ", name, "_default()"});
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof(Params); i < size; ++i) {
    if (bytes[i] == 0) continue;
    throw_error(Status::kUnsupportedOption,
                {name, ": a field that anyon ", anyon_version(), " does not know is set: use a newer library"});
  }
  std::memcpy(&defaults, given, std::min(size, sizeof(Params)));
  return defaults;
}

TranscribeOptions transcribe_options(const anyon_transcribe_params& params);

}  // namespace anyon::capi

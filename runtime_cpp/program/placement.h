// Where a program really runs, and why: what placement tables show.
#pragma once

#include <cstdint>
#include <string>

namespace anyon {

struct Placement {
  std::string program;
  std::string backend;    // "native"
  std::string device;     // "cpu"
  std::string isa;        // "avx2"
  std::string precision;  // dtype of most weight bytes: "f32"
  int64_t ops = 0;
  int64_t weight_bytes = 0;  // in the mapped bundle
  int64_t arena_bytes = 0;   // values and scratch, as of now
  int64_t state_bytes = 0;   // as of now
  std::string reason;
};

}  // namespace anyon

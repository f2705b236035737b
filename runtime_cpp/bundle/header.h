// The JSON header of a safetensors file, read in one pass without building a document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace anyon {

struct HeaderTensor {
  std::string name;
  DType dtype = DType::kU8;
  Shape shape;
  int64_t begin = 0, end = 0;  // bytes of the data section
};

struct Header {
  std::vector<HeaderTensor> tensors;                          // as written
  std::vector<std::pair<std::string, std::string>> metadata;  // as written
};

// Throws Error(kBadBundle) for malformed JSON, unknown fields or dtypes, wrong types, negative or oversized numbers,
// missing fields, or a field given twice. Whether names repeat and offsets agree is the caller's to check.
// `file` stands at the start of messages.
Header parse_header(std::string_view text, const std::string& file, int64_t max_tensors, int64_t max_name_bytes);

}  // namespace anyon

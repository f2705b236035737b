// Reads JSON that comes from outside: limits on depth and size, duplicate keys refused.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "core/limits.h"
#include "core/status.h"

namespace anyon {

struct JsonLimits {
  int depth = limits::kJsonDepth;
  int64_t values = limits::kJsonValues;  // objects, arrays and scalars together
};

// Parses the whole of `text`. `what` names the document in messages ("tiny.anyon: manifest").
// Throws Error(`status`) for malformed text, a limit passed, or an object that has the same key twice.
nlohmann::json parse_json(std::string_view text, const std::string& what, const JsonLimits& limits = {},
                          Status status = Status::kBadBundle);

}  // namespace anyon

// SHA-256 of much data, with a question now and then whether to go on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/function_ref.h"
#include "core/sha256.h"
#include "core/status.h"

namespace anyon {

inline constexpr int64_t kHashPiece = 4 << 20;  // between two questions: 2 to 20 ms

// The digest of `bytes` as 64 digits. Throws Error(kCancelled) when `keep_going` says no; `file` starts the message.
inline std::string hash_in_pieces(std::span<const std::byte> bytes, const std::string& file,
                                  FunctionRef<bool(int64_t done, int64_t total)> keep_going) {
  const auto total = static_cast<int64_t>(bytes.size());
  Sha256 hash;
  for (int64_t done = 0; done < total;) {
    const int64_t piece = std::min(kHashPiece, total - done);
    hash.update(bytes.subspan(static_cast<size_t>(done), static_cast<size_t>(piece)));
    done += piece;
    if (!keep_going(done, total)) throw_error(Status::kCancelled, {file, ": its verification was cancelled"});
  }
  return hex_text(hash.finish());
}

}  // namespace anyon

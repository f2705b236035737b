// The digits cannot cover themselves, so they count as zeros.
#include "bundle/header_hash.h"

#include <algorithm>

#include "core/sha256.h"
#include "core/status.h"

namespace anyon {
namespace {

constexpr size_t kDigits = 64;

}  // namespace

std::string header_hash(std::span<const std::byte> header, size_t digits) {
  static const std::string zeros(kDigits, '0');
  Sha256 hash;
  hash.update(header.first(digits));
  hash.update(std::as_bytes(std::span(zeros)));
  hash.update(header.subspan(digits + kDigits));
  return hex_text(hash.finish());
}

void check_header_hash(std::span<const std::byte> header, const std::string& stated, const std::string& file) {
  const auto fail = [&](Parts problem) {
    throw_error(Status::kBadBundle, {file, ": header: ", problem, " (a damaged file? make or download it again)"});
  };
  const bool digits = stated.size() == kDigits && stated.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!digits) fail({"'", kHeaderHashKey, "' is not 64 hexadecimal digits"});
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  const size_t at = text.find(stated);
  // Digits written as escapes are not found; what stands twice does not say which place counts as zeros.
  if (at == std::string_view::npos || text.find(stated, at + 1) != std::string_view::npos) {
    fail({"the digits of '", kHeaderHashKey, "' do not stand exactly once in it"});
  }
  const std::string actual = header_hash(header, at);
  if (actual != stated) fail({"it has SHA-256 ", actual, ", it says ", stated});
}

}  // namespace anyon

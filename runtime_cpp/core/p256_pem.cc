// A public key as `openssl ec -pubout` writes it.
#include <algorithm>

#include "core/base64.h"
#include "core/p256.h"
#include "core/status.h"

namespace anyon {
namespace {

constexpr std::string_view kKeyBegin = "-----BEGIN PUBLIC KEY-----", kKeyEnd = "-----END PUBLIC KEY-----";

// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { 0 unused bits, 4: uncompressed, x, y } }. DER has
// one encoding for each value, so anything that differs from these bytes is another kind of key.
constexpr std::array<uint8_t, 27> kKeyPrefix = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                                0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                                0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

[[noreturn]] void refuse_key(Parts problem) {
  throw_error(Status::kInvalidArgument,
              {"public key: ", problem, " (expected PEM as `openssl ec -in key.pem -pubout` writes it, curve P-256)"});
}

// The base64 between the two lines, without its line ends.
std::string key_body(std::string_view pem) {
  const size_t begin = pem.find(kKeyBegin);
  if (begin == std::string_view::npos) {
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos)
      refuse_key({"this is a private key; keep it to yourself"});
    refuse_key({"it has no line '", kKeyBegin, "'"});
  }
  const size_t after = begin + kKeyBegin.size();
  const size_t end = pem.find(kKeyEnd, after);
  if (end == std::string_view::npos) refuse_key({"it has no line '", kKeyEnd, "'"});
  if (pem.find(kKeyBegin, after) != std::string_view::npos) refuse_key({"there is more than one key"});
  std::string body;
  for (const char c : pem.substr(after, end - after)) {
    if (c != '\n' && c != '\r') body += c;
  }
  return body;
}

}  // namespace

P256PublicKey P256PublicKey::from_pem(std::string_view pem) {
  const std::optional<std::string> der = base64_bytes(key_body(pem));
  if (!der) refuse_key({"its text is not base64"});
  const std::span bytes(reinterpret_cast<const uint8_t*>(der->data()), der->size());
  if (bytes.size() != kKeyPrefix.size() + 64 || !std::equal(kKeyPrefix.begin(), kKeyPrefix.end(), bytes.begin())) {
    refuse_key({"it is not an ECDSA key of the curve P-256 (prime256v1) with an uncompressed point"});
  }
  bool valid = false;
  const std::span point = bytes.subspan(kKeyPrefix.size());
  const P256PublicKey key = from_point(point.first<32>(), point.last<32>(), &valid);
  if (!valid) refuse_key({"its point is not on the curve"});
  return key;
}

}  // namespace anyon

// A signature from a stranger, for a bundle and a key that are right. An input is
//   {...}   the signature's JSON;
//   -...    a public key's PEM, with the right signature;
//   0...    the DER of an ECDSA signature (after the first byte), and its digest;
//   =...    base64.
// Nothing but the one right signature may verify, and only anyon::Error may come out.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "bundle/signature.h"
#include "core/base64.h"
#include "core/p256.h"
#include "core/status.h"

namespace {

std::string golden(const std::string& name) {
  std::ifstream file(std::string(ANYON_GOLDEN_FOLDER) + "/signature/" + name, std::ios::binary);
  if (!file) std::abort();
  return {std::istreambuf_iterator<char>(file), {}};
}

bool verifies(const anyon::Bundle& bundle, const std::string& signature, const std::string& key) {
  try {
    anyon::verify_signature(bundle, signature, key);
    return true;
  } catch (const anyon::Error&) {
    return false;
  }
}

// What was signed. White space, escapes and unknown fields around it may differ.
std::string payload_of(const std::string& signature) {
  return nlohmann::json::parse(signature).at("dsseEnvelope").at("payload").get<std::string>();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto bundle = anyon::Bundle::open(std::string(ANYON_GOLDEN_FOLDER) + "/signature/small.anyon");
  static const std::string key = golden("public.pem"), right = golden("small.anyon.sig");
  const std::string input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with('-')) {
    if (verifies(*bundle, right, input) && input.find("BEGIN PUBLIC KEY") == std::string::npos) std::abort();
  } else if (input.starts_with('0')) {
    static const anyon::P256PublicKey parsed = anyon::P256PublicKey::from_pem(key);
    std::array<uint8_t, 32> digest{};
    // Nobody finds a signature of a digest by chance: DER that verifies is a wrong formula.
    if (parsed.verify(digest, {data + 1, size - 1})) std::abort();
  } else if (input.starts_with('=')) {
    (void)anyon::base64_bytes(std::string_view(input).substr(1));
  } else if (verifies(*bundle, input, key) && payload_of(input) != payload_of(right)) {
    std::abort();
  }
  return 0;
}

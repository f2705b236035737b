// ECDSA with the curve P-256 and SHA-256 (FIPS 186-5): verifying only, so nothing here is secret.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/p256_numbers.h"

namespace anyon {

class P256PublicKey {
 public:
  // The key in a PEM file: "-----BEGIN PUBLIC KEY-----" and a SubjectPublicKeyInfo with an uncompressed point.
  // Throws Error(kInvalidArgument) for anything else: other keys, private keys, several keys, a point off the curve.
  static P256PublicKey from_pem(std::string_view pem);
  // From affine coordinates; false in `*valid` when they are not those of a point of the curve.
  static P256PublicKey from_point(std::span<const uint8_t, 32> x, std::span<const uint8_t, 32> y, bool* valid);

  // Whether `signature`, the DER of (r, s), is one of the message with this SHA-256 digest. Any other encoding of the
  // same two numbers is refused.
  bool verify(const std::array<uint8_t, 32>& digest, std::span<const uint8_t> signature) const;

 private:
  P256PublicKey() = default;

  p256::Number x_{}, y_{};  // modulo the field's prime, in Montgomery's form
};

}  // namespace anyon

// Numbers of 256 bits and arithmetic modulo the two primes of the curve P-256.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace anyon::p256 {

using Number = std::array<uint64_t, 4>;  // least significant first
__extension__ using Wide = unsigned __int128;

inline constexpr Number kZero = {};

// 32 bytes, most significant first.
inline Number number_of(std::span<const uint8_t> bytes) {
  Number number{};
  for (size_t i = 0; i < 32; ++i) number[3 - i / 8] = number[3 - i / 8] << 8 | bytes[i];
  return number;
}

constexpr bool less(const Number& a, const Number& b) {
  for (size_t i = 4; i-- > 0;) {
    if (a[i] != b[i]) return a[i] < b[i];
  }
  return false;
}

// a + b; true when it does not fit 256 bits.
constexpr bool add_numbers(const Number& a, const Number& b, Number* sum) {
  Wide carry = 0;
  for (size_t i = 0; i < 4; ++i) {
    carry += static_cast<Wide>(a[i]) + b[i];
    (*sum)[i] = static_cast<uint64_t>(carry);
    carry >>= 64;
  }
  return carry != 0;
}

// a - b modulo 2^256.
constexpr Number subtract_numbers(const Number& a, const Number& b) {
  Number difference{};
  uint64_t borrow = 0;
  for (size_t i = 0; i < 4; ++i) {
    const Wide value = static_cast<Wide>(a[i]) - b[i] - borrow;
    difference[i] = static_cast<uint64_t>(value);
    borrow = static_cast<uint64_t>(value >> 64) & 1;
  }
  return difference;
}

// Arithmetic modulo an odd prime above 2^255, in Montgomery's form: x stands as x * 2^256 modulo the prime. Nothing
// here is secret, so time may depend on the values.
class Field {
 public:
  constexpr explicit Field(const Number& prime) : prime_(prime) {
    for (int i = 0; i < 6; ++i) negative_inverse_ *= 2 + prime_[0] * negative_inverse_;  // Newton: bits double
    one_ = subtract_numbers(kZero, prime_);
    square_ = one_;
    for (int i = 0; i < 256; ++i) square_ = add(square_, square_);
  }

  constexpr const Number& prime() const { return prime_; }
  constexpr const Number& one() const { return one_; }

  constexpr Number add(const Number& a, const Number& b) const {
    Number sum{};
    const bool carry = add_numbers(a, b, &sum);
    return carry || !less(sum, prime_) ? subtract_numbers(sum, prime_) : sum;
  }
  constexpr Number subtract(const Number& a, const Number& b) const {
    const Number difference = subtract_numbers(a, b);
    Number raised{};
    add_numbers(difference, prime_, &raised);
    return less(a, b) ? raised : difference;
  }
  constexpr Number multiply(const Number& a, const Number& b) const {
    std::array<uint64_t, 6> sum{};
    for (size_t i = 0; i < 4; ++i) {
      add_product(sum, a[i], b);
      add_product(sum, sum[0] * negative_inverse_, prime_);  // makes sum[0] zero
      for (size_t j = 0; j < 5; ++j) sum[j] = sum[j + 1];
      sum[5] = 0;
    }
    const Number low = {sum[0], sum[1], sum[2], sum[3]};
    return sum[4] != 0 || !less(low, prime_) ? subtract_numbers(low, prime_) : low;
  }
  // a^-1, and 0 for 0: a^(prime - 2).
  Number inverse(const Number& a) const {
    const Number exponent = subtract_numbers(prime_, {2, 0, 0, 0});
    Number power = one_;
    for (size_t bit = 256; bit-- > 0;) {
      power = multiply(power, power);
      if ((exponent[bit / 64] >> bit % 64 & 1) != 0) power = multiply(power, a);
    }
    return power;
  }

  constexpr Number enter(const Number& plain) const { return multiply(plain, square_); }
  constexpr Number leave(const Number& montgomery) const { return multiply(montgomery, {1, 0, 0, 0}); }

 private:
  static constexpr void add_product(std::array<uint64_t, 6>& sum, uint64_t factor, const Number& number) {
    Wide carry = 0;
    for (size_t j = 0; j < 4; ++j) {
      carry += static_cast<Wide>(factor) * number[j] + sum[j];
      sum[j] = static_cast<uint64_t>(carry);
      carry >>= 64;
    }
    carry += sum[4];
    sum[4] = static_cast<uint64_t>(carry);
    sum[5] += static_cast<uint64_t>(carry >> 64);
  }

  Number prime_;
  uint64_t negative_inverse_ = 1;  // -prime^-1 modulo 2^64
  Number one_{}, square_{};        // 2^256 and 2^512 modulo the prime
};

}  // namespace anyon::p256

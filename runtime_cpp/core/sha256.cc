// SHA-256: plain C++, and the choice of the processor's own instructions where it has them.
#include "core/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/sha256_compress.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace anyon {

#if defined(__x86_64__)
void sha256_compress_shani(uint32_t* state, const uint8_t* data, size_t blocks);
#elif defined(__aarch64__)
void sha256_compress_armsha(uint32_t* state, const uint8_t* data, size_t blocks);
#endif

namespace {

void compress_portable(uint32_t* state, const uint8_t* data, size_t blocks) {
  for (; blocks != 0; --blocks, data += 64) {
    std::array<uint32_t, 64> w;
    for (size_t t = 0; t < 16; ++t) {
      w[t] = uint32_t{data[4 * t]} << 24 | uint32_t{data[4 * t + 1]} << 16 | uint32_t{data[4 * t + 2]} << 8 |
             data[4 * t + 3];
    }
    for (size_t t = 16; t < 64; ++t) {
      const uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
      const uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
      w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (size_t t = 0; t < 64; ++t) {
      const uint32_t t1 =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kSha256Round[t] + w[t];
      const uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

#if defined(__x86_64__)
bool has_sha_extension() {
  constexpr unsigned kShaBit = 1u << 29;  // leaf 7, EBX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kShaBit) != 0 &&
         __builtin_cpu_supports("sse4.1");
}
#elif defined(__aarch64__)
bool has_sha_extension() {
#if defined(__linux__)
  constexpr unsigned long kSha2 = 1ul << 6;
  return (getauxval(AT_HWCAP) & kSha2) != 0;
#elif defined(__APPLE__)
  return true;  // every core since the A7
#else
  return false;
#endif
}
#endif

// The machine's ways, found once.
struct Ways {
  std::array<Sha256Way, 2> list = {{{"portable", compress_portable}, {}}};
  size_t count = 1;

  Ways() {
#if defined(__x86_64__)
    if (has_sha_extension()) list[count++] = {"shani", sha256_compress_shani};
#elif defined(__aarch64__)
    if (has_sha_extension()) list[count++] = {"armsha", sha256_compress_armsha};
#endif
  }
};

void compress(uint32_t* state, const uint8_t* data, size_t blocks) {
  sha256_ways().back().compress(state, data, blocks);
}

}  // namespace

std::span<const Sha256Way> sha256_ways() {
  static const Ways ways;
  return std::span(ways.list).first(ways.count);
}

void Sha256::update(std::span<const std::byte> bytes) {
  total_bytes_ += bytes.size();
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  if (in_block_ != 0) {
    const size_t take = std::min(left, block_.size() - in_block_);
    std::memcpy(block_.data() + in_block_, data, take);
    in_block_ += take;
    data += take;
    left -= take;
    if (in_block_ < block_.size()) return;
    compress(state_.data(), block_.data(), 1);
    in_block_ = 0;
  }
  compress(state_.data(), data, left / 64);
  data += left / 64 * 64;
  in_block_ = left % 64;
  if (in_block_ != 0) std::memcpy(block_.data(), data, in_block_);
}

std::array<uint8_t, 32> Sha256::finish() {
  const uint64_t bits = total_bytes_ * 8;
  std::array<std::byte, 72> padding{};
  padding[0] = std::byte{0x80};
  // One 0x80 byte, zeros up to 8 bytes before a block's end, then the length in bits, big-endian.
  const size_t zeros_end = in_block_ < 56 ? 56 - in_block_ : 120 - in_block_;
  for (size_t i = 0; i < 8; ++i) padding[zeros_end + i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  update(std::span(padding).first(zeros_end + 8));
  std::array<uint8_t, 32> digest;
  for (size_t i = 0; i < 32; ++i) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

std::string hex_text(std::span<const uint8_t> bytes) {
  std::string hex;
  for (const uint8_t byte : bytes) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hex_text(hash.finish());
}

}  // namespace anyon

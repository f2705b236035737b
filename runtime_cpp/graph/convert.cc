// Conversion in pieces: to the wide type of the source, to the wide type of the target, to the target.
#include "graph/convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace anyon::graph {

float from_bfloat16(uint16_t x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(x) << 16);
}

float from_half(uint16_t x) {
  const uint32_t sign = static_cast<uint32_t>(x & 0x8000) << 16, magnitude = x & 0x7fff;
  if (magnitude < 0x400) {  // subnormal: a multiple of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const uint32_t exponent = magnitude >= 0x7c00 ? 0x7f800000u : ((magnitude >> 10) + 112) << 23;
  return __builtin_bit_cast(float, sign | exponent | (magnitude & 0x3ff) << 13);
}

uint16_t to_bfloat16(float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  if (std::isnan(x)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t to_half(float x) {
  const uint32_t sign = __builtin_bit_cast(uint32_t, x) >> 16 & 0x8000;
  const float magnitude = std::fabs(x);
  uint32_t bits = 0;
  if (std::isnan(x)) {
    bits = 0x7e00;
  } else if (magnitude >= 65520.0f) {
    bits = 0x7c00;
  } else if (magnitude < 0x1p-14f) {
    bits = static_cast<uint32_t>(std::nearbyint(magnitude * 0x1p24f));
  } else {
    const auto wide = __builtin_bit_cast(uint32_t, magnitude);
    bits = (wide - (112u << 23) + 0xfff + (wide >> 13 & 1)) >> 13;
  }
  return static_cast<uint16_t>(sign | bits);
}

namespace {

constexpr int64_t kPiece = 512;

union Piece {
  std::array<float, kPiece> f32;
  std::array<double, kPiece> f64;
  std::array<int64_t, kPiece> i64;
  std::array<uint64_t, kPiece> u64;
};

template <class Narrow, class Wide>
void load_as(const void* from, int64_t first, int64_t n, Wide* to) {
  const auto* x = static_cast<const Narrow*>(from) + first;
  std::copy(x, x + n, to);
}

void load(const TensorView& x, int64_t first, int64_t n, Piece& piece) {
  const auto* half = static_cast<const uint16_t*>(x.data) + (size_of(x.dtype) == 2 ? first : 0);
  switch (x.dtype) {
    case DType::kF32:
      return load_as<float>(x.data, first, n, piece.f32.data());
    case DType::kF16:
      std::transform(half, half + n, piece.f32.begin(), from_half);
      return;
    case DType::kBF16:
      std::transform(half, half + n, piece.f32.begin(), from_bfloat16);
      return;
    case DType::kF64:
      return load_as<double>(x.data, first, n, piece.f64.data());
    case DType::kI8:
      return load_as<int8_t>(x.data, first, n, piece.i64.data());
    case DType::kU8:
    case DType::kBool:
      return load_as<uint8_t>(x.data, first, n, piece.i64.data());
    case DType::kI16:
      return load_as<int16_t>(x.data, first, n, piece.i64.data());
    case DType::kU16:
      return load_as<uint16_t>(x.data, first, n, piece.i64.data());
    case DType::kI32:
      return load_as<int32_t>(x.data, first, n, piece.i64.data());
    case DType::kU32:
      return load_as<uint32_t>(x.data, first, n, piece.i64.data());
    case DType::kI64:
      return load_as<int64_t>(x.data, first, n, piece.i64.data());
    case DType::kU64:
      return load_as<uint64_t>(x.data, first, n, piece.u64.data());
  }
}

template <class From>
void widen_from(const From* x, int64_t n, DType to, Piece& piece) {
  with_wide(to, [&](auto zero) {
    using To = decltype(zero);
    To* y = nullptr;
    if constexpr (std::is_same_v<To, float>) y = piece.f32.data();
    if constexpr (std::is_same_v<To, double>) y = piece.f64.data();
    if constexpr (std::is_same_v<To, int64_t>) y = piece.i64.data();
    if constexpr (std::is_same_v<To, uint64_t>) y = piece.u64.data();
    std::transform(x, x + n, y, number_cast<To, From>);
  });
}

template <class Narrow, class Wide>
void store_as(const Wide* from, int64_t n, void* to, int64_t first) {
  auto* y = static_cast<Narrow*>(to) + first;
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Narrow>(from[i]);
}

void store(const Piece& piece, int64_t n, const TensorView& y, int64_t first) {
  auto* half = static_cast<uint16_t*>(y.data) + (size_of(y.dtype) == 2 ? first : 0);
  switch (y.dtype) {
    case DType::kF32:
      return store_as<float>(piece.f32.data(), n, y.data, first);
    case DType::kF16:
      std::transform(piece.f32.begin(), piece.f32.begin() + n, half, to_half);
      return;
    case DType::kBF16:
      std::transform(piece.f32.begin(), piece.f32.begin() + n, half, to_bfloat16);
      return;
    case DType::kF64:
      return store_as<double>(piece.f64.data(), n, y.data, first);
    case DType::kI8:
    case DType::kU8:
      return store_as<uint8_t>(piece.i64.data(), n, y.data, first);
    case DType::kI16:
    case DType::kU16:
      return store_as<uint16_t>(piece.i64.data(), n, y.data, first);
    case DType::kI32:
    case DType::kU32:
      return store_as<uint32_t>(piece.i64.data(), n, y.data, first);
    case DType::kI64:
      return store_as<int64_t>(piece.i64.data(), n, y.data, first);
    case DType::kU64:
      return store_as<uint64_t>(piece.u64.data(), n, y.data, first);
    case DType::kBool:
      for (int64_t i = 0; i < n; ++i) {
        static_cast<uint8_t*>(y.data)[first + i] = piece.i64[static_cast<size_t>(i)] != 0;
      }
      return;
  }
}

}  // namespace

void convert(const TensorView& x, const TensorView& y) {
  const int64_t count = x.shape.elements();
  const DType from = wide(x.dtype), to = wide(y.dtype);
  Piece loaded, turned;
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t n = std::min(kPiece, count - first);
    load(x, first, n, loaded);
    if (y.dtype == DType::kBool && is_float(x.dtype)) {
      // 0.5 is true, though it truncates to 0.
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(i);
        turned.i64[at] = from == DType::kF64 ? loaded.f64[at] != 0 : loaded.f32[at] != 0;
      }
      store(turned, n, y, first);
    } else if (from == to) {
      store(loaded, n, y, first);
    } else {
      switch (from) {
        case DType::kF32:
          widen_from(loaded.f32.data(), n, to, turned);
          break;
        case DType::kF64:
          widen_from(loaded.f64.data(), n, to, turned);
          break;
        case DType::kU64:
          widen_from(loaded.u64.data(), n, to, turned);
          break;
        default:
          widen_from(loaded.i64.data(), n, to, turned);
      }
      store(turned, n, y, first);
    }
  }
}

}  // namespace anyon::graph

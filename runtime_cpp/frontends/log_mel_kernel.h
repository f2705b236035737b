// The log-mel arithmetic once, with frames side by side in vector lanes; each ISA's file instantiates it at its width.
// No operation mixes lanes and none is fused, so every ISA gives the same bits.
#pragma once

#include <cstdint>
#include <cstring>

#include "frontends/log_mel_tables.h"

#define ANYON_INLINE inline __attribute__((always_inline))

namespace anyon::log_mel {
namespace {  // compiled once per ISA: internal linkage keeps the copies apart

// Spelled out: GCC ignores a vector size that depends on a template argument.
template <int kLanes>
struct Vectors;
template <>
struct Vectors<4> {
  typedef float Float __attribute__((vector_size(16)));
  typedef int32_t Int __attribute__((vector_size(16)));
};
template <>
struct Vectors<8> {
  typedef float Float __attribute__((vector_size(32)));
  typedef int32_t Int __attribute__((vector_size(32)));
};
template <>
struct Vectors<16> {
  typedef float Float __attribute__((vector_size(64)));
  typedef int32_t Int __attribute__((vector_size(64)));
};

template <int kLanes>
class Kernel {
  using Float = typename Vectors<kLanes>::Float;
  using Int = typename Vectors<kLanes>::Int;
  using Float4 = Vectors<4>::Float;

  struct Complex {
    Float re, im;

    friend ANYON_INLINE Complex operator+(const Complex& a, const Complex& b) { return {a.re + b.re, a.im + b.im}; }
    friend ANYON_INLINE Complex operator-(const Complex& a, const Complex& b) { return {a.re - b.re, a.im - b.im}; }
    friend ANYON_INLINE Complex operator*(const Complex& a, float b) { return {a.re * b, a.im * b}; }
  };

 public:
  static void compute(const Tables& tables, const float* samples, int64_t frames, float* out, int64_t out_stride,
                      float* maximum) {
    alignas(64) Complex signal[kPoints];
    alignas(64) Float power[kBins];
    Float largest = Float{} + *maximum;
    for (int64_t first = 0; first < frames; first += kLanes) {
      const int64_t count = frames - first < kLanes ? frames - first : kLanes;
      load(samples + first * kHop, count, signal);
      transform(tables, signal);
      powers(tables, signal, power);
      for (int m = 0; m < tables.n_mels; ++m) {
        const Float value = log10(mel(tables, m, power));
        largest = value > largest ? value : largest;
        float* const to = out + m * out_stride + first;
        if (count == kLanes) {
          std::memcpy(to, &value, sizeof(value));
        } else {
          std::memcpy(to, &value, static_cast<size_t>(count) * sizeof(float));
        }
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      if (largest[lane] > *maximum) *maximum = largest[lane];
    }
  }

 private:
  // -i z
  static ANYON_INLINE Complex turn(const Complex& z) { return {z.im, -z.re}; }

  // (c - i s) z
  static ANYON_INLINE Complex rotate(const Complex& z, float c, float s) {
    return {z.re * c + z.im * s, z.im * c - z.re * s};
  }

  // Lane l gets the 400 samples of frame l, taken as 200 complex numbers. Lanes past the last frame repeat it.
  static ANYON_INLINE void load(const float* samples, int64_t count, Complex* signal) {
    float* const to = reinterpret_cast<float*>(signal);
    for (int lane = 0; lane < kLanes; lane += 4) {
      const float* from[4];
      for (int i = 0; i < 4; ++i) from[i] = samples + (lane + i < count ? lane + i : count - 1) * kHop;
      for (int n = 0; n < kFftSize; n += 4) {
        Float4 a, b, c, d;
        std::memcpy(&a, from[0] + n, sizeof(a));
        std::memcpy(&b, from[1] + n, sizeof(b));
        std::memcpy(&c, from[2] + n, sizeof(c));
        std::memcpy(&d, from[3] + n, sizeof(d));
        const Float4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        const Float4 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const Float4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const Float4 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        const Float4 rows[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                                __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                                __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                                __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
        for (int i = 0; i < 4; ++i) std::memcpy(to + (n + i) * kLanes + lane, &rows[i], sizeof(Float4));
      }
    }
  }

  // The windowed complex transform of 200 = 8 x 25 points, in place. Input 25 a + 8 b (mod 200) takes part in output k
  // with weight e^(-2 pi i a k / 8) e^(-2 pi i b k / 25) (Good 1958): no twiddle factors between the two stages.
  static ANYON_INLINE void transform(const Tables& tables, Complex* signal) {
    for (int b = 0; b < 25; ++b) {
      Complex x[8];
      int at[8];
      for (int a = 0; a < 8; ++a) {
        at[a] = (25 * a + 8 * b) % kPoints;
        x[a] = {signal[at[a]].re * tables.window[2 * at[a]], signal[at[a]].im * tables.window[2 * at[a] + 1]};
      }
      transform8(x);
      for (int a = 0; a < 8; ++a) signal[at[a]] = x[a];
    }
    for (int a = 0; a < 8; ++a) transform25(tables, signal, 25 * a);
  }

  static ANYON_INLINE void transform8(Complex* x) {
    constexpr float kHalfRoot = 0.707106781186547524F;
    const Complex a0 = x[0] + x[4], a1 = x[0] - x[4], a2 = x[2] + x[6], a3 = turn(x[2] - x[6]);
    const Complex b0 = x[1] + x[5], b1 = x[1] - x[5], b2 = x[3] + x[7], b3 = turn(x[3] - x[7]);
    const Complex even0 = a0 + a2, even1 = a1 + a3, even2 = a0 - a2, even3 = a1 - a3;
    const Complex odd0 = b0 + b2, odd2 = turn(b0 - b2);
    const Complex plus = b1 + b3, minus = b1 - b3;
    const Complex odd1 = (plus + turn(plus)) * kHalfRoot;
    const Complex odd3 = (turn(minus) - minus) * kHalfRoot;
    x[0] = even0 + odd0, x[4] = even0 - odd0;
    x[1] = even1 + odd1, x[5] = even1 - odd1;
    x[2] = even2 + odd2, x[6] = even2 - odd2;
    x[3] = even3 + odd3, x[7] = even3 - odd3;
  }

  // 25 = 5 x 5 points standing at first, first + 8, ... (mod 200); output k replaces input k.
  static ANYON_INLINE void transform25(const Tables& tables, Complex* signal, int first) {
    Complex middle[5][5];
    for (int b = 0; b < 5; ++b) {
      Complex x[5];
      for (int a = 0; a < 5; ++a) x[a] = signal[(first + 8 * (5 * a + b)) % kPoints];
      transform5(x);
      middle[b][0] = x[0];
      for (int c = 1; c < 5; ++c) middle[b][c] = b == 0 ? x[c] : rotate(x[c], tables.cos25[b][c], tables.sin25[b][c]);
    }
    for (int c = 0; c < 5; ++c) {
      Complex x[5];
      for (int b = 0; b < 5; ++b) x[b] = middle[b][c];
      transform5(x);
      for (int d = 0; d < 5; ++d) signal[(first + 8 * (c + 5 * d)) % kPoints] = x[d];
    }
  }

  static ANYON_INLINE void transform5(Complex* x) {
    constexpr float kCos1 = 0.309016994374947424F, kCos2 = -0.809016994374947424F;  // cos 72, cos 144 degrees
    constexpr float kSin1 = 0.951056516295153572F, kSin2 = 0.587785252292473129F;
    const Complex sum1 = x[1] + x[4], sum2 = x[2] + x[3], difference1 = x[1] - x[4], difference2 = x[2] - x[3];
    const Complex real1 = x[0] + sum1 * kCos1 + sum2 * kCos2;
    const Complex real2 = x[0] + sum1 * kCos2 + sum2 * kCos1;
    const Complex imag1 = turn(difference1 * kSin1 + difference2 * kSin2);
    const Complex imag2 = turn(difference1 * kSin2 - difference2 * kSin1);
    x[0] = x[0] + sum1 + sum2;
    x[1] = real1 + imag1, x[4] = real1 - imag1;
    x[2] = real2 + imag2, x[3] = real2 - imag2;
  }

  // |X[k]|^2 of the real transform, from the complex one of half the size: with Z = transform of x[2n] + i x[2n+1],
  // X[k] = E + e^(-2 pi i k / 400) O and X[200 - k] = conj(E - e^(-2 pi i k / 400) O),
  // where E = (Z[k] + conj Z[-k]) / 2, O = -i (Z[k] - conj Z[-k]) / 2. The halves are part of the window.
  static ANYON_INLINE void powers(const Tables& tables, const Complex* signal, Float* power) {
    for (int k = 0; k <= kPoints / 2; ++k) {
      const Complex a = signal[tables.place[k]], b = signal[tables.place[(kPoints - k) % kPoints]];
      const Complex even = {a.re + b.re, a.im - b.im};
      const Complex odd = rotate({a.im + b.im, b.re - a.re}, tables.post_cos[k], tables.post_sin[k]);
      const Complex low = even + odd, high = even - odd;
      power[k] = low.re * low.re + low.im * low.im;
      power[kPoints - k] = high.re * high.re + high.im * high.im;
    }
  }

  static ANYON_INLINE Float mel(const Tables& tables, int m, const Float* power) {
    const Filter& filter = tables.filters[m];
    const float* const weight = tables.weights + filter.first_weight;
    Float sum = {};
    for (int i = 0; i < filter.count; ++i) sum += power[filter.first_bin + i] * weight[i];
    return sum;
  }

  // log10(max(x, kMinPower)) within 1e-6, for finite x: x = m 2^e with m in [sqrt(1/2), sqrt(2)), and
  // ln(1 + f) = f - f^2 / 2 + f^3 p(f), p fitted for the least maximum error (7e-9) on that interval.
  static ANYON_INLINE Float log10(Float x) {
    constexpr int32_t kRootHalf = 0x3f3504f3;
    constexpr float kLog10Of2High = 0.301025390625F, kLog10Of2Low = 4.60503898119521374e-06F;  // high: 12 bits
    constexpr float kLog10OfE = 0.434294481903251828F;
    const Float minimum = Float{} + kMinPower;
    x = x > minimum ? x : minimum;
    const Int bits = reinterpret_cast<Int>(x) - kRootHalf;
    const Float exponent = __builtin_convertvector(bits >> 23, Float);
    const Float f = reinterpret_cast<Float>((bits & 0x007fffff) + kRootHalf) - 1.0F;
    Float p = f * 0.0867218450F + -0.143790081F;
    p = p * f + 0.149779946F;
    p = p * f + -0.165644258F;
    p = p * f + 0.199548751F;
    p = p * f + -0.250016987F;
    p = p * f + 0.333341658F;
    const Float ln = f + f * f * (p * f - 0.5F);
    return exponent * kLog10Of2High + (exponent * kLog10Of2Low + ln * kLog10OfE);
  }
};

}  // namespace
}  // namespace anyon::log_mel

#undef ANYON_INLINE

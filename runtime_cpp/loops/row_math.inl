// The one implementation of row_math.h, compiled once for each ISA. It computes on groups of 16 lanes made of the ISA's
// own vectors (through the vector extension of GCC and Clang), so the order of every sum is the same everywhere.
// The including file defines ANYON_ROW_MATH_NAMESPACE and includes what is used here.

namespace anyon {
namespace ANYON_ROW_MATH_NAMESPACE {

#if defined(__AVX512F__)
constexpr int64_t kWidth = 16;
#elif defined(__AVX2__)
constexpr int64_t kWidth = 8;
#else
constexpr int64_t kWidth = 4;
#endif
constexpr int64_t kLanes = 16;
constexpr int64_t kParts = kLanes / kWidth;
constexpr int64_t kBlock = 128;  // values looked at together when searching for large ones

typedef float Floats __attribute__((vector_size(kWidth * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(kWidth * sizeof(int32_t))));

inline Floats splat(float value) {
  return Floats{} + value;
}

inline Floats load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void store(Floats v, float* to) {
  std::memcpy(to, &v, sizeof v);
}

// exp for x <= 0 (Cody-Waite reduction, degree 6); 0 below -87. Adding kRound rounds to the nearest integer.
inline Floats exp_negative(Floats x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  const Floats clamped = x < -87.0f ? splat(-87.0f) : x;
  const Floats shifted = clamped * 1.44269504f + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = r * 1.3888889e-3f + 8.3333333e-3f;
  p = p * r + 4.1666667e-2f;
  p = p * r + 1.6666667e-1f;
  p = p * r + 5.0e-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // The low bits of `shifted` hold n as an integer; it is added to the exponent of p.
  p = (Floats)((Ints)p + ((Ints)shifted << 23));
  return x < -87.0f ? Floats{} : p;
}

// Sixteen running sums or maxima.
struct Lanes {
  Floats part[kParts];
};

inline Lanes lanes_of(float value) {
  Lanes lanes;
  for (int64_t p = 0; p < kParts; ++p) lanes.part[p] = splat(value);
  return lanes;
}

inline void store(const Lanes& lanes, float* to) {
  for (int64_t p = 0; p < kParts; ++p) store(lanes.part[p], to + p * kWidth);
}

inline float block_max(const float* x, int64_t n) {
  Lanes lanes = lanes_of(kNegativeInfinity);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t p = 0; p < kParts; ++p) {
      const Floats v = load(x + i + p * kWidth);
      lanes.part[p] = v > lanes.part[p] ? v : lanes.part[p];
    }
  }
  float values[kLanes];
  store(lanes, values);
  float best = kNegativeInfinity;
  for (const float value : values) best = value > best ? value : best;
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

Peak peak(const float* x, int64_t n) {
  Peak best;
  int64_t block = -1;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const float value = block_max(x + begin, std::min(kBlock, n - begin));
    if (value > best.value) {
      best.value = value;
      block = begin;
    }
  }
  if (block < 0) return best;
  best.index = block;
  while (x[best.index] != best.value) ++best.index;
  return best;
}

double sum_exp(const float* x, int64_t n, float shift) {
  constexpr int64_t kChunk = 4096;  // float lanes are emptied into a double this often
  double total = 0.0;
  float values[kLanes];
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = std::min(n, begin + kChunk);
    Lanes lanes = lanes_of(0.0f);
    for (int64_t i = begin; i < end; i += kLanes) {
      const float* from = x + i;
      if (i + kLanes > end) {
        std::fill_n(values, kLanes, kNegativeInfinity);
        std::copy(x + i, x + end, values);
        from = values;
      }
      for (int64_t p = 0; p < kParts; ++p) lanes.part[p] += exp_negative(load(from + p * kWidth) - shift);
    }
    store(lanes, values);
    for (const float value : values) total += value;
  }
  return total;
}

int top_k(const float* x, int64_t n, int k, Scored* out) {
  int count = 0;
  float threshold = kNegativeInfinity;  // a value must be above it to be kept
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t size = std::min(kBlock, n - begin);
    if (!(block_max(x + begin, size) > threshold)) continue;
    for (int64_t i = begin; i < begin + size; ++i) {
      if (!(x[i] > threshold)) continue;
      int place = count < k ? count++ : k - 1;
      for (; place > 0 && out[place - 1].value < x[i]; --place) out[place] = out[place - 1];
      out[place] = {static_cast<int32_t>(i), x[i]};
      if (count == k) threshold = out[k - 1].value;
    }
  }
  return count;
}

void dot_rows(const float* a, const float* rows, int64_t stride, int64_t n, int64_t width, float* y) {
  float values[kLanes];
  for (int64_t row = 0; row < n; ++row) {
    const float* b = rows + row * stride;
    Lanes lanes = lanes_of(0.0f);
    int64_t d = 0;
    for (; d + kLanes <= width; d += kLanes) {
      for (int64_t p = 0; p < kParts; ++p) lanes.part[p] += load(a + d + p * kWidth) * load(b + d + p * kWidth);
    }
    float rest = 0.0f;
    for (; d < width; ++d) rest += a[d] * b[d];
    store(lanes, values);
    for (int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (int64_t l = 0; l < half; ++l) values[l] += values[l + half];
    }
    y[row] = rest + values[0];
  }
}

void exp_row(const float* x, int64_t n, float shift, float scale, float* y) {
  float values[kWidth];
  for (int64_t i = 0; i < n; i += kWidth) {
    if (i + kWidth <= n) {
      store(exp_negative((load(x + i) - shift) * scale), y + i);
      continue;
    }
    std::fill_n(values, kWidth, 0.0f);
    std::copy(x + i, x + n, values);
    store(exp_negative((load(values) - shift) * scale), values);
    std::copy(values, values + (n - i), y + i);
  }
}

extern const RowMath kRowMath = {peak, sum_exp, top_k, dot_rows, exp_row};

}  // namespace ANYON_ROW_MATH_NAMESPACE
}  // namespace anyon

// What the log-mel kernels share: constants, tables, and the signature every ISA's kernel has.
#pragma once

#include <cstdint>
#include <vector>

namespace anyon::log_mel {

inline constexpr int kFftSize = 400;
inline constexpr int kHop = 160;
inline constexpr int kPoints = kFftSize / 2;  // the real transform is one complex transform of half the size
inline constexpr int kBins = kPoints + 1;
inline constexpr int kMaxMels = 128;
inline constexpr int kMaxFrames = 32;  // of one kernel call
inline constexpr float kMinPower = 1e-10F;

// A triangle of the mel filter bank: weights of the bins first_bin, first_bin + 1, ...
struct Filter {
  int32_t first_bin;
  int32_t first_weight;
  int32_t count;
};

// Plain arrays: the kernels must not instantiate library templates, whose weak symbols the linker could pick from a
// file compiled for an ISA that this machine lacks.
struct Tables {
  float window[kFftSize];           // half the periodic Hann window: see powers() in log_mel_kernel.h
  float post_cos[kPoints / 2 + 1];  // e^(-2 pi i k / 400) = post_cos[k] - i post_sin[k]
  float post_sin[kPoints / 2 + 1];
  float cos25[5][5];  // e^(-2 pi i b c / 25) = cos25[b][c] - i sin25[b][c]
  float sin25[5][5];
  uint8_t place[kPoints];  // where the transform leaves output k
  int n_mels;
  Filter filters[kMaxMels];
  float weights[2 * kBins];  // a bin lies in at most two triangles

  explicit Tables(int n_mels);
};

// Slaney's mel scale and area normalisation, as librosa.filters.mel(sr=16000, n_fft=400, n_mels=n); (n_mels, kBins).
std::vector<double> slaney_filters(int n_mels);

// Writes log10 of the mel power, at least kMinPower, of 1..kMaxFrames frames to out: row m, frame f at
// out[m * out_stride + f]. Frame f reads samples[f * kHop, f * kHop + kFftSize). Raises *maximum to the largest value.
using Compute = void (*)(const Tables& tables, const float* samples, int64_t frames, float* out, int64_t out_stride,
                         float* maximum);

void compute_baseline(const Tables&, const float*, int64_t, float*, int64_t, float*);
void compute_avx2(const Tables&, const float*, int64_t, float*, int64_t, float*);
void compute_avx512(const Tables&, const float*, int64_t, float*, int64_t, float*);

}  // namespace anyon::log_mel

// layer_norm over the last axis: (x - mean) / sqrt(variance + epsilon) * scale + bias.
#pragma once

#include <cstdint>
#include <span>

#include "core/threads.h"
#include "kernels/registry.h"

namespace anyon {

struct LayerNormArgs {
  const float* x = nullptr;      // (rows, width)
  const float* scale = nullptr;  // (width), or null for ones
  const float* bias = nullptr;   // (width), or null for zeros
  float* y = nullptr;            // (rows, width); may be x
  int64_t rows = 0, width = 0;
  float epsilon = 1e-5f;
};

void layer_norm(Isa isa, const LayerNormArgs& args, ThreadPool& pool);

// One kernel call computes all rows of its args.
using layer_norm_kernel = void(const LayerNormArgs& args);
std::span<const KernelRow<layer_norm_kernel>> layer_norm_kernels();

namespace reference {
void layer_norm(const LayerNormArgs& args);
}  // namespace reference

}  // namespace anyon

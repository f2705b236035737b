// What this machine can do at best, measured: the yardstick that kernel benchmarks divide by.
#pragma once

#include <cstdint>
#include <span>

#include "core/threads.h"
#include "kernels/registry.h"

namespace anyon {

// GFLOP/s of independent f32 multiply-adds in registers, all threads of the pool together, best of several tries.
double peak_gflops(Isa isa, ThreadPool& pool);

// The same for 8-bit multiply-adds into 32 bits, in Gop/s; 0 when the ISA has its own kernels only in floating point.
double peak_gops_i8(Isa isa, ThreadPool& pool);

// GB/s of reading `bytes` over and over, split evenly over the pool's threads, best of several tries.
double read_bandwidth(Isa isa, int64_t bytes, ThreadPool& pool);

struct PeakKernels {
  int64_t (*multiply_add)(int64_t iterations);          // returns the floating-point operations done
  int64_t (*multiply_add_i8)(int64_t iterations);       // the same in 8 bits; null where there are no such kernels
  float (*read_sum)(const float* data, int64_t count);  // reads every float once
};
using peak_kernel = PeakKernels();
std::span<const KernelRow<peak_kernel>> peak_kernels();

}  // namespace anyon
